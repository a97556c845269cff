"""What the screen of topics shows: which there are, and how much is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from lakebed.config.kafka_clients import Kafka
from lakebed.errors import StackFailed, TableUnknown
from lakebed.services.topics import admin_client
from lakebed.ui.looking import Look
from lakebed.waiting import with_patience

REQUEST_SECONDS = 5.0
# Written by Kafka Connect and the registry for themselves.
_INTERNAL = ("connect-", "connect_", "_", "kafkasql-", "registry-")


@dataclass(frozen=True)
class Partition:
    """The offsets of a partition: of its first message, and behind its last."""

    number: int
    begin: int
    end: int


@dataclass(frozen=True)
class Topic:
    """A topic. What was compacted or ends a transaction has an offset too, and counts as a message here."""

    name: str
    partitions: tuple[Partition, ...]

    @property
    def messages(self) -> int:
        """How many offsets are there."""
        return sum(partition.end - partition.begin for partition in self.partitions)

    @property
    def is_internal(self) -> bool:
        """Whether a server keeps its own things in it."""
        return self.name.startswith(_INTERNAL)


def topics(look: Look) -> tuple[Topic, ...]:
    """Return every topic, sorted by name.

    Raises:
        StackFailed: Kafka does not answer.
    """
    return _topics(look.addresses.kafka, None)


def topic(look: Look, name: str) -> Topic:
    """Return one topic.

    Raises:
        TableUnknown: there is none of that name.
        StackFailed: Kafka does not answer.
    """
    found = _topics(look.addresses.kafka, name)
    if not found:
        raise TableUnknown(
            f"show the topic {name!r}", "Kafka has none of that name", "see the list of topics"
        )
    return found[0]


def _topics(kafka: Kafka, only: str | None) -> tuple[Topic, ...]:
    admin = admin_client(kafka)
    try:
        # Asked for by name, a topic that is not there would be made by some brokers.
        known = admin.list_topics(timeout=with_patience(REQUEST_SECONDS)).topics
        partitions = {
            name: sorted(found.partitions)
            for name, found in known.items()
            if found.error is None and only in (None, name)
        }
        asked = [TopicPartition(name, number) for name, numbers in partitions.items() for number in numbers]
        begins, ends = (_offsets(admin, asked, is_end=is_end) for is_end in (False, True))
    except KafkaException as error:
        raise StackFailed(
            "list the topics of Kafka", str(error.args[0]), "see `lakebed logs kafka`"
        ) from error
    return tuple(
        Topic(
            name,
            tuple(
                Partition(number, begins.get((name, number), 0), ends.get((name, number), 0))
                for number in numbers
            ),
        )
        for name, numbers in sorted(partitions.items())
    )


def _offsets(
    admin: AdminClient, asked: list[TopicPartition], *, is_end: bool
) -> Mapping[tuple[str, int], int]:
    if not asked:
        return {}
    spec = OffsetSpec.latest() if is_end else OffsetSpec.earliest()  # type: ignore[no-untyped-call]
    seconds = with_patience(REQUEST_SECONDS)
    futures = admin.list_offsets(dict.fromkeys(asked, spec), request_timeout=seconds)
    return {
        (place.topic, place.partition): future.result(seconds).offset for place, future in futures.items()
    }
