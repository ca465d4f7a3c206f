"""The witness's files and command line."""

from pathlib import Path

import pytest

from dispatch.contracts.errors import BadInput
from failover.ballots import read_ballot, write_ballot
from failover.settings import load_witness
from failover.voter import Ballot
from failover.witness import main

GOOD = """
ballot = "ballot.json"
secret = "sixteen letters at least"
nodes = ["a", "b"]
[listen]
host = "127.0.0.1"
port = 8121
"""


def config(folder: Path, text: str = GOOD) -> Path:
    path = folder / "w.toml"
    path.write_text(text)
    return path


def test_a_ballot_is_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "ballot.json"
    assert read_ballot(path) == Ballot()
    ballot = Ballot(epoch=4, holder="b", isr=frozenset({"a", "b"}), serial=3, floor_seq=99)
    write_ballot(path, ballot)
    assert read_ballot(path) == ballot
    path.write_text("{half")
    with pytest.raises(BadInput):
        read_ballot(path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("port = 8121", "port = 0"),
        ('secret = "sixteen letters at least"', 'secret = "short"'),
        ('nodes = ["a", "b"]', 'nodes = ["a"]'),
        ("[listen]", "[listens]"),
        ('ballot = "ballot.json"', ""),
        ("[listen]", "what = 1\n[listen]"),
    ],
)
def test_a_half_written_configuration_is_refused(tmp_path: Path, before: str, after: str) -> None:
    with pytest.raises(BadInput):
        load_witness(config(tmp_path, GOOD.replace(before, after)))


def test_it_is_seeded_once_and_sensibly(tmp_path: Path) -> None:
    words = ["seed", "--config", str(config(tmp_path))]
    assert main([*words, "--holder", "a", "--in-sync", "b", "--epoch", "1"]) == 1
    assert main([*words, "--holder", "a", "--in-sync", "a", "c", "--epoch", "1"]) == 1
    assert main([*words, "--holder", "a", "--in-sync", "a", "--epoch", "0"]) == 1
    assert main([*words, "--holder", "a", "--in-sync", "a", "b", "--epoch", "7"]) == 0
    assert main([*words, "--holder", "b", "--in-sync", "b", "--epoch", "8"]) == 1
    assert read_ballot(tmp_path / "ballot.json").epoch == 7
