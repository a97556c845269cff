"""Topics: made and removed so that the change is visible when the call returns."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from lakebed.errors import CleanUpIncomplete, StackFailed
from lakebed.waiting import wait_until

REQUEST_SECONDS = 15.0


def create_topic(admin: AdminClient, name: str, *, partitions: int = 1, replication_factor: int = 1) -> None:
    """Create a topic and return when the cluster lists it with a leader for every partition.

    Raises:
        StackFailed: Kafka refused, with its reason.
    """
    topic = NewTopic(name, num_partitions=partitions, replication_factor=replication_factor)
    try:
        admin.create_topics([topic], operation_timeout=REQUEST_SECONDS)[name].result(REQUEST_SECONDS)
    except KafkaException as error:
        raise StackFailed(f"create topic {name!r}", str(error.args[0]), "see `lakebed logs kafka`") from error

    def has_leaders() -> bool:
        found = admin.list_topics(topic=name, timeout=REQUEST_SECONDS).topics.get(name)
        return (
            found is not None
            and found.error is None
            and all(p.leader >= 0 for p in found.partitions.values())
        )

    wait_until(has_leaders, f"topic {name!r} to have leaders", deadline_seconds=REQUEST_SECONDS)


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
        lambda: not set(names) & set(admin.list_topics(timeout=REQUEST_SECONDS).topics),
        f"topics {', '.join(names)} to be gone",
        deadline_seconds=REQUEST_SECONDS,
    )
