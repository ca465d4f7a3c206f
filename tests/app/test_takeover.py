"""What a takeover must not wait for."""

import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from msgspec.structs import replace

from dispatch.app.active import ActiveRooms
from dispatch.app.clock import SystemClock
from dispatch.app.ground import Ground
from dispatch.app.parts import demo_settings
from dispatch.core.state import empty
from triage.load import load_bundled


async def test_the_desks_of_a_new_writer_read_no_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were read at each takeover, on the one thread: 50 to 500 ms without an answer."""
    anything = SimpleNamespace()
    asked = demo_settings(tmp_path)
    ground = SimpleNamespace(
        settings=replace(asked, vehicles=replace(asked.vehicles, url="mqtt://127.0.0.1:1")),
        clock=SystemClock(),
        protocols=load_bundled(),
        sequencer=SimpleNamespace(state=empty()),
        travel=anything,
        live=anything,
        etas=anything,
        looking=SimpleNamespace(nearest=None, places=None),
        hub=SimpleNamespace(viewers=list),
        operators=httpx.AsyncClient(),
    )

    def read(*_: object, **__: object) -> None:
        raise AssertionError("certificates are read")

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", read)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", read)
    with pytest.raises(AssertionError):
        httpx.AsyncClient()
    rooms = ActiveRooms(cast("Ground", ground), 2)
    assert rooms.telephony.state.epoch == 0
    await ground.operators.aclose()
