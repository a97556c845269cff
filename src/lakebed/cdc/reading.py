"""The change events of a topic, read one after the other up to an end that is known before."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterator, Mapping

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from lakebed.cdc.decoding import EventDecoder
from lakebed.cdc.events import ChangeEvent
from lakebed.config.kafka_clients import Kafka, client_settings
from lakebed.errors import PoisonMessage, StackFailed
from lakebed.waiting import wait_until

After = ChangeEvent | int | Mapping[int, int] | None

PATIENCE_SECONDS = 30.0
_MESSAGES_AT_ONCE = 500

OnPoison = Callable[[Message, PoisonMessage], None]


def change_events(
    bootstrap_servers: Kafka,
    topic: str,
    decoder: EventDecoder,
    *,
    after: After = None,
    on_poison: OnPoison | None = None,
    deadline_seconds: float = PATIENCE_SECONDS,
    explain: Callable[[], str] | None = None,
) -> Iterator[ChangeEvent]:
    """Return an iterator over the events that are in a topic now; it ends with the last of them.

    Nothing is read before the first event is asked for, and not all of it is held. Events of several
    partitions come partition by partition only in the order in which Kafka hands them out.

    Args:
        bootstrap_servers: of Kafka, or its endpoint.
        topic: a change topic; one that does not exist has no events.
        decoder: makes events of the messages.
        after: begin behind this event, or behind this offset, or, with several partitions, behind an offset
            of each; otherwise at the beginning.
        on_poison: is called with a message that is no change event and the error, and the reading goes on;
            without it the error is raised.
        deadline_seconds: how long to wait for Kafka, each time.
        explain: what to add to the error when Kafka does not answer, such as a connector's state.

    Raises:
        ValueError: `after` does not say a place in every partition.
        StackFailed: Kafka refused to answer.

    Raises, while iterating:
        PoisonMessage: a message is no change event. What follows can be read with `after=`.
        DeadlinePassed: an event that is in the topic did not arrive.
    """
    consumer = Consumer(
        {
            **client_settings(bootstrap_servers),
            "group.id": f"lakebed-events-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )
    try:
        ends = _ends(consumer, topic, deadline_seconds)
        starts = _starts(topic, sorted(ends), after)
    except BaseException:
        consumer.close()
        raise
    left = {partition: end for partition, end in ends.items() if max(starts[partition], 0) < end}
    return _events(consumer, topic, starts, left, decoder, on_poison, deadline_seconds, explain)


def _ends(consumer: Consumer, topic: str, deadline_seconds: float) -> dict[int, int]:
    """Return, by partition, the offset behind the last message that is there now."""
    try:
        found = consumer.list_topics(topic, timeout=deadline_seconds).topics.get(topic)
        if found is None or (
            found.error is not None and found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        ):
            return {}
        if found.error is not None:
            raise KafkaException(found.error)
        return {
            partition: consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=deadline_seconds
            )[1]
            for partition in found.partitions
        }
    except KafkaException as error:
        raise StackFailed(f"read topic {topic!r}", str(error.args[0]), "see `lakebed logs kafka`") from error


def _starts(topic: str, partitions: list[int], after: After) -> dict[int, int]:
    if after is None:
        return dict.fromkeys(partitions, OFFSET_BEGINNING)
    if isinstance(after, ChangeEvent):
        if after.topic != topic:
            raise ValueError(f"after is an event of topic {after.topic!r}, but {topic!r} is to be read")
        after = {after.partition: after.offset}
    elif isinstance(after, int):
        after = {0: after}
    missing = [partition for partition in partitions if partition not in after]
    if missing:
        raise ValueError(
            f"after says no offset for the partitions {missing} of topic {topic!r};"
            " allowed: an offset by partition, such as {0: 41, 1: 17}"
        )
    if min(after.values(), default=0) < -1:
        raise ValueError(f"after says the offsets {dict(after)}; allowed: -1 for the beginning, and more")
    return {partition: after[partition] + 1 for partition in partitions}


def _events(
    consumer: Consumer,
    topic: str,
    starts: Mapping[int, int],
    left: dict[int, int],
    decoder: EventDecoder,
    on_poison: OnPoison | None,
    deadline_seconds: float,
    explain: Callable[[], str] | None,
) -> Iterator[ChangeEvent]:
    try:
        consumer.assign([TopicPartition(topic, partition, starts[partition]) for partition in left])
        expected = sum(end - max(starts[partition], 0) for partition, end in left.items())
        while left:
            # No more than there can be: it is waited for as many, and the end is what all wait for.
            at_once = max(1, min(expected, _MESSAGES_AT_ONCE))
            messages = wait_until(
                functools.partial(consumer.consume, at_once, 0.05),
                f"the events of topic {topic!r} up to the offsets {left}",
                deadline_seconds=deadline_seconds,
                explain=explain,
                remedy="see `lakebed logs kafka`",
            )
            expected -= len(messages)
            for message in messages:
                partition, offset, error = message.partition(), message.offset(), message.error()
                if partition not in left or offset is None:
                    continue
                # An offset need not have a message: it may be compacted away, or end a transaction.
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise StackFailed(f"read topic {topic!r}", str(error), "see `lakebed logs kafka`")
                if error is None and offset < left[partition]:
                    event = _decoded(decoder, message, on_poison)
                    if event is not None:
                        yield event
                if offset >= left[partition] - 1:
                    del left[partition]
    finally:
        consumer.close()


def _decoded(decoder: EventDecoder, message: Message, on_poison: OnPoison | None) -> ChangeEvent | None:
    try:
        return decoder.decode(message)
    except PoisonMessage as error:
        if on_poison is None:
            raise
        on_poison(message, error)
        return None
