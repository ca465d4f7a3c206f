"""Settings, and the Kamailio configuration made from them."""

import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from dispatch.contracts.errors import BadInput
from telephony import kamailio
from telephony.settings import GatewaySettings, load
from tests.telephony.harness import settings


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text(
        'gateway_id = "g1"\ndata_dir = "/d"\nlink = "unix:/d/link"\nsecret = "12345678"\n'
        '[kamailio]\nlisten_port = 5070\n[[kamailio.phones]]\nuser = "8001"\npassword = "x"\n'
    )
    made = load(tmp_path / "g.toml")
    assert made.kamailio.phones[0].user == "8001"
    (tmp_path / "g.json").write_bytes(msgspec.json.encode(made))
    assert load(tmp_path / "g.json") == made


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kamailio": {"listen_host": "a b"}}, "kamailio.listen_host"),
        ({"kamailio": {"sources": [{"cidr": "10.0.0.1/8"}]}}, "kamailio.sources[0].cidr"),
        ({"kamailio": {"internal_port": 5060}}, "kamailio.internal_port"),
        ({"kamailio": {"listen_port": 5101}}, "kamailio.listen_port"),
        ({"kamailio": {"internal_port": 20_005}}, "kamailio.internal_port"),
        ({"pool": {"rtp_port_base": 65500}}, "pool.rtp_port_base"),
        ({"pool": {"rtp_port_base": 5090}}, "pool.rtp_port_base"),
        ({"data_dir": "/" + "d" * 200}, "data_dir"),
        ({"link": "nowhere"}, "link"),
        ({"typo": 1}, "g.json"),
        ({"ring_group": {"seats": [{"seat_id": "1", "phone": "9"}]}}, "ring_group.seats[0].phone"),
        ({"kamailio": {"realm": 'x"; exit; "'}}, "kamailio.realm"),
        ({"kamailio": {"phones": [{"user": 'a"b', "password": "x"}]}}, "g.json"),
    ],
)
def test_what_cannot_work_is_refused_with_its_field(
    tmp_path: Path, change: dict[str, object], field: str
) -> None:
    base: dict[str, object] = {
        "gateway_id": "g1",
        "data_dir": "/d",
        "link": "unix:/d/link",
        "secret": "12345678",
    }
    (tmp_path / "g.json").write_text(json.dumps({**base, **change}))
    with pytest.raises(BadInput) as refused:
        load(tmp_path / "g.json")
    assert refused.value.field.endswith(field)


def test_kamailio_accepts_the_configuration_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    made: GatewaySettings = settings(tmp_path, workers=3)
    files = kamailio.write(made)
    text = files.config.read_text()
    assert "@@" not in text.replace("@@@", "")
    assert '"p1"' not in text  # the password itself is not written, only its digest
    assert files.config.stat().st_mode & 0o077 == 0
    assert "duid=w2;maxload=1" in files.dispatcher_list.read_text()
    listed = kamailio.dispatcher_list(made, {"w1"}).splitlines()
    flags = [line.split()[2] for line in listed[:3]]
    assert flags == ["1", "0", "1"]  # who is free when Kamailio starts is chosen at once
    program = shutil.which("kamailio", path="/usr/sbin:/usr/bin")
    assert program is not None
    checked = subprocess.run(
        [program, "-c", "-f", str(files.config)], capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr.decode()
