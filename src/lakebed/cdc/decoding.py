"""From a message of a change topic to a `ChangeEvent`: one message in, one event out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from lakebed.cdc.event_catalog import HandlingModes, table_types
from lakebed.cdc.event_messages import Content, ContentReader
from lakebed.cdc.event_values import TEXTS_OF_BYTES, FieldType, Unavailable, as_bytes, row_decoder
from lakebed.cdc.events import (
    BinlogPosition,
    ChangeEvent,
    LogicalMessage,
    Operation,
    Row,
    SourcePosition,
    Transaction,
)
from lakebed.errors import PoisonMessage

if TYPE_CHECKING:
    import psycopg
    from confluent_kafka import Message
    from confluent_kafka.schema_registry import SchemaRegistryClient

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SHOWN_BYTES = 60
_WITH_BINLOG = ("mariadb", "mysql")
_OLD_KEY, _NEW_KEY = "__debezium.oldkey", "__debezium.newkey"

Columns = Mapping[str, FieldType]


class EventDecoder:
    """Decodes messages, as a plain `confluent_kafka.Consumer` returns them, into change events.

    JSON without schemas, JSON with schemas and Avro are told apart message by message.

    Args:
        registry: where Avro schemas are; without it Avro is refused.
        postgres: a connection to the captured database: JSON without schemas gets its types from there.
            Without it such values stay as they were sent.
        modes: how the connector writes values; needed with `postgres`.
    """

    def __init__(
        self,
        *,
        registry: SchemaRegistryClient | None = None,
        postgres: psycopg.Connection[Any] | None = None,
        modes: HandlingModes | None = None,
    ) -> None:
        self._modes = modes or HandlingModes()
        self._postgres = postgres
        self._contents = ContentReader(registry)
        self._unavailable = Unavailable(self._modes.unavailable_value_placeholder)
        self._catalog: dict[tuple[str, str], dict[str, FieldType]] = {}
        self._asked: set[tuple[tuple[str, str], frozenset[str]]] = set()
        self._tables: dict[str, tuple[str, str]] = {}
        # By the id of the columns, which are kept beside it, so that nothing else gets that id.
        self._decoders: dict[int, tuple[Columns, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {}
        self._merged: dict[tuple[int, int], tuple[Columns, Columns, Columns]] = {}

    def refresh(self) -> None:
        """Ask PostgreSQL again for the types of its tables, which may have been altered."""
        self._asked.clear()

    def decode(self, message: Message) -> ChangeEvent:
        """Return the event that a message is.

        Raises:
            PoisonMessage: it is none, or one of its values is not of its column's type.
        """
        try:
            return self._event(message)
        except ValueError as error:
            raise poison(message, str(error)) from error
        # Whoever may write to the topic decides what is in it.
        except (KeyError, TypeError, AttributeError, ArithmeticError, IndexError, RecursionError) as error:
            raise poison(message, f"no change event: {type(error).__name__} {error}") from error

    def _event(self, message: Message) -> ChangeEvent:
        value = message.value()
        content = None if value is None else self._contents.read(_bytes(value))
        if content is None or content.payload is None:
            return ChangeEvent(op=Operation.TOMBSTONE, **self._place(message))
        envelope = content.payload
        if not isinstance(envelope, dict) or not {"op", "source"} <= envelope.keys():
            fields = (
                f"the fields {', '.join(envelope)}" if isinstance(envelope, dict) else f"{envelope!r:.80}"
            )
            raise ValueError(f"no change event, which has `op` and `source`, but {fields}")
        source = _source(envelope["source"])
        topic = message.topic() or ""
        self._tables[topic] = (source.schema, source.table)
        return ChangeEvent(
            op=_operation(envelope["op"]),
            before=self._row(content, "before", source),
            after=self._row(content, "after", source),
            source=source,
            transaction=_transaction(envelope.get("transaction")),
            timestamp=_instant(envelope),
            message=_logical_message(envelope.get("message")),
            **self._place(message),
        )

    def _place(self, message: Message) -> dict[str, Any]:
        topic = message.topic() or ""
        headers = {name: _header(value) for name, value in _pairs(message.headers())}
        milliseconds = message.timestamp()[1]
        return {
            "topic": topic,
            "partition": message.partition(),
            "offset": message.offset(),
            "key": self._key(topic, message.key()),
            "old_key": self._key(topic, headers.get(_OLD_KEY)),
            "new_key": self._key(topic, headers.get(_NEW_KEY)),
            "kafka_timestamp": _EPOCH + timedelta(milliseconds=milliseconds) if milliseconds >= 0 else None,
            "headers": headers,
        }

    def _key(self, topic: str, key: Any) -> Row | None:
        content = None if key is None else self._contents.read(_bytes(key))
        if content is None or content.payload is None:
            return None
        if not isinstance(content.payload, dict):
            raise ValueError(f"the key is {content.payload!r:.80}, and no row")
        if content.type is not None:
            return self._decoded(content.payload, content.type.fields)
        # A tombstone says its table only by its topic.
        schema, _, table = topic.rpartition(".")
        table_of_topic = self._tables.get(topic, (schema.rpartition(".")[2], table))
        return self._decoded(content.payload, self._catalog_columns(*table_of_topic, content.payload))

    def _row(self, content: Content, name: str, source: SourcePosition) -> Row | None:
        row = content.payload.get(name)
        if row is None:
            return None
        if content.type is None:
            return self._decoded(row, self._catalog_columns(source.schema, source.table, row))
        columns = content.type.fields[name].fields
        if self._modes.binary_handling_mode != "bytes":
            # The schema says only that it is text; the catalog, if there is one, knows the bytes.
            known = self._catalog_columns(source.schema, source.table, row)
            columns = self._with_bytes(columns, known)
        return self._decoded(row, columns)

    def _decoded(self, row: Mapping[str, Any], columns: Columns) -> Row:
        kept = self._decoders.get(id(columns))
        if kept is None or kept[0] is not columns:
            kept = self._decoders[id(columns)] = (columns, row_decoder(columns, self._unavailable))
        return Row(kept[1](row))

    def _catalog_columns(self, schema: str, table: str, row: Mapping[str, Any]) -> Columns:
        """Return the table's columns; asked once, and again when a row has others than all before."""
        if self._postgres is None:
            return {}
        name = (schema, table)
        asked = (name, frozenset(row))
        if asked not in self._asked:
            self._asked.add(asked)
            known = self._catalog.get(name, {})
            # A column that is gone keeps the type it had; a table that is gone, all of them.
            found = {**known, **table_types(self._postgres, schema, table, self._modes)}
            if found != known:
                self._catalog[name] = found
        return self._catalog.get(name, {})

    def _with_bytes(self, columns: Columns, known: Columns) -> Columns:
        """Return the columns; those that a schema calls text and the catalog bytes, as bytes."""
        kept = self._merged.get((id(columns), id(known)))
        if kept is None or kept[0] is not columns or kept[1] is not known:
            merged = {
                name: known[name] if _is_bytes(known.get(name)) else kind for name, kind in columns.items()
            }
            kept = self._merged[id(columns), id(known)] = (columns, known, merged)
        return kept[2]


def _is_bytes(kind: FieldType | None) -> bool:
    item = kind if kind is None or kind.items is None else kind.items
    return item is not None and item.name in TEXTS_OF_BYTES


def poison(message: Message, reason: str) -> PoisonMessage:
    """Return the error for a message that cannot be decoded."""
    value = message.value()
    shown = (
        "no value" if value is None else f"{len(value)} bytes, the first: {_bytes(value)[:_SHOWN_BYTES]!r}"
    )
    return PoisonMessage(
        f"decode offset {message.offset()} of topic {message.topic()!r}, partition {message.partition()}",
        f"{reason}\n{shown}",
        "see who else writes to the topic, and whether the connector's converters and transforms keep"
        " Debezium's envelope; to go on, pass `on_poison=`, or start behind it with"
        f" `after={message.offset()}`",
    )


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _pairs(headers: Any) -> list[tuple[str, Any]]:
    # The stubs of confluent-kafka also know headers as a mapping, which only producers take.
    return list(headers or [])


def _header(value: Any) -> bytes | None:
    return None if value is None else _bytes(value)


def _operation(letter: Any) -> Operation:
    try:
        return Operation(letter)
    except ValueError:
        raise ValueError(f"unknown operation {letter!r}") from None


def _source(source: Any) -> SourcePosition:
    if not isinstance(source, dict) or source.get("connector") not in ("postgresql", *_WITH_BINLOG):
        known = f"no event of the connectors for {', '.join(('postgresql', *_WITH_BINLOG))}"
        raise ValueError(f"{known}, but its source is {source!r:.80}")
    has_binlog = source["connector"] in _WITH_BINLOG
    return SourcePosition(
        db=source["db"],
        schema="" if has_binlog else source["schema"],
        table=source["table"],
        lsn=source.get("lsn"),
        tx_id=source.get("txId"),
        xmin=source.get("xmin"),
        sequence=_sequence(source.get("sequence")),
        snapshot=source.get("snapshot") or "false",
        connector=source["connector"],
        version=source["version"],
        name=source["name"],
        timestamp=_instant(source) or _EPOCH,
        binlog=BinlogPosition(source["file"], source["pos"], source["row"], source.get("gtid"))
        if has_binlog
        else None,
    )


def _sequence(text: str | None) -> tuple[int | None, int | None]:
    commit, change = (*json.loads(text), None, None)[:2] if text else (None, None)
    return (None if commit is None else int(commit)), (None if change is None else int(change))


def _transaction(block: Mapping[str, Any] | None) -> Transaction | None:
    if block is None:
        return None
    return Transaction(block["id"], block["total_order"], block["data_collection_order"])


def _logical_message(message: Mapping[str, Any] | None) -> LogicalMessage | None:
    if message is None:
        return None
    return LogicalMessage(message["prefix"], as_bytes(message["content"]))


def _instant(fields: Mapping[str, Any]) -> datetime | None:
    """Return the most exact of an event's time stamps; Python has microseconds."""
    if fields.get("ts_us") is not None:
        return _EPOCH + timedelta(microseconds=fields["ts_us"])
    if fields.get("ts_ms") is not None:
        return _EPOCH + timedelta(milliseconds=fields["ts_ms"])
    return None
