"""Snapshots asked for by signals: their rows, their end, stopping, pausing and going on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from lakebed.clients.connector import Connector
from lakebed.clients.notifications import (
    INCREMENTAL_SNAPSHOT,
    wait_for_initial_snapshot,
    wait_for_notification,
    wait_for_snapshot,
)
from lakebed.clients.signals import (
    pause_snapshot,
    resume_snapshot,
    send_signal_through_kafka,
    signal_settings,
    start_snapshot,
    stop_snapshot,
)
from lakebed.config.debezium import SnapshotMode
from lakebed.errors import ConnectRefused, SnapshotFailed
from lakebed.pytest_plugin.connectors import DebeziumConnectors
from lakebed.stack.addresses import Addresses

TopicEvents = Callable[[str], list[tuple[Any, Any]]]
# So small a chunk that a snapshot of a thousand rows is not over at once.
SLOW = {"incremental.snapshot.chunk.size": "1"}


@pytest.fixture
def orders(postgres_connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """The test's database, with a thousand orders and no notes in it."""
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders SELECT generate_series(1, 1000)")
    return postgres_connection


@pytest.mark.debezium(signals=True, snapshot_mode=SnapshotMode.NEVER)
def test_a_table_is_read_again_beside_its_changes(
    orders: psycopg.Connection[Any],
    debezium_connector: Connector,
    addresses: Addresses,
    topic_events: TopicEvents,
) -> None:
    kafka = addresses.kafka_bootstrap_servers
    assert wait_for_initial_snapshot(debezium_connector, kafka) == {}
    first = start_snapshot(debezium_connector, orders, "orders")
    orders.execute("INSERT INTO orders VALUES (1001)")
    read = wait_for_snapshot(debezium_connector, orders, kafka, first)
    assert read["public.orders"] in (1000, 1001)
    events = [value for _, value in topic_events(debezium_connector.topic("orders"))]
    assert {event["after"]["id"] for event in events if event["op"] == "r"} >= set(range(1, 1001))
    assert [event["after"]["id"] for event in events if event["op"] == "c"] == [1001]
    # Only some of them; each snapshot has its own end.
    second = start_snapshot(debezium_connector, orders, "orders", "notes", where={"orders": "id <= 3"})
    assert wait_for_snapshot(debezium_connector, orders, kafka, second) == {
        "public.orders": 3,
        "public.notes": 0,
    }


@pytest.mark.debezium(signals=True, snapshot_mode=SnapshotMode.NEVER, extra_config=SLOW)
def test_it_is_paused_and_goes_on(
    orders: psycopg.Connection[Any], debezium_connector: Connector, addresses: Addresses
) -> None:
    kafka = addresses.kafka_bootstrap_servers
    snapshot = start_snapshot(debezium_connector, orders, "orders")
    pause_snapshot(debezium_connector, orders)
    seen = wait_for_notification(
        debezium_connector, kafka, lambda one: one.type == "PAUSED", "the snapshot to be paused"
    )
    assert [one.type for one in seen if one.aggregate_type == INCREMENTAL_SNAPSHOT].count("COMPLETED") == 0
    orders.execute("DELETE FROM orders WHERE id > 100")
    resume_snapshot(debezium_connector, orders)
    rows = wait_for_snapshot(debezium_connector, orders, kafka, snapshot)
    # What had not been read yet when it was paused is not there any more.
    assert 100 <= rows["public.orders"] < 1000


@pytest.mark.debezium(signals=True, snapshot_mode=SnapshotMode.NEVER, extra_config=SLOW)
def test_one_that_is_stopped_raises_at_whoever_waits(
    orders: psycopg.Connection[Any], debezium_connector: Connector, addresses: Addresses
) -> None:
    snapshot = start_snapshot(debezium_connector, orders, "orders")
    stop_snapshot(debezium_connector, orders)
    with pytest.raises(SnapshotFailed, match="orders': 'stopped before its end'"):
        wait_for_snapshot(debezium_connector, orders, addresses.kafka_bootstrap_servers, snapshot)


@pytest.mark.debezium(signals=True)
def test_a_table_that_is_not_there_or_has_no_key_raises_with_the_reason(
    orders: psycopg.Connection[Any], debezium_connector: Connector, addresses: Addresses
) -> None:
    orders.execute("CREATE TABLE keyless (id int)")
    orders.execute("INSERT INTO keyless VALUES (1)")
    for table, reason in (("nowhere", "UNKNOWN_SCHEMA"), ("keyless", "NO_PRIMARY_KEY")):
        snapshot = start_snapshot(debezium_connector, orders, table)
        with pytest.raises(SnapshotFailed, match=reason):
            wait_for_snapshot(debezium_connector, orders, addresses.kafka_bootstrap_servers, snapshot)


def test_a_connector_without_signals_says_how_to_get_them(
    orders: psycopg.Connection[Any], debezium_connector: Connector, addresses: Addresses
) -> None:
    with pytest.raises(ConnectRefused, match="signals=True"):
        start_snapshot(debezium_connector, orders, "orders")
    with pytest.raises(SnapshotFailed, match="signals=True"):
        wait_for_initial_snapshot(debezium_connector, addresses.kafka_bootstrap_servers)


@pytest.mark.debezium(signals=True, avro=True)
def test_the_rows_of_the_first_snapshot_are_counted_with_avro_too(
    debezium_connectors: DebeziumConnectors,
    orders: psycopg.Connection[Any],
    addresses: Addresses,
    schema_registry_client: SchemaRegistryClient,
) -> None:
    connector = debezium_connectors()
    rows = wait_for_initial_snapshot(
        connector, addresses.kafka_bootstrap_servers, registry=schema_registry_client
    )
    assert rows == {"public.orders": 1000, "public.notes": 0}


def test_a_signal_through_a_topic(
    orders: psycopg.Connection[Any], debezium_connectors: DebeziumConnectors, addresses: Addresses
) -> None:
    kafka, prefix = addresses.kafka_bootstrap_servers, orders.info.dbname
    connector = debezium_connectors(
        signals=True, snapshot_mode=SnapshotMode.NEVER, extra_config=signal_settings(prefix, kafka)
    )
    data = {"type": "INCREMENTAL", "data-collections": ["public.orders"]}
    snapshot = send_signal_through_kafka(connector, "execute-snapshot", data)
    assert wait_for_snapshot(connector, orders, kafka, snapshot) == {"public.orders": 1000}


def test_a_connector_without_that_topic_says_how_to_get_it(debezium_connector: Connector) -> None:
    with pytest.raises(ConnectRefused, match="bootstrap_servers"):
        send_signal_through_kafka(debezium_connector, "log", {"message": "here"})
