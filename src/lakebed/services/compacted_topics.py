"""Kafka topics that hold one value for each key: Connect's storage."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lakebed.config.kafka_clients import Kafka, client_settings
from lakebed.errors import StackFailed
from lakebed.services.topics import REQUEST_SECONDS

if TYPE_CHECKING:
    from confluent_kafka import Producer


def last_values(kafka: Kafka, topic: str) -> dict[bytes, bytes]:
    """Return the last value of every key that was not deleted, from partition 0 of a topic.

    Raises:
        StackFailed: Kafka did not hand out all of it.
        confluent_kafka.KafkaException: Kafka does not answer, or there is no such topic.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    # A group name is required; without a subscription or a commit there is no such group.
    settings = {**client_settings(kafka), "group.id": "lakebed", "log_level": 0}
    consumer = Consumer({**settings, "enable.auto.commit": False, "fetch.wait.max.ms": 10})
    values: dict[bytes, bytes] = {}
    try:
        partition = TopicPartition(topic, 0, 0)
        first, end = consumer.get_watermark_offsets(partition, timeout=REQUEST_SECONDS)
        partition.offset = first
        consumer.assign([partition])
        position = first
        while position < end:
            message = consumer.poll(REQUEST_SECONDS)
            if message is None:
                raise StackFailed(
                    f"read the topic {topic}",
                    f"nothing after offset {position} of {end}, in {REQUEST_SECONDS:g} s",
                )
            if message.error():
                raise KafkaException(message.error())
            offset, key, value = message.offset(), message.key(), message.value()
            position = position + 1 if offset is None else offset + 1
            if isinstance(key, bytes) and isinstance(value, bytes):
                values[key] = value
            elif isinstance(key, bytes):
                values.pop(key, None)
    finally:
        consumer.close()
    return values


@cache
def _producer(kafka: Kafka) -> Producer:
    from confluent_kafka import Producer

    return Producer({**client_settings(kafka), "log_level": 0, "linger.ms": 0})


def delete_key(kafka: Kafka, topic: str, key: bytes) -> None:
    """Delete a key from partition 0 of a topic, by writing nothing as its value.

    Raises:
        StackFailed: Kafka did not take it.
    """
    refused: list[object] = []

    def delivered(error: object, _: object) -> None:
        if error is not None:
            refused.append(error)

    producer = _producer(kafka)
    producer.produce(topic, key=key, value=None, partition=0, on_delivery=delivered)
    if producer.flush(REQUEST_SECONDS) or refused:
        raise StackFailed(f"delete a key of the topic {topic}", str(refused or "no answer"))
