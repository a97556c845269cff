"""The messages of a topic, page by page, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lakebed.config.kafka_clients import client_settings
from lakebed.errors import StackFailed
from lakebed.ui.looking import Look
from lakebed.ui.shown_messages import ShownMessage, opened_decoder
from lakebed.ui.topics import Partition, Topic
from lakebed.waiting import wait_until

PAGE = 50
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Page:
    """Messages of one partition, newest first.

    Attributes:
        topic: what they are of.
        partition: which one.
        messages: newest first.
        older, newer: the offset behind the last message of the page before and after; None at the ends.
        is_newest: whether nothing newer is there, so that new ones belong here.
    """

    topic: Topic
    partition: Partition
    messages: tuple[ShownMessage, ...]
    older: int | None
    newer: int | None

    @property
    def is_newest(self) -> bool:
        """Whether new messages belong on this page."""
        return self.newer is None


def page(look: Look, topic: Topic, number: int, before: int | None = None, count: int = PAGE) -> Page:
    """Return a page of a partition.

    Args:
        look: at the stack.
        topic: as it is now.
        number: of the partition.
        before: the offset behind the page's newest message; None for the newest there is.
        count: how many offsets a page has.

    Raises:
        StackFailed: there is no such partition, or Kafka does not answer.
    """
    partition = next((one for one in topic.partitions if one.number == number), None)
    if partition is None:
        known = ", ".join(str(one.number) for one in topic.partitions)
        raise StackFailed(f"show partition {number} of topic {topic.name!r}", f"it has: {known}")
    begin, end = bounds(partition, before, count)
    messages = tuple(reversed(_read(look, topic.name, number, begin, end))) if begin < end else ()
    newer = None if end >= partition.end else min(end + count, partition.end)
    return Page(topic, partition, messages, begin if begin > partition.begin else None, newer)


def bounds(partition: Partition, before: int | None, count: int) -> tuple[int, int]:
    """Return the first offset of a page, and the one behind its last; both within the partition."""
    end = partition.end if before is None else max(min(before, partition.end), partition.begin)
    return max(end - count, partition.begin), end


def _read(look: Look, topic: str, number: int, begin: int, end: int) -> list[ShownMessage]:
    with opened_decoder(look) as decoder, _consumer(look) as consumer:
        consumer.assign([TopicPartition(topic, number, begin)])
        found: list[ShownMessage] = []

        def is_read() -> bool:
            for message in consumer.consume(end - begin, timeout=0.2):
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        return True
                    raise KafkaException(error)
                if (message.offset() or 0) < end:
                    found.append(decoder(message))
            return any(place.offset >= end for place in consumer.position([TopicPartition(topic, number)]))

        try:
            wait_until(is_read, f"the messages of topic {topic!r}", deadline_seconds=_PATIENCE_SECONDS)
        except KafkaException as error:
            seen = str(error.args[0])
            raise StackFailed(f"read topic {topic!r}", seen, "see `lakebed logs kafka`") from error
    return found


@contextmanager
def _consumer(look: Look) -> Iterator[Consumer]:
    """Open a consumer that commits nothing, and says where a partition ends.

    The last offsets may be no messages: those that end a transaction, or were compacted.
    """
    consumer = Consumer(
        {
            **client_settings(look.addresses.kafka),
            "group.id": "lakebed-ui",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()
