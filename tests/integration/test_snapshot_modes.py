"""The five snapshot modes, by what arrives in the topic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from lakebed.clients.connector import Connector, connect_to_stream
from lakebed.clients.databases import drop_slot
from lakebed.clients.debezium import DebeziumClient
from lakebed.config.debezium import SnapshotMode
from lakebed.errors import ConnectorFailed, NeverStreams
from lakebed.lifecycle import ConnectorState
from lakebed.pytest_plugin.connectors import DebeziumConnectors

EventsUntilNow = Callable[[Connector, str], list[dict[str, Any]]]
TopicEvents = Callable[[str], list[tuple[Any, Any]]]


@pytest.fixture
def orders(postgres_connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """The test's database, with two orders in it that were there before any connector."""
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1), (2)")
    return postgres_connection


def operations(events: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(event["op"], event["after"]["id"]) for event in events]


def restart_streaming(connector: Connector, postgres: psycopg.Connection[Any]) -> None:
    connector.client.stop(connector.name)
    connector.resume(postgres)


ROWS = [("r", 1), ("r", 2)]


@pytest.mark.parametrize("mode", [SnapshotMode.INITIAL, SnapshotMode.WHEN_NEEDED])
def test_rows_come_first_then_changes_and_no_rows_again_after_a_restart(
    debezium_connectors: DebeziumConnectors,
    orders: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
    mode: SnapshotMode,
) -> None:
    connector = debezium_connectors(snapshot_mode=mode)
    orders.execute("INSERT INTO orders VALUES (3)")
    assert operations(events_until_now(connector, "orders")) == [*ROWS, ("c", 3)]
    restart_streaming(connector, orders)
    orders.execute("INSERT INTO orders VALUES (4)")
    assert operations(events_until_now(connector, "orders")) == [*ROWS, ("c", 3), ("c", 4)]


def test_always_takes_a_snapshot_at_every_start(
    debezium_connectors: DebeziumConnectors, orders: psycopg.Connection[Any], events_until_now: EventsUntilNow
) -> None:
    connector = debezium_connectors(snapshot_mode=SnapshotMode.ALWAYS)
    orders.execute("INSERT INTO orders VALUES (3)")
    assert operations(events_until_now(connector, "orders")) == [*ROWS, ("c", 3)]
    restart_streaming(connector, orders)
    again = [*ROWS, ("r", 3)]
    assert operations(events_until_now(connector, "orders")) == [*ROWS, ("c", 3), *again]


def test_never_brings_only_what_changes_afterwards(
    debezium_connectors: DebeziumConnectors, orders: psycopg.Connection[Any], events_until_now: EventsUntilNow
) -> None:
    connector = debezium_connectors(snapshot_mode=SnapshotMode.NEVER)
    orders.execute("INSERT INTO orders VALUES (3)")
    assert operations(events_until_now(connector, "orders")) == [("c", 3)]


def test_when_needed_takes_one_when_the_slot_was_lost(
    debezium_connectors: DebeziumConnectors,
    debezium_client: DebeziumClient,
    orders: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
) -> None:
    connector = debezium_connectors(snapshot_mode=SnapshotMode.WHEN_NEEDED)
    assert operations(events_until_now(connector, "orders")) == ROWS
    with debezium_client.stopped(connector.name):
        drop_slot(orders, connector.config.slot_name)
        # No slot holds this one: only a snapshot can still find it.
        orders.execute("INSERT INTO orders VALUES (3)")
    debezium_client.wait_until_streaming(connector.name, connector.config.slot_name, orders)
    assert operations(events_until_now(connector, "orders")) == [*ROWS, *ROWS, ("r", 3)]


def test_initial_only_brings_the_rows_and_then_nothing(
    debezium_connectors: DebeziumConnectors,
    debezium_client: DebeziumClient,
    orders: psycopg.Connection[Any],
    topic_events: TopicEvents,
) -> None:
    connector = debezium_connectors(snapshot_mode=SnapshotMode.INITIAL_ONLY)
    topic = connector.topic("orders")
    assert operations([value for _, value in topic_events(topic)]) == ROWS
    # Connect calls it RUNNING for ever, but there is not even a slot that could send anything.
    assert debezium_client.state(connector.name) is ConnectorState.RUNNING
    slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
    assert orders.execute(slots).fetchone() == (0,)
    with pytest.raises(NeverStreams, match="initial_only") as caught:
        debezium_client.wait_until_streaming(connector.name, connector.config.slot_name, orders)
    assert "wait_for_initial_snapshot" in caught.value.remedy
    orders.execute("INSERT INTO orders VALUES (3)")
    with debezium_client.stopped(connector.name):
        assert operations([value for _, value in topic_events(topic)]) == ROWS


def test_initial_only_is_refused_where_a_stream_is_waited_for(
    addresses: Any,
    debezium_client: DebeziumClient,
    orders: psycopg.Connection[Any],
    lakebed_test_name: str,
) -> None:
    config = addresses.debezium_connector_config(
        lakebed_test_name, database_dbname=lakebed_test_name, snapshot_mode=SnapshotMode.INITIAL_ONLY
    )
    with pytest.raises(NeverStreams):
        connect_to_stream(Connector(config, debezium_client), orders)
    assert lakebed_test_name not in debezium_client.names()


def test_initial_fails_when_the_slot_was_lost_and_says_so(
    debezium_connectors: DebeziumConnectors,
    debezium_client: DebeziumClient,
    orders: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
) -> None:
    connector = debezium_connectors(snapshot_mode=SnapshotMode.INITIAL)
    assert operations(events_until_now(connector, "orders")) == ROWS
    debezium_client.stop(connector.name)
    drop_slot(orders, connector.config.slot_name)
    orders.execute("INSERT INTO orders VALUES (3)")
    with pytest.raises(ConnectorFailed, match="no longer available on the server") as caught:
        connector.resume(orders)
    assert "use a snapshot mode when needed" in caught.value.seen
