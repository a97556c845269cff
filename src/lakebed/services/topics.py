"""Kafka's topics, seen and removed with one admin client for each cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from lakebed.config.kafka_clients import Kafka, admin_settings
from lakebed.errors import CleanUpIncomplete
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._metadata import ClusterMetadata

REQUEST_SECONDS = 15.0
# For each further broker; the odds that a certain one of three is never asked are one in a hundred.
_QUESTIONS = 5


@cache
def admin_client(kafka: Kafka) -> AdminClient:
    """Return the one client for a cluster, for any thread: to connect costs more than to ask."""
    from confluent_kafka.admin import AdminClient

    return AdminClient({**admin_settings(kafka), "log_level": 0})


def all_brokers_say(
    admin: AdminClient, fact: Callable[[ClusterMetadata], bool], topic: str | None = None
) -> bool:
    """Whether a fact is true whichever broker is asked.

    Each broker learns of a new or a deleted topic by itself, some sooner than others, and librdkafka asks any
    of them: with several, the question is put several times.

    Args:
        admin: of the cluster.
        fact: asked of what a broker says.
        topic: the one it is about; None for all.
    """

    def ask() -> ClusterMetadata:
        return admin.list_topics(topic, timeout=REQUEST_SECONDS)

    metadata = ask()
    more = _QUESTIONS * (len(metadata.brokers) - 1)
    return fact(metadata) and all(fact(ask()) for _ in range(more))


def topics_with_prefix(admin: AdminClient, prefix: str) -> list[str]:
    """Return the names of the topics that start with `prefix`, sorted."""
    return sorted(
        name for name in admin.list_topics(timeout=REQUEST_SECONDS).topics if name.startswith(prefix)
    )


def delete_topics(admin: AdminClient, names: Sequence[str]) -> None:
    """Delete topics and return when the cluster no longer lists them; one that is not there is no error.

    Raises:
        CleanUpIncomplete: naming those Kafka refused to delete, with its reasons.
    """
    from confluent_kafka import KafkaException

    if not names:
        return
    refused = []
    for name, deletion in admin.delete_topics(list(names), operation_timeout=REQUEST_SECONDS).items():
        try:
            deletion.result(REQUEST_SECONDS)
        except KafkaException as error:
            if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                refused.append(f"{name}: {error.args[0]}")
    if refused:
        raise CleanUpIncomplete("delete topics", "; ".join(refused), "see `lakebed logs kafka`")
    wait_until(
        lambda: all_brokers_say(admin, lambda metadata: not set(names) & set(metadata.topics)),
        f"topics {', '.join(names)} to be gone",
        deadline_seconds=REQUEST_SECONDS,
    )
