"""Change events as a test sees them: compared, ordered and written in an assertion."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from datetime import datetime, timezone

import pytest

from lakebed.cdc.events import (
    ABSENT,
    UNAVAILABLE,
    BinlogPosition,
    ChangeEvent,
    LogicalMessage,
    Operation,
    Row,
    SourcePosition,
    Transaction,
)

SOURCE = SourcePosition(
    db="shop",
    schema="public",
    table="orders",
    lsn=0x16_B374_D848,
    tx_id=7,
    xmin=None,
    sequence=(5, 0x16_B374_D848),
    snapshot="false",
    connector="postgresql",
    version="3.6.3.Final",
    name="shop",
    timestamp=datetime(2024, 1, 1, tzinfo=timezone.utc),
)


def test_a_row_is_a_dict_in_which_what_is_missing_is_absent() -> None:
    row = Row(id=1, name=None)
    assert row == {"id": 1, "name": None}
    assert (row["name"], row["other"], row.get("other")) == (None, ABSENT, None)
    assert "other" not in row
    assert not ABSENT
    assert not UNAVAILABLE
    assert [copy.deepcopy(ABSENT), pickle.loads(pickle.dumps(UNAVAILABLE))] == [ABSENT, UNAVAILABLE]
    assert (repr(ABSENT), repr(UNAVAILABLE)) == ("ABSENT", "UNAVAILABLE")


def test_an_event_is_short_to_read() -> None:
    event = ChangeEvent(
        topic="shop.public.orders",
        partition=0,
        offset=41,
        op=Operation.UPDATE,
        key=Row(id=1),
        before=Row(id=1, text="x" * 10_000),
        after=Row(id=1, text=UNAVAILABLE, **{f"column_{number}": number for number in range(100)}),
    )
    text = repr(event)
    assert text.startswith("<UPDATE key (id=1) before (id=1, text='xxxx")
    assert "after (id=1, text=UNAVAILABLE, column_0=0" in text
    assert text.endswith("94 more) at shop.public.orders/0@41>")
    assert len(text) < 350
    said = dataclasses.replace(event, key=None, before=None, after=None, op=Operation.MESSAGE)
    said = dataclasses.replace(said, message=LogicalMessage("audit", b"by Ada"))
    assert repr(said) == "<MESSAGE audit: b'by Ada' at shop.public.orders/0@41>"


def test_what_changed_says_nothing_of_what_is_not_known() -> None:
    event = ChangeEvent("t", 0, 0, Operation.UPDATE, before=Row(id=1, a=1, b="x"))
    assert event.changed() == {}
    event = dataclasses.replace(event, after=Row(id=1, a=2, b=UNAVAILABLE, c=3))
    assert event.changed() == {"a": (1, 2), "c": (ABSENT, 3)}


def test_positions_are_ordered_by_the_last_commit_then_by_the_log() -> None:
    later = dataclasses.replace(SOURCE, sequence=(9, 3), lsn=3)
    snapshot = dataclasses.replace(SOURCE, sequence=(None, None), lsn=None, snapshot="first")
    assert snapshot < SOURCE < later
    assert later >= SOURCE >= SOURCE
    assert max([SOURCE, later, snapshot]) == later
    assert dataclasses.replace(SOURCE, table="lines") != SOURCE
    assert SOURCE <= dataclasses.replace(SOURCE, table="lines") <= SOURCE


def test_positions_of_a_binary_log_are_ordered_by_file_place_and_row() -> None:
    places = [
        BinlogPosition("binlog.000001", 900, 0),
        BinlogPosition("binlog.000001", 900, 1),
        BinlogPosition("binlog.000001", 1200, 0, "0-1-7"),
        BinlogPosition("binlog.000002", 4, 0),
    ]
    sources = [dataclasses.replace(SOURCE, schema="", lsn=None, binlog=place) for place in places]
    backwards = [sources[place] for place in (3, 2, 1, 0)]
    assert sorted(backwards) == sources
    assert places[0] <= places[0] < places[1] <= places[2] < places[3]
    assert places[3] >= places[3] > places[2] >= places[1] > places[0]
    assert repr(sources[2]) == "<shop.orders at binlog.000001:1200, transaction 0-1-7>"


def test_a_position_is_written_as_postgresql_does() -> None:
    assert SOURCE.lsn_text == "16/B374D848"
    assert repr(SOURCE) == "<shop.public.orders at 16/B374D848, transaction 7>"
    assert "snapshot last" in repr(dataclasses.replace(SOURCE, snapshot="last"))


@pytest.mark.parametrize("id_", ["832:39942360", "832"])
def test_a_transaction_has_a_number(id_: str) -> None:
    assert Transaction(id_, 1, 1).tx_id == 832
