"""The whole chain through the fixtures. It runs as it is on lakebed's own servers and on any others.

`test_attached.py` runs this file once more, on servers that were started outside, and
`tests/cluster/test_whole_cluster.py` on three brokers, three Connect workers and a Spark cluster.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import Schema
from deltalake import write_deltalake

from lakebed.cdc.barrier import wait_for_delta, wait_for_iceberg
from lakebed.cdc.comparison import assert_same_rows
from lakebed.clients.registry import compatibility, set_compatibility
from lakebed.clients.signals import send_signal_through_kafka, signal_settings
from lakebed.clients.topics import topics_with_prefix
from lakebed.config.debezium import SnapshotMode
from lakebed.config.kafka_clients import client_settings
from lakebed.config.registry import CompatibilityMode
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    import psycopg
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from lakebed.clients.connector import Connector
    from lakebed.pytest_plugin.connectors import DebeziumConnectors
    from lakebed.pytest_plugin.crash import Crash
    from lakebed.pytest_plugin.events import ChangeEvents
    from lakebed.pytest_plugin.pipelines import CdcPipelines
    from lakebed.pytest_plugin.session import SessionStack
    from lakebed.pytest_plugin.tables import ChangeFeeds, TableRows

Database = Any
ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "name": ["one", "two"]})


@pytest.fixture
def orders(postgres_connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """The test's database, with a table."""
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, item text, price numeric(8, 2))")
    postgres_connection.execute("INSERT INTO orders VALUES (1, 'lamp', 10.5), (2, 'desk', 200)")
    return postgres_connection


def test_a_database_for_each_test(postgres_connections: Callable[[], Database], orders: Database) -> None:
    other = postgres_connections()
    assert other.info.dbname == orders.info.dbname
    assert other.execute("SELECT count(*) FROM orders").fetchone() == (2,)


def test_a_topic(lakebed_stack: SessionStack, kafka_topic: str, kafka_admin_client: AdminClient) -> None:
    kafka = client_settings(lakebed_stack.need("kafka").kafka)
    producer = Producer(dict(kafka))
    producer.produce(kafka_topic, b"there", b"key")
    assert producer.flush(30) == 0
    consumer = Consumer({**kafka, "group.id": kafka_topic, "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(kafka_topic, 0, 0)])
        message = consumer.poll(30)
        assert message is not None
        assert (message.key(), message.value()) == (b"key", b"there")
    finally:
        consumer.close()
    assert topics_with_prefix(kafka_admin_client, kafka_topic) == [kafka_topic]


@pytest.mark.parametrize("avro", [False, True])
def test_changes_become_events(
    orders: Database, debezium_connectors: DebeziumConnectors, change_events: ChangeEvents, avro: bool
) -> None:
    connector = debezium_connectors(avro=avro)
    orders.execute("UPDATE orders SET price = 11 WHERE id = 1")
    orders.execute("DELETE FROM orders WHERE id = 2")
    events = list(change_events("orders"))
    assert [(event.op.value, event.key) for event in events if not event.is_tombstone] == [
        ("r", {"id": 1}),
        ("r", {"id": 2}),
        ("u", {"id": 1}),
        ("d", {"id": 2}),
    ]
    assert connector.status().connector.state == "RUNNING"


def test_a_deleted_connector_leaves_nothing(
    orders: Database,
    debezium_connectors: DebeziumConnectors,
    kafka_admin_client: AdminClient,
    schema_registry_client: SchemaRegistryClient,
) -> None:
    connector = debezium_connectors(avro=True)
    connector.wait_until_acknowledged(orders)
    prefix = connector.config.topic_prefix
    assert f"{prefix}.public.orders" in topics_with_prefix(kafka_admin_client, prefix)
    assert f"{prefix}.public.orders-value" in schema_registry_client.get_subjects()
    debezium_connectors.delete(connector)
    assert connector.name not in connector.client.names()
    assert topics_with_prefix(kafka_admin_client, prefix) == []
    assert not [name for name in schema_registry_client.get_subjects() if name.startswith(prefix)]
    slots = orders.execute("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()")
    assert slots.fetchone() == (0,)


def test_a_snapshot_only(orders: Database, debezium_connectors: DebeziumConnectors) -> None:
    connector = debezium_connectors(snapshot_mode=SnapshotMode.INITIAL_ONLY)
    assert connector.topic("orders") in connector.client.topics(connector.name)


def test_a_signal_through_kafka(
    lakebed_stack: SessionStack,
    orders: Database,
    debezium_connectors: DebeziumConnectors,
    lakebed_test_name: str,
) -> None:
    kafka = lakebed_stack.need("kafka").kafka
    prefix = orders.info.dbname
    connector = debezium_connectors(extra_config=signal_settings(prefix, kafka), signals=True)
    signal = send_signal_through_kafka(connector, "log", {"message": lakebed_test_name}, kafka)
    assert signal
    # Whichever worker has the connector; none where somebody else runs them.
    logs = list(lakebed_stack.folder.glob("connect*.log"))
    if logs:
        wait_until(
            lambda: any(lakebed_test_name in log.read_text() for log in logs),
            "Debezium to log it",
            deadline_seconds=30,
        )


def test_the_registry(
    schema_registry_client: SchemaRegistryClient, lakebed_record: Any, lakebed_test_name: str
) -> None:
    lakebed_record("subject", lakebed_test_name)
    lakebed_record("compatibility", lakebed_test_name)
    schema = json.dumps({"type": "record", "name": "one", "fields": []})
    assert schema_registry_client.register_schema(lakebed_test_name, Schema(schema, "AVRO")) > 0
    set_compatibility(schema_registry_client, CompatibilityMode.FULL, lakebed_test_name)
    assert compatibility(schema_registry_client, lakebed_test_name) is CompatibilityMode.FULL


def test_an_iceberg_table(
    iceberg_catalog: Catalog, iceberg_namespace: str, table_rows: TableRows, change_feed: ChangeFeeds
) -> None:
    name = f"{iceberg_namespace}.orders"
    table = iceberg_catalog.create_table(name, ROWS.schema)
    table.append(ROWS)
    assert_same_rows(ROWS, table_rows.iceberg(name), key="id")
    assert change_feed.iceberg(name, "id").table().num_rows == 2


def test_a_delta_table(
    lakebed_stack: SessionStack, delta_table_path: str, table_rows: TableRows, change_feed: ChangeFeeds
) -> None:
    options = lakebed_stack.need("s3").delta_storage_options()
    feed = {"delta.enableChangeDataFeed": "true"}
    path = delta_table_path.replace("s3a://", "s3://", 1)
    write_deltalake(path, ROWS, storage_options=options, configuration=feed)
    assert_same_rows(ROWS, table_rows.delta(delta_table_path), key="id")
    assert change_feed(delta_table_path).table()["_change_type"].to_pylist() == ["insert", "insert"]


def test_spark_reads_and_writes_both(
    spark_session: SparkSession, delta_table_path: str, iceberg_namespace: str, table_rows: TableRows
) -> None:
    rows = spark_session.createDataFrame([(1, "one"), (2, "two")], "id long, name string")
    rows.write.format("delta").save(delta_table_path)
    rows.writeTo(f"iceberg.{iceberg_namespace}.orders").create()
    iceberg = table_rows.iceberg(f"{iceberg_namespace}.orders")
    assert_same_rows(table_rows.delta(delta_table_path), iceberg, key="id")


@pytest.mark.debezium(avro=True)
def test_a_pipeline_that_is_killed(
    orders: Database,
    debezium_connector: Connector,
    lakebed_crash: Crash,
    delta_table_path: str,
    iceberg_namespace: str,
    table_rows: TableRows,
    lakebed_stack: SessionStack,
    iceberg_catalog: Catalog,
) -> None:
    iceberg = f"{iceberg_namespace}.orders"
    pipeline = lakebed_crash.pipeline(debezium_connector, "orders", delta=delta_table_path, iceberg=iceberg)
    pipeline.kill_after_commit("delta")
    pipeline.wait_until_killed()
    pipeline.start()
    addresses = lakebed_stack.need("kafka", "s3")
    topic = debezium_connector.topic("orders")
    wait_for_delta(delta_table_path, addresses.delta_storage_options(), topic, addresses.kafka)
    wait_for_iceberg(iceberg_catalog, iceberg, topic, addresses.kafka, check=pipeline.raise_if_failed)
    assert_same_rows(table_rows.postgres("orders"), table_rows.iceberg(iceberg))


@pytest.mark.debezium(avro=True)
def test_the_pipeline(
    orders: Database,
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    delta_table_path: str,
    iceberg_namespace: str,
    table_rows: TableRows,
) -> None:
    iceberg = f"{iceberg_namespace}.orders"
    pipeline = cdc_pipeline(debezium_connector, "orders", delta=delta_table_path, iceberg=iceberg)
    pipeline.run_available()
    orders.execute("UPDATE orders SET price = price * 2")
    orders.execute("INSERT INTO orders VALUES (3, 'chair', 45)")
    pipeline.run_available()
    source = table_rows.postgres("orders")
    assert_same_rows(source, table_rows.delta(delta_table_path))
    assert_same_rows(source, table_rows.iceberg(iceberg))
