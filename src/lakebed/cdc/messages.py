"""Any message of any topic, decoded as far as it can be: a change event, something else, or bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from lakebed.cdc.decoding import EventDecoder
from lakebed.cdc.event_messages import ContentReader
from lakebed.cdc.event_values import decoder
from lakebed.cdc.events import ChangeEvent
from lakebed.errors import PoisonMessage

if TYPE_CHECKING:
    from confluent_kafka import Message
    from confluent_kafka.schema_registry import SchemaRegistryClient

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class SeenMessage:
    """A message, decoded as far as it can be.

    Attributes:
        topic, partition, offset: where it stands in Kafka.
        at: when it was sent to Kafka, in UTC; None if it does not say.
        key: decoded; text or bytes where it is neither JSON nor Avro.
        event: of a change topic of Debezium for PostgreSQL; None for any other message.
        value: of any other message, decoded; text where it is neither JSON nor Avro; None for a tombstone.
        undecoded: the bytes of a value that cannot be decoded.
        reason: why not; or why something that looks like a change event is none.
    """

    topic: str
    partition: int
    offset: int
    at: datetime | None = None
    key: Any = None
    event: ChangeEvent | None = None
    value: Any = None
    undecoded: bytes | None = None
    reason: str | None = None

    @property
    def kind(self) -> str:
        """What it is: "event", "tombstone", "plain" or "undecodable"."""
        if self.undecoded is not None:
            return "undecodable"
        if self.event is not None and not self.event.is_tombstone:
            return "event"
        return "plain" if self.value is not None else "tombstone"

    @property
    def latency_seconds(self) -> float | None:
        """How long a change took from its commit to Kafka; None where that says nothing, as of a snapshot."""
        source = None if self.event is None else self.event.source
        if source is None or source.is_snapshot or self.at is None:
            return None
        return (self.at - source.timestamp).total_seconds()


class MessageReader:
    """Decodes messages, as a plain `confluent_kafka.Consumer` returns them. None makes it fail.

    Args:
        registry: where Avro schemas are; without it Avro is handed on as bytes.
    """

    def __init__(self, registry: SchemaRegistryClient | None) -> None:
        self._events = EventDecoder(registry=registry)
        self._contents = ContentReader(registry)

    def read(self, message: Message) -> SeenMessage:
        """Return what a message is."""
        milliseconds = message.timestamp()[1]
        place: dict[str, Any] = {
            "topic": message.topic() or "",
            "partition": message.partition(),
            "offset": message.offset(),
            "at": _EPOCH + timedelta(milliseconds=milliseconds) if milliseconds >= 0 else None,
        }
        try:
            event = self._events.decode(message)
            return SeenMessage(**place, key=event.key, event=event)
        except PoisonMessage as error:
            reason = error.seen.splitlines()[0]
        except Exception as error:  # a registry that does not answer
            reason = f"{type(error).__name__}: {error}"
        key, _ = self._decoded(message.key())
        value = message.value()
        if value is None:
            return SeenMessage(**place, key=key)
        decoded, refusal = self._decoded(value)
        if refusal is not None:
            return SeenMessage(**place, key=key, undecoded=_bytes(value), reason=refusal)
        looks_like_one = isinstance(decoded, dict) and {"op", "source"} <= decoded.keys()
        return SeenMessage(**place, key=key, value=decoded, reason=reason if looks_like_one else None)

    def _decoded(self, content: Any) -> tuple[Any, str | None]:
        """Return what a key or a value says, and why it could not be decoded: then it is its bytes."""
        if content is None:
            return None, None
        raw = _bytes(content)
        try:
            found = self._contents.read(raw)
        except Exception as error:  # a registry that does not answer, too
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                return raw, str(error)
            # Avro begins with a zero byte, and no text does.
            return (raw, str(error)) if raw[:1] == b"\x00" else (text, None)
        if found.type is None or found.payload is None:
            return found.payload, None
        try:
            return decoder(found.type)(found.payload), None
        except (ValueError, TypeError, KeyError, ArithmeticError):
            # A value that is not what its schema says is shown as it was sent.
            return found.payload, None


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
