"""What Kafka says of a topic: its id, where it ends, and the last thing in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from lakebed.config.kafka_clients import Kafka, admin_settings, client_settings
from lakebed.errors import PipelineFailed

_SECONDS = 15.0
_SHOWN_BYTES = 120


@contextmanager
def opened_consumer(bootstrap_servers: Kafka) -> Iterator[Consumer]:
    """Open a consumer that belongs to no group: it commits nothing and waits for nobody."""
    consumer = Consumer(
        {
            **client_settings(bootstrap_servers),
            "group.id": "lakebed-looks",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def topic_id(bootstrap_servers: Kafka, topic: str) -> str:
    """Return Kafka's id of a topic, which another one of the same name made later does not have."""
    admin = AdminClient({**admin_settings(bootstrap_servers), "log_level": 0})
    try:
        description = admin.describe_topics(TopicCollection([topic]))[topic].result(_SECONDS)
    except KafkaException as error:
        raise PipelineFailed(
            f"look at topic {topic!r}", str(error.args[0]), "`lakebed logs kafka`"
        ) from error
    return str(description.topic_id)


def end_offsets(bootstrap_servers: Kafka, topics: Sequence[str]) -> dict[str, dict[int, int]]:
    """Return, by topic and partition, the offset that the next record will get.

    A topic that is not there has no partitions.

    Raises:
        PipelineFailed: Kafka does not answer.
    """
    admin = AdminClient({**admin_settings(bootstrap_servers), "log_level": 0})
    try:
        known = admin.list_topics(timeout=_SECONDS).topics
        asked = [
            TopicPartition(topic, partition)
            for topic in topics
            if topic in known
            for partition in known[topic].partitions
        ]
        ends: dict[str, dict[int, int]] = {topic: {} for topic in topics}
        if asked:
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for place, future in admin.list_offsets(dict.fromkeys(asked, latest)).items():
                ends[place.topic][place.partition] = future.result(_SECONDS).offset
    except KafkaException as error:
        raise PipelineFailed(
            "ask Kafka where the topics end", str(error.args[0]), "see whether Kafka runs: `lakebed status`"
        ) from error
    return ends


def shown_ends(ends: Mapping[int, int]) -> str:
    """Return end offsets for a person, each with its partition: "0:12, 1:7"."""
    return ", ".join(f"{partition}:{end}" for partition, end in sorted(ends.items()))


def last_event(bootstrap_servers: Kafka, topic: str) -> str:
    """Return a line for a person on the newest record of a topic."""
    try:
        ends = end_offsets(bootstrap_servers, [topic])[topic]
        if not ends:
            return f"topic {topic!r} does not exist"
        newest = []
        with opened_consumer(bootstrap_servers) as consumer:
            for partition, end in ends.items():
                if end > 0:
                    consumer.assign([TopicPartition(topic, partition, end - 1)])
                    message = consumer.poll(_SECONDS)
                    if message is not None and message.error() is None:
                        newest.append((message.timestamp()[1], message))
    except (KafkaException, PipelineFailed) as error:
        return f"topic {topic!r}: no answer ({error})"
    if not newest:
        return f"topic {topic!r} is empty"
    milliseconds, message = max(newest, key=lambda one: one[0])
    at = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    value = message.value()
    kind = "a tombstone" if value is None else f"{len(value)} bytes"
    return (
        f"topic {topic!r} ends at {shown_ends(ends)}; its last event,"
        f" partition {message.partition()} offset {message.offset()}, came at {at:%H:%M:%S.%f}: {kind},"
        f" key {(message.key() or b'')[:_SHOWN_BYTES]!r}"
    )
