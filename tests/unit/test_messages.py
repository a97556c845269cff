"""Any message, decoded as far as it can be, and how it looks."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from confluent_kafka import Message
from rich.console import Console

from lakebed.cdc.events import Operation
from lakebed.cdc.messages import MessageReader, SeenMessage
from lakebed.cli.json_output import plain
from lakebed.cli.message_view import message_json, message_text, value_text

SOURCE = {
    "connector": "postgresql",
    "version": "3.6.3.Final",
    "name": "shop",
    "db": "shop",
    "schema": "public",
    "table": "orders",
    "lsn": 0x1A2B3C8,
    "txId": 7,
    "sequence": '["1", "2"]',
    "snapshot": "false",
    "ts_ms": 1_700_000_000_000,
}


def message(value: Any, key: Any = None, headers: Any = None) -> Message:
    def encoded(part: Any) -> bytes | None:
        return part if part is None or isinstance(part, bytes) else json.dumps(part).encode()

    return Message(
        topic="shop.public.orders",
        partition=0,
        offset=42,
        key=encoded(key),
        value=encoded(value),
        timestamp=(1, 1_700_000_000_038),
        headers=headers,
    )


def read(value: Any, key: Any = None) -> SeenMessage:
    return MessageReader(None).read(message(value, key))


def event(**fields: Any) -> dict[str, Any]:
    return {"before": None, "after": None, "source": SOURCE, "ts_ms": 1, **fields}


def shown(seen: SeenMessage) -> str:
    return message_text(seen).plain


def test_an_update_shows_what_has_changed() -> None:
    value = event(
        op="u", before={"id": 5, "cents": 999, "name": "x"}, after={"id": 5, "cents": 899, "name": "x"}
    )
    seen = read(value, {"id": 5})
    assert (seen.kind, seen.key, seen.reason) == ("event", {"id": 5}, None)
    assert seen.latency_seconds == 0.038
    heading, change = shown(seen).splitlines()
    assert heading.endswith("shop.public.orders 0@42 UPDATE id=5  0/1A2B3C8 +38 ms")
    assert change == "    cents 999 -> 899"
    told = plain(message_json(seen))
    assert (told["op"], told["changed"], told["latency_seconds"]) == ("u", ["cents"], 0.038)
    assert told["source"] == {
        "db": "shop",
        "schema": "public",
        "table": "orders",
        "lsn": "0/1A2B3C8",
        "tx_id": 7,
        "is_snapshot": False,
        "committed_at": "2023-11-14T22:13:20+00:00",
    }
    assert (told["before"]["cents"], told["after"]["cents"]) == (999, 899)


def test_a_create_a_delete_and_a_row_of_a_snapshot_show_the_row() -> None:
    assert shown(read(event(op="c", after={"id": 5, "name": None}))).splitlines()[1] == "    id=5 name=NULL"
    assert shown(read(event(op="d", before={"id": 5}))).splitlines()[1] == "    id=5"
    snapshot = read({**event(op="r", after={"id": 5}), "source": {**SOURCE, "snapshot": "true"}})
    assert snapshot.latency_seconds is None
    assert "READ  0/1A2B3C8 snapshot" in shown(snapshot)


def test_what_postgresql_did_not_log_is_told_from_null() -> None:
    seen = read(event(op="u", after={"id": 5, "text": "__debezium_unavailable_value"}))
    assert shown(seen).splitlines()[1] == "    id=5 text=unavailable"
    told = message_json(seen)
    assert (told["after"], told["unavailable"]) == ({"id": 5, "text": None}, ["text"])


def test_a_tombstone() -> None:
    seen = read(None, {"id": 5})
    assert seen.kind == "tombstone"
    assert shown(seen).endswith("0@42 TOMBSTONE id=5")
    assert "op" not in message_json(seen)
    assert read(None, b"text").key == "text"


def test_any_other_message_is_shown_as_it_is() -> None:
    assert (read({"a": [1]}).value, shown(read({"a": [1]})).splitlines()[1]) == ({"a": [1]}, '    {"a": [1]}')
    text = read(b"just text", b"a key")
    assert (text.kind, text.value, text.key, text.reason) == ("plain", "just text", "a key", None)
    assert message_json(text)["value"] == "just text"
    with_schema = {"schema": {"type": "int32", "name": "io.debezium.time.Date"}, "payload": 1}
    assert str(read(with_schema).value) == "1970-01-02"


def test_what_cannot_be_decoded_is_shown_as_bytes_with_the_reason() -> None:
    avro = read(b"\x00\x00\x00\x00\x07rest")
    assert (avro.kind, avro.undecoded) == ("undecodable", b"\x00\x00\x00\x00\x07rest")
    assert avro.reason is not None
    assert "Avro of schema 7, and no schema registry" in avro.reason
    _, raw, reason = shown(avro).splitlines()
    assert raw == r"    b'\x00\x00\x00\x00\x07rest'"
    assert reason.strip() == avro.reason
    told = plain(message_json(avro))
    assert (told["kind"], told["value_base64"]) == ("undecodable", "AAAAAAdyZXN0")
    assert read(b"\xff\xfe").kind == "undecodable"


def test_what_only_looks_like_a_change_event_says_why_it_is_none() -> None:
    seen = read(event(op="x"))
    assert (seen.kind, seen.reason) == ("plain", "unknown operation 'x'")
    other = read({**event(op="c"), "source": {**SOURCE, "connector": "oracle"}})
    assert other.reason is not None
    assert "no event of the connectors for postgresql" in other.reason
    # Its key is no JSON: the event says all there is to say, and the key is its text.
    keyed = read(event(op="c", after={"id": 1}), b"Struct{id=1}")
    assert (keyed.key, keyed.value["op"]) == ("Struct{id=1}", "c")


def test_a_registry_that_does_not_answer_is_a_reason() -> None:
    class Unreachable:
        def get_schema(self, schema_id: int) -> Any:
            raise ConnectionError("refused")

    seen = MessageReader(Unreachable()).read(message(b"\x00\x00\x00\x00\x07rest"))  # type: ignore[arg-type]
    assert (seen.kind, seen.undecoded) == ("undecodable", b"\x00\x00\x00\x00\x07rest")
    assert seen.reason == "refused"


def test_no_escape_sequence_reaches_the_terminal() -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\r\u202e"
    messages = [
        read(evil.encode(), evil.encode()),
        read({evil: evil}, {evil: evil}),
        read(event(op="u", before={evil: evil + "1"}, after={evil: evil}), {evil: evil}),
        read(event(op="c", after={evil: [evil, {evil: evil}]})),
        read(event(op=evil)),
        read(b"\x00\x00\x00\x00\x07" + evil.encode()),
        SeenMessage(evil, 0, 0, value=evil, reason=evil),
    ]
    console = Console(force_terminal=True, color_system=None, width=500)
    with console.capture() as capture:
        for one in messages:
            console.print(message_text(one))
    assert not {letter for letter in capture.get() if letter != "\n" and not letter.isprintable()}
    for one in messages:
        json.dumps(plain(message_json(one))).encode("ascii")


def test_each_part_has_a_colour_of_its_own() -> None:
    console = Console(force_terminal=True, color_system="standard", width=500)
    with console.capture() as capture:
        seen = read(event(op="u", before={"id": 5, "cents": 999}, after={"id": 5, "cents": 899}), {"id": 5})
        console.print(message_text(seen, "cyan"))
    heading, change = capture.get().splitlines()
    assert "\x1b[36mshop.public.orders\x1b[0m" in heading
    assert "\x1b[1;33mUPDATE\x1b[0m" in heading
    assert "\x1b[31m999\x1b[0m -> \x1b[32m899\x1b[0m" in change


def test_values_of_columns() -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
    values = [None, True, 1.5, "it's", b"\x00", at, [1, None], {"a": "b"}, "x" * 301]
    assert [value_text(value) for value in values] == [
        "NULL",
        "True",
        "1.5",
        '"it\'s"',
        r"b'\x00'",
        "2026-01-31T12:00:00+00:00",
        "[1, null]",
        '{"a": "b"}',
        f"'{'x' * 299}... (303 letters)",
    ]


def test_every_operation_has_a_line() -> None:
    letters = {operation.value for operation in Operation} - {""}
    for letter in letters:
        seen = read(event(op=letter, after={"id": 1}))
        assert seen.event is not None
        assert seen.event.op.name in shown(seen)
