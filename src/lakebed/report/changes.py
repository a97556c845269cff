"""The newest changes of a connector, found out from nothing but its configuration and the addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebed.report.topics import SeenTopics, newest_changes

if TYPE_CHECKING:
    from lakebed.clients.connector import Connector
    from lakebed.stack.addresses import Addresses


def newest_of(connector: Connector, addresses: Addresses, *, most: int, seconds: float) -> SeenTopics:
    """Return the newest changes in a connector's topics; see `newest_changes`.

    Args:
        connector: whose.
        addresses: of Kafka, and of the schema registry if it writes Avro.
        most: how many.
        seconds: how long it may take.
    """
    from lakebed.cdc.decoding import EventDecoder
    from lakebed.clients.registry import schema_registry_client

    config = connector.config
    kafka, prefix = addresses.kafka, config.topic_prefix
    if "avro" not in str(config.extra_config.get("value.converter", "")).lower():
        return newest_changes(kafka, prefix, EventDecoder(), most=most, deadline_seconds=seconds)
    with schema_registry_client(addresses.schema_registry_config(), addresses.schema_registry) as registry:
        decoder = EventDecoder(registry=registry)
        return newest_changes(kafka, prefix, decoder, most=most, deadline_seconds=seconds)
