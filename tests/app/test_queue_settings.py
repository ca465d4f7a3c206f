"""The queue's settings become the core's plan; a queue that could not work is refused."""

import re
from pathlib import Path

import msgspec
import pytest

from dispatch.app.queue_settings import QueuePart, check_queue, plan_of
from dispatch.app.settings import SeatPart, load
from dispatch.contracts.errors import BadInput
from dispatch.contracts.words import CallClass

EXAMPLE = Path(__file__).parents[2] / "docs" / "dispatch120.example.toml"
SEATS = (SeatPart(seat_id="01", phone="a", password="x", group="hall"),)


def queue(text: str) -> QueuePart:
    return msgspec.toml.decode(text, type=QueuePart)


def test_the_example_makes_a_plan() -> None:
    settings = load(EXAMPLE)
    plan = plan_of(settings.queue, settings.seats)
    assert [g.group_id for g in plan.groups] == ["hall", "remote", "reserve"]
    assert [g.after_ms for g in plan.groups][:2] == [0, 10_000]
    assert plan.seats[0].languages == ("ug", "en")
    assert plan.partners[0].after_ms == 30_000
    assert plan.lines[0].call_class is CallClass.EMERGENCY


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('[[groups]]\ngroup_id = "late"', "seats.group"),
        ('[[groups]]\ngroup_id = "hall"\nafter_s = 5', "queue.groups"),
        ('[[groups]]\ngroup_id = "hall"\nafter_s = 0\nreserve = true', "queue.groups"),
        ('[[groups]]\ngroup_id = "hall"\nafter_s = 0\n' * 2, "queue.groups.group_id"),
    ],
)
def test_a_queue_that_could_not_work_is_refused(text: str, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_queue(queue(text), SEATS)
    assert refused.value.field == field


@pytest.mark.parametrize("uri", ["tel:110", "sip:120", "sip:a@b c", "sip:a@b>"])
def test_a_partner_has_a_sip_uri(uri: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape("partners[0].uri")):
        queue(f'[[partners]]\npartner_id = "x"\nuri = "{uri}"')
