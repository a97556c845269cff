"""What a session of several executors must do as one JVM does; run by `test_spark_cluster.py`."""

from __future__ import annotations

import os
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from lakebed.cdc.barrier import wait_for_delta
from lakebed.cdc.comparison import assert_same_rows
from lakebed.cdc.rows import delta_rows, iceberg_rows, postgres_rows
from lakebed.services.spark import ICEBERG_CATALOG
from lakebed.services.spark_cluster import master_state
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    import psycopg
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from lakebed.clients.connector import Connector
    from lakebed.pytest_plugin.crash import Crash
    from lakebed.pytest_plugin.pipelines import CdcPipelines
    from lakebed.pytest_plugin.session import SessionStack


def executors(spark: SparkSession) -> dict[str, tuple[int, bool]]:
    """By executor, how many tasks it has ended and whether it lives; the driver is none."""
    context: Any = spark.sparkContext
    found = context._jsc.sc().statusStore().executorList(False)
    listed = [found.apply(number) for number in range(found.size())]
    return {one.id(): (one.completedTasks(), one.isActive()) for one in listed if one.id() != "driver"}


@pytest.fixture
def both(spark_session: SparkSession) -> SparkSession:
    """The session when it has two executors: it begins with the first that comes."""
    wait_until(
        lambda: sum(lives for _, lives in executors(spark_session).values()) == 2,
        "two executors",
        deadline_seconds=60,
        explain=lambda: str(executors(spark_session)),
    )
    return spark_session


def test_delta_with_its_change_data_feed_is_written_by_both_executors(
    both: SparkSession, delta_table_path: str
) -> None:
    before = executors(both)
    rows = both.range(0, 10_000, 1, 8).selectExpr("id", "id % 7 AS part")
    rows.write.format("delta").save(delta_table_path)
    both.sql(f"UPDATE delta.`{delta_table_path}` SET part = -1 WHERE id < 10")
    both.sql(f"DELETE FROM delta.`{delta_table_path}` WHERE id >= 9990")
    feed = both.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 0)
    counts = feed.load(delta_table_path).groupBy("_change_type").count().collect()
    assert {row["_change_type"]: row["count"] for row in counts} == {
        "insert": 10_000,
        "update_preimage": 10,
        "update_postimage": 10,
        "delete": 10,
    }
    after = executors(both)
    more = {name: tasks - before.get(name, (0, True))[0] for name, (tasks, lives) in after.items() if lives}
    assert len(more) == 2
    assert min(more.values()) > 0


def test_iceberg_is_written_by_executors_and_read_by_pyiceberg(
    both: SparkSession, iceberg_catalog: Catalog, iceberg_namespace: str
) -> None:
    table = f"{ICEBERG_CATALOG}.{iceberg_namespace}.numbers"
    both.sql(f"CREATE TABLE {table} (id BIGINT, half DOUBLE) USING iceberg")
    both.range(0, 1000, 1, 4).selectExpr("id", "id / 2 AS half").writeTo(table).append()
    found = iceberg_catalog.load_table(f"{iceberg_namespace}.numbers").scan().to_arrow()
    assert sorted(found.column("id").to_pylist()) == list(range(1000))
    assert both.table(table).where("half = 1.5").collect()[0].id == 3


def test_rows_that_executors_compute_are_compared(both: SparkSession) -> None:
    frame = both.range(0, 1000, 1, 8).selectExpr("id", "CAST(id / 4 AS decimal(10, 2)) AS price")
    expected = [{"id": number, "price": Decimal(number) / 4} for number in range(1000)]
    assert_same_rows(expected, frame, "id")


def test_python_runs_in_processes_of_the_executors(both: SparkSession) -> None:
    here = os.getpid()
    numbers = both.sparkContext.parallelize(range(100), 4)
    found = numbers.map(lambda number: (os.getpid(), number + 1)).collect()
    assert [number for _, number in found] == list(range(1, 101))
    assert here not in {pid for pid, _ in found}


@pytest.mark.debezium(avro=True)
def test_the_pipeline_ends_with_the_rows_of_the_source(
    postgres_connection: psycopg.Connection[Any],
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    delta_table_path: str,
    iceberg_catalog: Catalog,
    iceberg_namespace: str,
    lakebed_stack: SessionStack,
) -> None:
    execute = postgres_connection.execute
    execute("CREATE TABLE orders (id int PRIMARY KEY, item text, price numeric(8, 2), at timestamptz)")
    execute("INSERT INTO orders SELECT id, 'item ' || id, id / 4.0, now() FROM generate_series(1, 200) id")
    iceberg = f"{iceberg_namespace}.orders"
    pipeline = cdc_pipeline(debezium_connector, "orders", delta=delta_table_path, iceberg=iceberg)
    assert pipeline.run_available() == 200
    execute("UPDATE orders SET price = price + 1, item = NULL WHERE id <= 10")
    execute("DELETE FROM orders WHERE id > 190")
    execute("UPDATE orders SET id = id + 1000 WHERE id = 50")
    pipeline.run_available()
    store = lakebed_stack.need("s3").s3_endpoint
    source = postgres_rows(postgres_connection, "orders")
    assert source.table().num_rows == 190
    assert_same_rows(source, delta_rows(store, delta_table_path), ["id"], ("PostgreSQL", "Delta"))
    assert_same_rows(source, iceberg_rows(iceberg_catalog, iceberg), ["id"], ("PostgreSQL", "Iceberg"))


class _Job:
    """A write of many tasks in a thread: long enough to be met in the middle."""

    ROWS, TASKS = 6_000_000, 120

    def __init__(self, spark: SparkSession, path: str) -> None:
        self._spark, self._path = spark, path
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            rows = self._spark.range(0, self.ROWS, 1, self.TASKS)
            rows.selectExpr("id", "sha2(cast(id AS string), 512) AS digest").where(
                "digest < '2'"
            ).write.format("delta").save(self._path)
        except BaseException as error:  # raised where it is waited for
            self._error = error

    def goes_on(self) -> bool:
        return self._thread.is_alive()

    def wait(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error


def test_a_killed_worker_costs_no_row(
    both: SparkSession, lakebed_crash: Crash, delta_table_path: str
) -> None:
    before = executors(both)
    done = sum(tasks for tasks, _ in before.values())
    job = _Job(both, delta_table_path)
    lakebed_crash.when(
        lambda: sum(tasks for tasks, _ in executors(both).values()) >= done + 10,
        "spark-worker-1",
        description="ten tasks of the job",
    ).wait()
    assert job.goes_on()
    job.wait()
    # Whoever counts the rows again must not be the one that wrote them.
    hashed = both.range(0, job.ROWS, 1, 4).selectExpr("id", "sha2(cast(id AS string), 512) AS digest")
    written = both.read.format("delta").load(delta_table_path)
    assert written.count() == hashed.where("digest < '2'").count() > 0
    assert written.select("id").distinct().count() == written.count()
    dead = [name for name, (_, lives) in executors(both).items() if not lives]
    assert [name for name in dead if before.get(name, (0, False))[1]], "an executor of before has died"
    lakebed_crash.bring_back("spark-worker-1")


def test_a_session_outlives_a_killed_master(
    both: SparkSession, lakebed_crash: Crash, lakebed_stack: SessionStack
) -> None:
    application = both.sparkContext.applicationId
    with lakebed_crash("spark-master"):
        assert both.range(0, 1000, 1, 4).count() == 1000
    assert both.range(0, 1000, 1, 4).count() == 1000
    web = lakebed_stack.need("s3").ports["spark-master"]["web"]
    wait_until(
        lambda: [one["id"] for one in master_state(web)["activeapps"]] == [application],
        "the session to be known to the new master",
        deadline_seconds=60,
        explain=lambda: str(master_state(web)),
    )


@pytest.mark.debezium(avro=True)
def test_a_pipeline_in_a_process_of_its_own_finds_room(
    both: SparkSession,
    postgres_connection: psycopg.Connection[Any],
    debezium_connector: Connector,
    lakebed_crash: Crash,
    delta_table_path: str,
    lakebed_stack: SessionStack,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders SELECT generate_series(1, 50)")
    pipeline = lakebed_crash.pipeline(debezium_connector, "orders", delta=delta_table_path)
    addresses = lakebed_stack.need("kafka", "s3")
    wait_for_delta(
        delta_table_path,
        addresses.delta_storage_options(),
        debezium_connector.topic("orders"),
        addresses.kafka_bootstrap_servers,
        check=pipeline.raise_if_failed,
    )
    source = postgres_rows(postgres_connection, "orders")
    assert source.table().num_rows == 50
    assert_same_rows(source, delta_rows(addresses.s3_endpoint, delta_table_path))
