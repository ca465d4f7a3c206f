"""`[pair]`: the documented example loads, and a wrong or half-written one is refused by name."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispatch.app.commands import app
from dispatch.app.settings import load, save
from dispatch.contracts.errors import BadInput
from failover.ballots import read_ballot
from failover.settings import load_witness

EXAMPLES = Path(__file__).parents[2] / "docs" / "pair"


def test_the_three_machines_of_the_example_fit_together() -> None:
    a, b = (load(EXAMPLES / f"{name}.toml") for name in ("a", "b"))
    witness = load_witness(EXAMPLES / "w.toml")
    assert a.pair is not None
    assert b.pair is not None
    assert a.secret == b.secret
    assert a.pair.secret == b.pair.secret == witness.secret
    assert a.pair.witness == b.pair.witness == witness.listen
    assert {a.node, b.node} == set(witness.nodes)
    assert (a.pair.own_web, a.pair.peer_web) == (b.pair.peer_web, b.pair.own_web)
    ours, theirs = a.pair.protocol(a.node), b.pair.protocol(b.node)
    assert (ours.node, ours.peer) == (theirs.peer, theirs.node)
    for here, there in zip(ours.channels, theirs.channels, strict=True):
        assert (here.name, here.listen, here.peer) == (there.name, there.peer, there.listen)
        assert here.peer_journal.port == theirs.journal_port
        assert here.peer_journal.host in theirs.journal_bind.split()


def test_the_settings_of_a_start_keep_the_pair(tmp_path: Path) -> None:
    settings = load(EXAMPLES / "a.toml")
    save(settings, tmp_path / "runtime.json")
    assert load(tmp_path / "runtime.json").pair == settings.pair


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("", 'secret = "change-me-the-same-on-a-b-and-witness"\n'), r"secret.*pair"),
        (("", 'secret = "change-me-the-same-on-a-and-b-only-32"\n'), "secret: is missing"),
        (('secret = "short"\n', 'secret = "change-me-the-same-on-a-b-and-witness"\n'), "secret"),
        (('peer = "a"\n', 'peer = "b"\n'), "pair.peer"),
        (('peers = "b"\n', 'peer = "b"\n'), "peers"),
        (('name = "lan"\n', 'name = "cross"\n'), "pair.channels.name"),
        (("", "journal_port = 8123\n"), "journal_port"),
        (("", re.search(r"(?m)^witness = .*\n", (EXAMPLES / "a.toml").read_text())[0]), "witness"),  # type: ignore[index]
        (('own_web = "10.0.0.1:8120"\n', 'own_web = "http://10.0.0.1:8120"\n'), "pair.own_web"),
        (
            ('peer_web = "http://10.0.0.1:8120"\n', 'peer_web = "http://10.0.0.2:8120"\n'),
            "peer_web",
        ),
        (('[journal]\nurl = "redis://x"\n[web]\n', "[web]\n"), "journal.url"),
        (
            (
                'secret = "change-me-the-same-on-a-and-b-only-32"\n',
                'secret = "change-me-the-same-on-a-b-and-witness"\n',
            ),
            "pair.secret",
        ),
    ],
)
def test_a_wrong_pair_is_refused(tmp_path: Path, change: tuple[str, str], named: str) -> None:
    new, old = change
    text = (EXAMPLES / "a.toml").read_text("utf-8")
    text = re.sub(r"[ ]+#.*$", "", text, flags=re.MULTILINE)
    assert old in text
    path = tmp_path / "a.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(BadInput, match=named):
        load(path)


def test_node_needs_a_pair() -> None:
    found = CliRunner().invoke(
        app, ["node", "--config", str(EXAMPLES.parent / "dispatch120.example.toml")]
    )
    assert isinstance(found.exception, BadInput)
    assert "[pair]" in str(found.exception)


def test_the_witness_is_seeded_once(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_bytes((EXAMPLES / "w.toml").read_bytes())
    words = ["witness", "seed", "--config", str(path), "--holder", "a", "--epoch", "1"]
    done = CliRunner().invoke(app, [*words, "--in-sync", "a, b"])
    assert done.exit_code == 0, done.output
    assert read_ballot(tmp_path / "ballot.json").isr == {"a", "b"}
    again = CliRunner().invoke(app, [*words, "--in-sync", "a"])
    assert isinstance(again.exception, BadInput)
    assert read_ballot(tmp_path / "ballot.json").isr == {"a", "b"}
    foreign = CliRunner().invoke(app, [*words, "--in-sync", "a,c"])
    assert isinstance(foreign.exception, BadInput)


def test_the_witness_loads_nothing_of_the_machines() -> None:
    """It may be the smallest box there is."""
    program = (
        "import sys; from dispatch.app import cli; sys.argv = ['dispatch120', 'witness']; "
        "cli._app(); print(*sorted(name.partition('.')[0] for name in sys.modules))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "failover" in told
    assert not {"numpy", "scipy", "fastapi", "redis", "avl", "telephony", "triage"} & set(told)
