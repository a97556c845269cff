"""The newest changes in the topics of a connector, read without it: it may have failed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from lakebed.cdc.topic_state import opened_consumer
from lakebed.config.kafka_clients import Kafka
from lakebed.errors import PoisonMessage
from lakebed.report.records import ChangeRecord
from lakebed.waiting import with_patience

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from lakebed.cdc.decoding import EventDecoder
    from lakebed.cdc.events import ChangeEvent

# Of one connector; more would take longer to look at than a failure may be waited for.
_MOST_PARTITIONS = 100
_SHOWN_KEY = 60


@dataclass(frozen=True)
class SeenChange:
    """A change, and the whole event as a line for a person."""

    record: ChangeRecord
    line: str


@dataclass(frozen=True)
class SeenTopics:
    """What the topics of one connector hold.

    Attributes:
        changes: the newest, oldest first. Tombstones, which repeat the delete before them, are left out.
        left_out: how many messages are older.
        topics: how many topics there are.
    """

    changes: list[SeenChange]
    left_out: int
    topics: int


def newest_changes(
    kafka: Kafka, topic_prefix: str, decoder: EventDecoder, *, most: int, deadline_seconds: float
) -> SeenTopics:
    """Return the newest changes in the topics of tables that begin with a prefix.

    Args:
        kafka: where.
        topic_prefix: of the connector.
        decoder: of its messages.
        most: how many, over all topics.
        deadline_seconds: how long all of it may take, multiplied by `lakebed.waiting.patience`; what came by
            then is returned.

    Raises:
        confluent_kafka.KafkaException: Kafka does not answer.
    """
    deadline_seconds = with_patience(deadline_seconds)
    deadline = time.monotonic() + deadline_seconds
    with opened_consumer(kafka) as consumer:
        found = consumer.list_topics(timeout=deadline_seconds).topics
        # <prefix>.<schema>.<table>; transactions and notifications have no schema.
        topics = [name for name in found if name.startswith(f"{topic_prefix}.") and name.count(".") >= 2]
        places = [
            TopicPartition(topic, partition)
            for topic in sorted(topics)
            for partition in found[topic].partitions
        ][:_MOST_PARTITIONS]
        starts: dict[tuple[str, int], int] = {}
        ends: dict[tuple[str, int], int] = {}
        left_out = 0
        for place in places:
            low, high = consumer.get_watermark_offsets(place, timeout=max(deadline - time.monotonic(), 0.1))
            start = max(low, high - most)
            left_out += start - low
            if start < high:
                starts[place.topic, place.partition] = start
                ends[place.topic, place.partition] = high
        messages = _read(consumer, starts, ends, deadline)
    changes = [seen for message in messages if (seen := _seen(message, decoder)) is not None]
    changes.sort(key=lambda seen: (seen.record.produced or 0.0, seen.record.offset))
    newest = changes[-most:]
    return SeenTopics(newest, left_out + len(changes) - len(newest), len(topics))


def _read(
    consumer: Consumer,
    starts: Mapping[tuple[str, int], int],
    ends: Mapping[tuple[str, int], int],
    deadline: float,
) -> list[Message]:
    messages: list[Message] = []
    if not starts:
        return messages
    consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
    left = dict(ends)
    # Offsets without a message (ends of transactions) may leave it waiting for what never comes.
    while left and time.monotonic() < deadline:
        at_once = sum(left[place] - starts[place] for place in left)
        for message in consumer.consume(min(max(at_once, 1), 500), 0.1):
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            place = (message.topic() or "", message.partition() or 0)
            offset = message.offset()
            if error is None and place in left and offset is not None and offset < left[place]:
                messages.append(message)
                if offset >= left[place] - 1:
                    del left[place]
    return messages


def _seen(message: Message, decoder: EventDecoder) -> SeenChange | None:
    if message.value() is None:
        return None
    topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
    milliseconds = message.timestamp()[1]
    produced = milliseconds / 1000 if milliseconds >= 0 else None
    try:
        event = decoder.decode(message)
    except PoisonMessage as error:
        problem = error.seen.splitlines()[0]
        record = ChangeRecord(topic, partition, offset, produced=produced, problem=problem)
        return SeenChange(record, f"no change event at {topic}/{partition}@{offset}: {problem}")
    record = _record(event, topic, partition, offset, produced)
    where = f", log position {record.position}, transaction {record.transaction}" if record.position else ""
    return SeenChange(record, f"{event!r}{where}")


def _record(
    event: ChangeEvent, topic: str, partition: int, offset: int, produced: float | None
) -> ChangeRecord:
    source = event.source
    is_commit = source is not None and not source.is_snapshot
    key = "" if event.key is None else repr(event.key)
    return ChangeRecord(
        topic,
        partition,
        offset,
        event.op.name,
        key if len(key) <= _SHOWN_KEY else f"{key[:_SHOWN_KEY]}...",
        source.lsn_text if source is not None and source.lsn is not None else None,
        source.tx_id if source is not None else None,
        _seconds(source.timestamp) if is_commit and source is not None else None,
        _seconds(event.timestamp),
        produced,
    )


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
