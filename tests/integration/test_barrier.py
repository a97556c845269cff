"""Barriers: exact, and when they do not come, a diagnosis; a failure is told at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer
from pyiceberg.catalog import Catalog

from lakebed.cdc.barrier import wait_for_delta, wait_for_iceberg, wait_for_table
from lakebed.cdc.topic_state import end_offsets, last_event, topic_id
from lakebed.clients.connector import Connector
from lakebed.errors import ConnectorFailed, DeadlinePassed, PipelineFailed
from lakebed.stack.addresses import Addresses
from lakebed.waiting import wait_until

FAILING_TRANSFORMATION = {
    "transforms": "broken",
    "transforms.broken.type": "org.apache.kafka.connect.transforms.ValueToKey",
    "transforms.broken.fields": "no_such_field",
}

Postgres = psycopg.Connection[Any]
TopicEvents = Callable[[str], list[tuple[Any, Any]]]


def test_all_that_was_committed_is_there(
    postgres_connection: Postgres, debezium_connector: Connector, addresses: Addresses
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    servers, topic = addresses.kafka_bootstrap_servers, debezium_connector.topic("orders")
    positions = []
    for count in range(1, 11):
        postgres_connection.execute(
            "INSERT INTO orders SELECT max(id) + 1 FROM (SELECT 0 UNION SELECT id FROM orders) known(id)"
        )
        positions.append(debezium_connector.wait_until_acknowledged(postgres_connection))
        assert end_offsets(servers, [topic]) == {topic: {0: count}}
    assert len(set(positions)) == 10


def test_a_large_transaction_is_there_to_its_last_row(
    postgres_connection: Postgres, debezium_connector: Connector, addresses: Addresses
) -> None:
    servers, topic = addresses.kafka_bootstrap_servers, debezium_connector.topic("orders")
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, name text)")
    for count in range(1, 4):
        ids = f"generate_series({count * 20_000}, {count * 20_000 + 19_999}) id"
        postgres_connection.execute(f"INSERT INTO orders SELECT id, md5(id::text) FROM {ids}".encode())
        debezium_connector.wait_until_acknowledged(postgres_connection)
        assert end_offsets(servers, [topic]) == {topic: {0: count * 20_000}}


def test_one_that_does_not_come_tells_the_state_of_connector_and_slot(
    postgres_connection: Postgres, debezium_connector: Connector
) -> None:
    debezium_connector.wait_until_acknowledged(postgres_connection)
    debezium_connector.client.pause(debezium_connector.name)
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    with pytest.raises(DeadlinePassed) as caught:
        debezium_connector.wait_until_acknowledged(postgres_connection, deadline_seconds=0.5)
    assert "up to log position" in caught.value.attempted
    for told in ("state: PAUSED", "bytes behind", "confirmed_flush_lsn="):
        assert told in caught.value.seen


def test_it_comes_though_a_snapshot_passes_over_its_message(
    postgres_connections: Callable[[], Postgres], debezium_connector: Connector, topic_events: TopicEvents
) -> None:
    postgres, other = postgres_connections(), postgres_connections()
    client, name = debezium_connector.client, debezium_connector.name
    postgres.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres.execute("INSERT INTO orders VALUES (1)")
    debezium_connector.wait_until_acknowledged(postgres)
    client.stop(name)
    client.reset_offsets(name)
    # Without it everything could be acknowledged already.
    postgres.execute("INSERT INTO orders VALUES (2)")
    position = "SELECT pg_current_wal_insert_lsn()"
    before = postgres.execute(position).fetchone()
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(debezium_connector.wait_until_acknowledged, other, deadline_seconds=30)
        wait_until(
            lambda: postgres.execute(position).fetchone() != before, "the message", deadline_seconds=10
        )
        client.resume(name)
        waiting.result()
    # The first row once as a change, both in the snapshot.
    events = topic_events(debezium_connector.topic("orders"))
    assert [event["op"] for _, event in events] == ["c", "r", "r"], events


@pytest.mark.debezium(heartbeat_interval_ms=0, extra_config=FAILING_TRANSFORMATION)
def test_a_failed_connector_ends_the_waiting_at_once(
    postgres_connection: Postgres, debezium_connector: Connector
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    with pytest.raises(ConnectorFailed, match="no_such_field"):
        debezium_connector.wait_until_acknowledged(postgres_connection)


def test_tables_that_no_pipeline_writes_are_told_with_the_last_event(
    kafka_topic: str,
    addresses: Addresses,
    delta_table_path: str,
    iceberg_catalog: Catalog,
    iceberg_namespace: str,
) -> None:
    servers = addresses.kafka_bootstrap_servers
    options = addresses.delta_storage_options()
    identifier = f"{iceberg_namespace}.orders"
    # Nothing in the topic is nothing to wait for.
    assert wait_for_delta(delta_table_path, options, kafka_topic, servers) is None
    assert wait_for_iceberg(iceberg_catalog, identifier, kafka_topic, servers) is None
    assert wait_for_delta(delta_table_path, options, f"{kafka_topic}.not-there", servers) is None
    assert last_event(servers, kafka_topic).endswith("is empty")
    assert last_event(servers, f"{kafka_topic}.not-there").endswith("does not exist")
    producer = Producer({"bootstrap.servers": servers})
    producer.produce(kafka_topic, key=b"seven", value=b"7")
    assert producer.flush(10) == 0
    waits: list[Callable[[], object]] = [
        lambda: wait_for_delta(delta_table_path, options, kafka_topic, servers, deadline_seconds=0.1),
        lambda: wait_for_iceberg(iceberg_catalog, identifier, kafka_topic, servers, deadline_seconds=0.1),
    ]
    for wait in waits:
        with pytest.raises(DeadlinePassed) as caught:
            wait()
        assert f"to hold topic '{kafka_topic}' up to 0:1" in caught.value.attempted
        assert "nothing yet, or it is not there" in caught.value.seen
        assert "key b'seven'" in caught.value.seen
        assert "a pipeline" in caught.value.remedy


def test_a_failed_pipeline_ends_the_waiting_at_once(kafka_topic: str, addresses: Addresses) -> None:
    def check() -> None:
        raise PipelineFailed("take in topic 'orders'", "a poison message")

    with pytest.raises(PipelineFailed, match="a poison message"):
        wait_for_table(
            lambda: None,
            "the table",
            kafka_topic,
            addresses.kafka_bootstrap_servers,
            ends={0: 1},
            check=check,
        )


def test_a_topic_of_the_same_name_is_another_one(kafka_topic: str, addresses: Addresses) -> None:
    servers = addresses.kafka_bootstrap_servers
    assert topic_id(servers, kafka_topic) == topic_id(servers, kafka_topic)
    with pytest.raises(PipelineFailed, match="not-there"):
        topic_id(servers, f"{kafka_topic}.not-there")
