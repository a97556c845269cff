"""The ledger: what is written is what is read, also after the writer was killed in the middle of a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakebed.errors import LedgerUnreadable
from lakebed.stack.ledger import Entry, Ledger

DATABASE = Entry("database", "test_a")
SLOT = Entry("slot", "test_a")
TOPIC = Entry("topic", "orders.ümläut")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def test_a_holders_entries_come_last_recorded_first(path: Path) -> None:
    ledger = Ledger(path)
    ledger.record("a", [DATABASE])
    ledger.record("b", [TOPIC])
    ledger.record("a", [SLOT])
    assert ledger.entries("a") == [SLOT, DATABASE]
    assert ledger.entries("b") == [TOPIC]
    assert ledger.entries() == [SLOT, TOPIC, DATABASE]


def test_what_is_forgotten_is_gone_and_may_be_forgotten_twice(path: Path) -> None:
    ledger = Ledger(path)
    ledger.record("a", [DATABASE, SLOT])
    ledger.forget([SLOT])
    ledger.forget([SLOT, TOPIC])
    assert ledger.entries("a") == [DATABASE]


def test_another_supervisor_reads_all_of_it_and_goes_on(path: Path) -> None:
    ledger = Ledger(path)
    ledger.record("a", [DATABASE, SLOT])
    ledger.forget([DATABASE])
    ledger.set_baseline("kafka", {"topic": {"orders": ""}, "consumer-group": {}})
    taken_over = Ledger.read(path)
    taken_over.record("b", [TOPIC])
    again = Ledger.read(path)
    assert again.entries() == [TOPIC, SLOT]
    assert again.entries("a") == [SLOT]
    assert again.baselines == {"kafka": {"topic": {"orders": ""}, "consumer-group": {}}}


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_half_written_last_line_is_dropped_and_what_follows_is_whole(path: Path, cut: int) -> None:
    ledger = Ledger(path)
    ledger.record("a", [DATABASE])
    ledger.record("a", [SLOT])
    path.write_bytes(path.read_bytes()[:-cut])
    taken_over = Ledger.read(path)
    assert taken_over.entries() == [DATABASE]
    taken_over.record("b", [TOPIC])
    assert Ledger.read(path).entries() == [TOPIC, DATABASE]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]\n",
        b'{"ledger": 99}\n',
        b'{"ledger": 1}\n{"recor\n{"forget": []}\n',
        b'{"ledger": 1}\n{"something": "else"}\n',
        b'{"ledger": 1}\n{"record": [["topic"]], "holder": "a"}\n',
        b'{"ledger": 1}\n\xff\xfe\n',
        b"\x00" * 40 + b"\n",
    ],
)
def test_one_of_another_version_or_damaged_is_refused_by_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerUnreadable) as caught:
        Ledger.read(path)
    assert str(path) in caught.value.attempted
    assert caught.value.seen
    assert "lakebed down" in caught.value.remedy
    # Nothing is lost by reading it.
    assert path.read_bytes() == content


def test_starting_anew_keeps_what_is_there_and_makes_the_file_small(path: Path) -> None:
    ledger = Ledger(path)
    for number in range(200):
        entry = Entry("topic", f"t{number}")
        ledger.record("a", [entry])
        ledger.forget([entry])
    ledger.record("a", [DATABASE, SLOT])
    ledger.record("b", [TOPIC])
    ledger.set_baseline("kafka", {"topic": {}})
    ledger.start_anew()
    assert ledger.baselines == {}
    again = Ledger.read(path)
    assert again.baselines == {}
    assert again.entries() == ledger.entries() == [TOPIC, SLOT, DATABASE]
    assert again.entries("a") == [SLOT, DATABASE]
    assert len(path.read_bytes().splitlines()) == 4
    assert not path.with_suffix(".new").exists()


def test_the_file_is_for_its_user_only(path: Path) -> None:
    Ledger(path).record("a", [DATABASE])
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_bytes().splitlines()[0]) == {"ledger": 1}
