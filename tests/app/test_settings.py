"""Settings: what is mistyped is refused at the start, and a port is looked for where it will be."""

import socket
from pathlib import Path

import pytest

from dispatch.app.checks import check_machine
from dispatch.app.settings import Settings, VehiclesPart, WebPart, load
from dispatch.contracts.errors import BadInput


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[core]\nring_limit = 5", "ring_limit"),
        ('[roads]\nengine = "ccch"', "roads.engine"),
        ("[web]\nprot = 1", "prot"),
        (
            "[[numbers]]\nnumber = 'police'\nname_zh = '公安'\nname_en = 'police'",
            r"numbers.*number",
        ),
        (
            2 * "[[numbers]]\nnumber = '110'\nname_zh = '公安'\nname_en = 'police'\n",
            "'110' is there",
        ),
        (
            "".join(
                f"[[numbers]]\nnumber = '11{n}'\nname_zh = '一'\nname_en = 'one'\n"
                for n in range(7)
            ),
            "numbers",
        ),
    ],
)
def test_a_mistyped_setting_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "one.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=named):
        load(path)


def test_the_services_numbers_are_the_usual_ones_until_a_centre_names_its_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "one.toml"
    path.write_text("")
    usual = [(one.number, one.name_zh, one.name_en) for one in load(path).numbers]
    assert usual == [("110", "公安", "police"), ("119", "消防", "fire"), ("122", "交警", "traffic")]
    path.write_text("[[numbers]]\nnumber = '12350'\nname_zh = '应急'\nname_en = 'works accidents'")
    assert [one.number for one in load(path).numbers] == ["12350"]


def test_check_looks_for_ports_where_they_will_be_opened(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for host, ok in (("127.0.0.2", False), ("192.0.2.1", False)):  # in use, and not ours
            settings = Settings(
                data_dir=str(tmp_path),
                web=WebPart(host=host, port=port),
                vehicles=VehiclesPart(url="mqtt://elsewhere.invalid"),
            )
            found = {finding.what: finding for finding in check_machine(settings)}
            assert found["web.port"].ok is ok
            assert host in found["web.port"].detail
            assert "vehicles.port" not in found
