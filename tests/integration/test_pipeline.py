"""Pipelines into Delta and Iceberg: every kind of change, exactly once, whatever is repeated or lost."""

from __future__ import annotations

import functools
import re
import shutil
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from lakebed.cdc.barrier import wait_for_delta, wait_for_iceberg
from lakebed.cdc.comparison import assert_same_rows
from lakebed.cdc.progress import delta_progress, iceberg_progress
from lakebed.cdc.rows import delta_rows, iceberg_rows, postgres_rows
from lakebed.clients.connector import Connector
from lakebed.errors import DeadlinePassed, PipelineFailed
from lakebed.pytest_plugin.pipelines import CdcPipeline, CdcPipelines
from lakebed.services import postgres
from lakebed.stack.addresses import Addresses

pytestmark = pytest.mark.debezium(avro=True)

Postgres = psycopg.Connection[Any]


class Lake:
    """The orders of one test: their pipeline, and what is in source and lake."""

    def __init__(
        self,
        spark: SparkSession,
        catalog: Catalog,
        addresses: Addresses,
        database: str,
        delta: str,
        namespace: str,
    ) -> None:
        self.spark = spark
        self.catalog = catalog
        self.addresses = addresses
        self.database = database
        self.delta = delta
        self.iceberg = f"{namespace}.orders"

    def check(self, key: str = "id") -> int:
        """Prove that both tables are as the source; return how many rows that are."""
        with postgres.connect(self.addresses.postgres_port, self.database) as connection:
            source = postgres_rows(connection, "orders")
        for name, rows in (
            ("Delta", delta_rows(self.addresses.s3_endpoint, self.delta)),
            ("Iceberg", iceberg_rows(self.catalog, self.iceberg)),
        ):
            assert_same_rows(source, rows, [key], ("PostgreSQL", name))
        return int(source.table().num_rows)

    def effects(self) -> dict[str, int]:
        """By kind, how many changes the Delta table's change data feed has."""
        feed = self.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", "0")
        return dict(Counter(row["_change_type"] for row in feed.load(self.delta).collect()))

    def snapshots(self) -> int:
        """How many snapshots the Iceberg table has."""
        return len(self.catalog.load_table(self.iceberg).snapshots())

    def versions(self) -> int:
        """How many versions the Delta table has."""
        return self.spark.sql(f"DESCRIBE HISTORY delta.`{self.delta}`").count()


@pytest.fixture
def lake(
    spark_session: SparkSession,
    iceberg_catalog: Catalog,
    addresses: Addresses,
    postgres_connection: Postgres,
    delta_table_path: str,
    iceberg_namespace: str,
) -> Lake:
    return Lake(
        spark_session,
        iceberg_catalog,
        addresses,
        postgres_connection.info.dbname,
        delta_table_path,
        iceberg_namespace,
    )


@pytest.fixture
def pipeline(debezium_connector: Connector, cdc_pipeline: CdcPipelines, lake: Lake) -> CdcPipeline:
    """The pipeline of the table orders."""
    return cdc_pipeline(debezium_connector, "orders", delta=lake.delta, iceberg=lake.iceberg)


@pytest.fixture
def send_again(addresses: Addresses, debezium_connector: Connector) -> Callable[[int, int], None]:
    """Append records of the topic to it once more, by offset, as a killed Connect does."""
    topic = debezium_connector.topic("orders")
    servers = addresses.kafka_bootstrap_servers

    def send(first: int, last: int) -> None:
        consumer = Consumer({"bootstrap.servers": servers, "group.id": "copies", "enable.auto.commit": False})
        producer = Producer({"bootstrap.servers": servers})
        consumer.assign([TopicPartition(topic, 0, first)])
        try:
            for offset in range(first, last + 1):
                message = consumer.poll(10)
                assert message is not None
                assert (message.error(), message.offset()) == (None, offset)
                producer.produce(topic, value=message.value(), key=message.key(), partition=0)
            assert producer.flush(10) == 0
        finally:
            consumer.close()

    return send


def test_every_kind_of_change_arrives_and_is_recorded(
    postgres_connection: Postgres, pipeline: CdcPipeline, lake: Lake
) -> None:
    execute = postgres_connection.execute
    execute("CREATE TABLE orders (id int PRIMARY KEY, item text, price float8, at timestamptz, day date)")
    execute(
        "INSERT INTO orders SELECT id, 'item ' || id, id / 4.0, now(), current_date"
        " FROM generate_series(1, 100) id"
    )
    assert pipeline.run_available() == 100
    assert lake.check() == 100
    execute("UPDATE orders SET price = price + 1, item = NULL WHERE id <= 10")
    execute("DELETE FROM orders WHERE id > 95")
    # A changed key is a delete and an insert.
    execute("UPDATE orders SET id = id + 1000 WHERE id = 50")
    assert pipeline.run_available() == 10 + 5 + 2
    assert lake.check() == 95
    assert lake.effects() == {
        "insert": 100 + 1,
        "update_preimage": 10,
        "update_postimage": 10,
        "delete": 5 + 1,
    }
    recorded = delta_progress(lake.delta, lake.addresses.delta_storage_options())
    assert recorded == iceberg_progress(lake.catalog, lake.iceberg)
    assert recorded is not None
    # 117 changes and 6 tombstones.
    assert recorded.partitions[0].offset == 122
    # Nothing new costs no query and makes no version.
    versions, snapshots = lake.versions(), lake.snapshots()
    assert pipeline.run_available() == 0
    assert (lake.versions(), lake.snapshots()) == (versions, snapshots)


def test_a_lost_checkpoint_has_no_effect(
    postgres_connection: Postgres,
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    pipeline: CdcPipeline,
    lake: Lake,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, paid boolean)")
    postgres_connection.execute("INSERT INTO orders SELECT id, false FROM generate_series(1, 20) id")
    pipeline.run_available()
    postgres_connection.execute("UPDATE orders SET paid = true WHERE id <= 5")
    postgres_connection.execute("DELETE FROM orders WHERE id > 15")
    pipeline.run_available()
    effects, versions, snapshots = lake.effects(), lake.versions(), lake.snapshots()
    shutil.rmtree(pipeline.checkpoint)
    again = cdc_pipeline(debezium_connector, "orders", delta=lake.delta, iceberg=lake.iceberg)
    assert again.run_available() == 0
    assert (lake.effects(), lake.versions(), lake.snapshots()) == (effects, versions, snapshots)
    postgres_connection.execute("INSERT INTO orders VALUES (99, true)")
    assert again.run_available() == 1
    assert lake.check() == 16


def test_what_connect_sends_again_has_no_effect(
    postgres_connection: Postgres, pipeline: CdcPipeline, lake: Lake, send_again: Callable[[int, int], None]
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, state int)")
    postgres_connection.execute("INSERT INTO orders SELECT id, 0 FROM generate_series(1, 10) id")
    for state in (1, 2, 3):
        postgres_connection.execute("UPDATE orders SET state = %s WHERE id <= 5", [state])
    postgres_connection.execute("DELETE FROM orders WHERE id = 5")
    pipeline.run_available()
    effects = lake.effects()
    # The states 1, 2, 3 come once more, and the delete with its tombstone: into a batch of its own ...
    send_again(10, 26)
    pipeline.run_available()
    assert lake.check() == 9
    assert lake.effects() == effects
    # ... and into one with something new.
    postgres_connection.execute("UPDATE orders SET state = 4 WHERE id = 1")
    pipeline.wait_until_in_kafka()
    send_again(10, 20)
    pipeline.run_available()
    assert lake.check() == 9
    assert lake.effects()["update_postimage"] == effects.get("update_postimage", 0) + 1


def test_rows_of_one_copy_are_told_apart_though_they_have_one_log_position(
    postgres_connection: Postgres, pipeline: CdcPipeline, lake: Lake, send_again: Callable[[int, int], None]
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    with postgres_connection.cursor() as cursor, cursor.copy("COPY orders FROM STDIN") as copy:
        for number in range(50):
            copy.write_row([number])
    pipeline.run_available()
    send_again(20, 49)
    pipeline.run_available()
    assert lake.check() == 50
    assert lake.effects() == {"insert": 50}


def test_a_crash_between_two_tables_is_made_good(
    postgres_connection: Postgres, debezium_connector: Connector, cdc_pipeline: CdcPipelines, lake: Lake
) -> None:
    def crash(table: str, progress: object) -> None:
        if table.startswith("delta."):
            raise RuntimeError("as if it had been killed here")

    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, paid boolean)")
    postgres_connection.execute("INSERT INTO orders SELECT id, false FROM generate_series(1, 20) id")
    new = functools.partial(
        cdc_pipeline, debezium_connector, "orders", delta=lake.delta, iceberg=lake.iceberg
    )
    new().run_available()
    postgres_connection.execute("UPDATE orders SET paid = true WHERE id <= 5")
    broken = new(on_commit=crash)
    with pytest.raises(PipelineFailed, match="as if it had been killed here"):
        broken.run_available()
    postgres_connection.execute("DELETE FROM orders WHERE id > 15")
    # Iceberg gets both batches, Delta only what it has not.
    new(checkpoint=broken.checkpoint).run_available()
    assert lake.check() == 15
    assert lake.effects() == {"insert": 20, "update_preimage": 5, "update_postimage": 5, "delete": 5}


def test_the_schema_grows_with_the_source_where_it_can(
    postgres_connection: Postgres,
    pipeline: CdcPipeline,
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    schema_registry_client: SchemaRegistryClient,
    lake: Lake,
) -> None:
    postgres_connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, amount int, price numeric(6, 2), ratio real)"
    )
    postgres_connection.execute("INSERT INTO orders VALUES (1, 1, 9.99, 0.5), (2, 2, 1, 0.25)")
    pipeline.run_available()
    postgres_connection.execute("ALTER TABLE orders ADD COLUMN note text")
    postgres_connection.execute("UPDATE orders SET note = 'new' WHERE id = 1")
    pipeline.run_available()
    delta = lake.spark.table(f"delta.`{lake.delta}`").orderBy("id").collect()
    assert [tuple(row) for row in delta] == [
        (1, 1, Decimal("9.99"), 0.5, "new"),
        (2, 2, Decimal("1.00"), 0.25, None),
    ]
    assert lake.spark.table(f"iceberg.{lake.iceberg}").orderBy("id").collect() == delta
    # Iceberg can widen a column, Delta Lake 3.3 cannot.
    postgres_connection.execute("ALTER TABLE orders ALTER COLUMN amount TYPE bigint")
    postgres_connection.execute("UPDATE orders SET amount = 5000000000 WHERE id = 1")
    with pytest.raises(PipelineFailed, match="has made it bigint; in the table it is int") as caught:
        pipeline.run_available()
    assert "'amount' into delta." in caught.value.attempted
    only_iceberg = cdc_pipeline(debezium_connector, "orders", iceberg=lake.iceberg)
    assert only_iceberg.run_available() == 1
    rows = lake.spark.table(f"iceberg.{lake.iceberg}").where("id = 1").collect()
    assert [tuple(row) for row in rows] == [(1, 5000000000, Decimal("9.99"), 0.5, "new")]
    # A number that becomes a text cannot be the same column any more; the registry would say so first.
    subject = f"{debezium_connector.topic('orders')}-value"
    schema_registry_client.set_compatibility(subject_name=subject, level="NONE")
    postgres_connection.execute("ALTER TABLE orders ALTER COLUMN amount TYPE text")
    postgres_connection.execute("INSERT INTO orders VALUES (3, 'three', 1, 1, NULL)")
    with pytest.raises(PipelineFailed, match="has made it string; in the table it is bigint"):
        only_iceberg.run_available()
    assert lake.spark.table(f"iceberg.{lake.iceberg}").count() == 2


@pytest.mark.debezium(avro=True, extra_config={"skipped.operations": "none"})
def test_a_truncate_empties_the_tables_in_one_commit(
    postgres_connection: Postgres, pipeline: CdcPipeline, lake: Lake
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, paid boolean)")
    postgres_connection.execute("INSERT INTO orders SELECT id, false FROM generate_series(1, 20) id")
    pipeline.run_available()
    postgres_connection.execute("UPDATE orders SET paid = true")
    postgres_connection.execute("TRUNCATE orders")
    postgres_connection.execute("INSERT INTO orders VALUES (7, true), (100, false)")
    pipeline.run_available()
    assert lake.check() == 2
    postgres_connection.execute("TRUNCATE orders")
    pipeline.run_available()
    assert lake.check() == 0


def test_a_large_value_that_was_not_touched_stays(
    postgres_connection: Postgres, pipeline: CdcPipeline, lake: Lake
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, paid boolean, note text)")
    postgres_connection.execute("ALTER TABLE orders ALTER COLUMN note SET STORAGE EXTERNAL")
    postgres_connection.execute(
        "INSERT INTO orders SELECT id, false, repeat('x', 9000) || id FROM generate_series(1, 3) id"
    )
    pipeline.run_available()
    # In the lake already; in the same batch as its own change; replaced.
    postgres_connection.execute("UPDATE orders SET paid = true WHERE id = 1")
    postgres_connection.execute("UPDATE orders SET note = repeat('y', 9000) WHERE id = 2")
    postgres_connection.execute("UPDATE orders SET paid = true WHERE id = 2")
    postgres_connection.execute("UPDATE orders SET note = NULL WHERE id = 3")
    pipeline.run_available()
    assert lake.check() == 3


def test_continuous_queries_follow_and_one_tables_poison_does_not_stop_the_other(
    postgres_connection: Postgres, debezium_connector: Connector, cdc_pipeline: CdcPipelines, lake: Lake
) -> None:
    namespace = lake.iceberg.partition(".")[0]
    pipeline = cdc_pipeline(
        debezium_connector,
        *("orders", "notes"),
        delta={"orders": lake.delta, "notes": f"{lake.delta}-notes"},
        iceberg=namespace,
    )
    # Before there are topics.
    pipeline.start()
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("CREATE TABLE notes (note text)")
    postgres_connection.execute("INSERT INTO orders SELECT generate_series(1, 10)")
    pipeline.wait_until_caught_up()
    assert lake.check() == 10
    postgres_connection.execute("INSERT INTO notes VALUES ('no key')")
    with pytest.raises(PipelineFailed, match="no primary key") as caught:
        pipeline.wait_until_caught_up()
    assert "public.notes" in caught.value.attempted
    postgres_connection.execute("DELETE FROM orders WHERE id <= 4")
    pipeline.wait_until_in_kafka()
    topic, kafka = debezium_connector.topic("orders"), lake.addresses.kafka_bootstrap_servers
    wait_for_delta(lake.delta, lake.addresses.delta_storage_options(), topic, kafka)
    wait_for_iceberg(lake.catalog, lake.iceberg, topic, kafka)
    assert lake.check() == 6
    pipeline.stop()
    assert not any("public.orders" in str(query.name) for query in lake.spark.streams.active)


def test_a_barrier_that_passes_tells_what_the_pipeline_does(
    postgres_connection: Postgres, pipeline: CdcPipeline
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    assert pipeline.run_available() == 1
    postgres_connection.execute("INSERT INTO orders VALUES (2)")
    pipeline.wait_until_in_kafka()
    # Nobody has called `start`.
    with pytest.raises(DeadlinePassed) as caught:
        pipeline.wait_until_caught_up(deadline_seconds=2)
    assert re.search(r"no batch is under way for .* took .* no query runs, see `start`", caught.value.seen)
    assert "LAKEBED_PATIENCE" in caught.value.remedy
    pipeline.start()
    pipeline.wait_until_caught_up()
    assert "no query runs" not in pipeline.pipeline.describe()


def test_records_that_are_no_change_events_are_refused(
    postgres_connection: Postgres, pipeline: CdcPipeline, lake: Lake, debezium_connector: Connector
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    pipeline.run_available()
    producer = Producer({"bootstrap.servers": lake.addresses.kafka_bootstrap_servers})
    producer.produce(debezium_connector.topic("orders"), key=b'{"id": 2}', value=b'{"op": "c"}')
    assert producer.flush(10) == 0
    with pytest.raises(PipelineFailed, match="avro=True") as caught:
        pipeline.run_available()
    assert "offset 1" in caught.value.seen
    assert lake.check() == 1


def test_a_connector_that_writes_json_is_refused_at_once(
    debezium_connectors: Callable[..., Connector], cdc_pipeline: CdcPipelines, lake: Lake
) -> None:
    connector = debezium_connectors(avro=False)
    with pytest.raises(ValueError, match="avro=True"):
        cdc_pipeline(connector, "orders", delta=lake.delta)
    with pytest.raises(ValueError, match="where they go"):
        cdc_pipeline(debezium_connectors(), "orders")


def test_a_batch_like_those_before_compiles_next_to_nothing(
    postgres_connection: Postgres, pipeline: CdcPipeline, lake: Lake
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, amount int)")
    postgres_connection.execute("INSERT INTO orders VALUES (1, 0), (2, 0), (3, 0)")
    jvm = lake.spark.sparkContext._jvm
    assert jvm is not None
    compiled = jvm.org.apache.spark.metrics.source.CodegenMetrics.METRIC_COMPILATION_TIME()
    for _ in range(4):
        before = compiled.getCount()
        pipeline.run_available()
        pieces = compiled.getCount() - before
        postgres_connection.execute("UPDATE orders SET amount = amount + 1 WHERE id = 1")
        postgres_connection.execute("DELETE FROM orders WHERE id = 2")
        postgres_connection.execute("INSERT INTO orders VALUES (2, 0)")
    # A MERGE into both has some 190 pieces of code; of the 100 that Spark itself keeps none would be there.
    assert pieces < 50
