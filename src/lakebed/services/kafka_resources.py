"""What tests make in Kafka, and how it is found and removed: topics and consumer groups."""

from __future__ import annotations

from lakebed.services.connect_storage import STORAGE_TOPICS
from lakebed.services.consumer_groups import delete_group, groups
from lakebed.services.definition import Place, ResourceKind
from lakebed.services.topics import admin_client, delete_topics, topics_with_prefix

_OWN_TOPICS = frozenset(("__consumer_offsets", "__transaction_state", "__share_group_state", *STORAGE_TOPICS))
# Debezium documentation, PostgreSQL connector, `topic.heartbeat.prefix`.
HEARTBEATS = "__debezium-heartbeat"


def _topics(place: Place) -> dict[str, str]:
    names = topics_with_prefix(admin_client(place.endpoints.kafka), "")
    return dict.fromkeys((name for name in names if name not in _OWN_TOPICS), "")


def _remove_topic(place: Place, name: str) -> None:
    delete_topics(admin_client(place.endpoints.kafka), [name])


def _remove_topic_prefix(place: Place, prefix: str) -> None:
    admin = admin_client(place.endpoints.kafka)
    names = topics_with_prefix(admin, f"{prefix}.")
    delete_topics(admin, [*names, f"{HEARTBEATS}.{prefix}"])


def _groups(place: Place) -> dict[str, str]:
    return dict.fromkeys(groups(admin_client(place.endpoints.kafka)), "")


def _is_plain(place: Place) -> bool:
    return place.endpoints.kafka.security_protocol == "PLAINTEXT"


def _remove_group(place: Place, name: str) -> None:
    delete_group(admin_client(place.endpoints.kafka), name, plain=_is_plain(place))


def _has_topic(place: Place, name: str) -> bool:
    return name in topics_with_prefix(admin_client(place.endpoints.kafka), name)


def _has_topic_prefix(place: Place, prefix: str) -> bool:
    admin = admin_client(place.endpoints.kafka)
    return bool(topics_with_prefix(admin, f"{prefix}.")) or _has_topic(place, f"{HEARTBEATS}.{prefix}")


def _has_group(place: Place, name: str) -> bool:
    return name in groups(admin_client(place.endpoints.kafka))


RESOURCES = (
    ResourceKind("topic-prefix", _remove_topic_prefix, exists=_has_topic_prefix),
    ResourceKind("consumer-group", _remove_group, _groups, exists=_has_group),
    ResourceKind("topic", _remove_topic, _topics, exists=_has_topic),
)
"""In the order in which they are to be removed."""
