"""Topics: made and removed so that the change is visible when the call returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from lakebed.errors import StackFailed
from lakebed.services.topics import REQUEST_SECONDS, all_brokers_say, delete_topics, topics_with_prefix
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    from confluent_kafka.admin._metadata import ClusterMetadata


def create_topic(admin: AdminClient, name: str, *, partitions: int = 1, replication_factor: int = -1) -> None:
    """Create a topic and return when the cluster lists it with a leader for every partition.

    Args:
        admin: of the cluster.
        name: of the topic.
        partitions: how many.
        replication_factor: how many replicas; -1 for as many as the cluster's own default says (KIP-464).

    Raises:
        StackFailed: Kafka refused, with its reason.
    """
    topic = NewTopic(name, num_partitions=partitions, replication_factor=replication_factor)
    try:
        admin.create_topics([topic], operation_timeout=REQUEST_SECONDS)[name].result(REQUEST_SECONDS)
    except KafkaException as error:
        raise StackFailed(f"create topic {name!r}", str(error.args[0]), "see `lakebed logs kafka`") from error

    def has_leaders(metadata: ClusterMetadata) -> bool:
        found = metadata.topics.get(name)
        return (
            found is not None
            and found.error is None
            and all(p.leader >= 0 for p in found.partitions.values())
        )

    wait_until(
        lambda: all_brokers_say(admin, has_leaders, name),
        f"topic {name!r} to have leaders",
        deadline_seconds=REQUEST_SECONDS,
    )


__all__ = ["create_topic", "delete_topics", "topics_with_prefix"]
