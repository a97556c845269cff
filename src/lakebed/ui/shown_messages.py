"""One message of a topic, decoded for a person: a change event, or anything else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from confluent_kafka import Message

from lakebed.cdc.decoding import EventDecoder
from lakebed.cdc.event_messages import ContentReader
from lakebed.cdc.events import ChangeEvent
from lakebed.clients.registry import schema_registry_client
from lakebed.errors import LakebedError
from lakebed.ui.cells import cell, indented, plain
from lakebed.ui.looking import Look

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class ShownMessage:
    """One message.

    Attributes:
        partition, offset: where it stands.
        at: when it was sent to Kafka, ISO 8601 in UTC; empty where it does not say.
        operation: of a change event: "create", "update", ...; "message" for anything else.
        key: in one line; empty without one.
        summary: what is in it, in one line.
        changed: of an update, by column, the value before and after, where PostgreSQL logged both.
        content: all of it, as indented JSON or as text.
        position: of a change event, its place in PostgreSQL's log.
        milliseconds: of a change event, from commit in PostgreSQL to Kafka; None of a snapshot's.
        problem: why it could not be decoded; empty where it could.
    """

    partition: int
    offset: int
    at: str
    operation: str
    key: str
    summary: str
    changed: tuple[tuple[str, str, str], ...]
    content: str
    position: str
    milliseconds: float | None
    problem: str


class MessageDecoder:
    """Decodes messages for a person; never raises: what is wrong with one is said in its place."""

    def __init__(self, contents: ContentReader, events: EventDecoder) -> None:
        self._contents = contents
        self._events = events

    def __call__(self, message: Message) -> ShownMessage:
        """Return a message as it is shown."""
        try:
            payload = self._payload(message.value())
            if isinstance(payload, dict) and {"op", "source"} <= payload.keys():
                return shown_event(self._events.decode(message))
            key = self._payload(message.key())
            return _shown_other(message, key, payload)
        except (LakebedError, ValueError) as error:
            seen = error.seen if isinstance(error, LakebedError) else str(error)
            return _shown_other(message, _text(message.key()), _text(message.value()), seen)

    def _payload(self, content: Any) -> Any:
        if content is None:
            return None
        content = content.encode() if isinstance(content, str) else bytes(content)
        if content[:1] == b"\x00":
            return self._contents.read(content).payload
        try:
            return self._contents.read(content).payload
        except ValueError:
            # No JSON: a text is shown as one.
            return _text(content)


def shown_event(event: ChangeEvent) -> ShownMessage:
    """Return a change event as it is shown."""
    row = event.row
    summary = cell({} if row is None else row)
    if event.message is not None:
        summary = cell({"prefix": event.message.prefix, "content": event.message.content})
    content = {
        "op": event.op.value,
        "key": event.key,
        "before": event.before,
        "after": event.after,
        "source": None if event.source is None else _source(event),
        "transaction": None if event.transaction is None else event.transaction.id,
    }
    return ShownMessage(
        partition=event.partition,
        offset=event.offset,
        at="" if event.kafka_timestamp is None else event.kafka_timestamp.isoformat(),
        operation=event.op.name.lower(),
        key="" if event.key is None else cell(event.key),
        summary=summary,
        changed=tuple((name, cell(old), cell(new)) for name, (old, new) in event.changed().items()),
        content=indented(content),
        position="" if event.source is None else event.source.lsn_text,
        milliseconds=_milliseconds(event),
        problem="",
    )


def _source(event: ChangeEvent) -> dict[str, Any]:
    source = event.source
    assert source is not None
    return {
        "table": f"{source.db}.{source.schema}.{source.table}",
        "lsn": source.lsn_text,
        "transaction": source.tx_id,
        "committed": source.timestamp,
        "snapshot": source.snapshot,
    }


def _milliseconds(event: ChangeEvent) -> float | None:
    if event.source is None or event.source.is_snapshot or event.kafka_timestamp is None:
        return None
    return round((event.kafka_timestamp - event.source.timestamp) / timedelta(milliseconds=1), 1)


def _shown_other(message: Message, key: Any, value: Any, problem: str = "") -> ShownMessage:
    milliseconds = message.timestamp()[1]
    at = (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat() if milliseconds >= 0 else ""
    return ShownMessage(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        at=at,
        operation="tombstone" if message.value() is None else "message",
        key="" if key is None else cell(key),
        summary="" if value is None else cell(value),
        changed=(),
        content=value if isinstance(value, str) else indented(plain(value)),
        position="",
        milliseconds=None,
        problem=problem,
    )


def _text(content: Any) -> Any:
    """Return bytes as a text where they are one, else as they are."""
    if not isinstance(content, bytes):
        return content
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


@contextmanager
def opened_decoder(look: Look) -> Iterator[MessageDecoder]:
    """Open a decoder for one page, so that no schema outlives the registry it came from."""
    if not look.has("schema-registry"):
        yield MessageDecoder(ContentReader(None), EventDecoder())
        return
    config = look.addresses.schema_registry_config()
    with schema_registry_client(config, look.addresses.schema_registry) as registry:
        yield MessageDecoder(ContentReader(registry), EventDecoder(registry=registry))
