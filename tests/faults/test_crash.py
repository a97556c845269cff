"""Servers and pipelines killed while changes are being written: nothing is lost, nothing happens twice."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from lakebed.cdc.barrier import wait_for_delta, wait_for_iceberg
from lakebed.cdc.comparison import assert_same_rows
from lakebed.cdc.progress import delta_progress, iceberg_progress
from lakebed.cdc.rows import delta_rows, iceberg_rows, postgres_rows
from lakebed.clients.connector import Connector
from lakebed.errors import DeadlinePassed, UnknownService
from lakebed.pytest_plugin.crash import Crash
from lakebed.pytest_plugin.pipelines import CdcPipelines
from lakebed.pytest_plugin.session import SessionStack
from lakebed.services import postgres
from lakebed.waiting import wait_until

pytestmark = pytest.mark.debezium(avro=True)

Connect = Callable[[], "psycopg.Connection[Any]"]
RunTests = Callable[..., pytest.RunResult]
ORDERS = 150


class Writer:
    """Inserts orders one by one, and raises the state of earlier ones; goes on when PostgreSQL is back."""

    def __init__(self, connect: Connect) -> None:
        self.written = 0
        self._connect = connect
        self._connection = connect()
        self._connection.execute("CREATE TABLE orders (id int PRIMARY KEY, state int NOT NULL)")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for number in range(ORDERS):
            wait_until(
                lambda number=number: self._write(number),  # type: ignore[misc]
                "PostgreSQL to take the next order",
                deadline_seconds=60,
                ignore=(psycopg.OperationalError,),
            )
            self.written = number + 1

    def _write(self, number: int) -> bool:
        if self._connection.closed:
            self._connection = self._connect()
        with self._connection.transaction():
            # It may be there: the server was killed after the commit and before its answer.
            self._connection.execute("INSERT INTO orders VALUES (%s, 0) ON CONFLICT DO NOTHING", [number])
            self._connection.execute("UPDATE orders SET state = state + 1 WHERE id = %s", [number // 2])
            if number % 5 == 4:
                self._connection.execute("DELETE FROM orders WHERE id = %s", [number - 1])
        return True

    def wait(self) -> None:
        self._thread.join()
        assert self.written == ORDERS


@pytest.fixture
def writer(postgres_connections: Connect) -> Iterator[Writer]:
    writer = Writer(postgres_connections)
    yield writer
    writer.wait()


@pytest.fixture
def check(
    spark_session: SparkSession,
    iceberg_catalog: Catalog,
    lakebed_stack: SessionStack,
    postgres_connection: psycopg.Connection[Any],
    delta_table_path: str,
    iceberg_namespace: str,
) -> Callable[[], None]:
    """Prove that both tables are as the source, and that each order was made once and never went back."""
    database = postgres_connection.info.dbname

    def prove() -> None:
        addresses = lakebed_stack.need("postgres", "s3", "iceberg-rest")
        with postgres.connect(addresses.postgres_port, database) as connection:
            source = postgres_rows(connection, "orders")
        assert source.table().num_rows > ORDERS // 2
        assert_same_rows(source, delta_rows(addresses.s3_endpoint, delta_table_path))
        assert_same_rows(source, iceberg_rows(iceberg_catalog, f"{iceberg_namespace}.orders"))
        feed = (
            spark_session.read.format("delta").option("readChangeFeed", "true").option("startingVersion", "0")
        )
        effects: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for row in feed.load(delta_table_path).orderBy("_commit_version").collect():
            if row["_change_type"] != "update_preimage":
                effects[row["id"]].append((row["_change_type"], row["state"]))
        for order, seen in effects.items():
            kinds = [kind for kind, _ in seen]
            states = [state for kind, state in seen if kind != "delete"]
            assert kinds[0] == "insert", (order, seen)
            assert kinds.count("insert") == 1, (order, seen)
            assert kinds.count("delete") <= 1, (order, seen)
            assert states == sorted(set(states)), (order, seen)

    return prove


@pytest.mark.parametrize("server", ["connect", "kafka", "postgres"])
def test_a_server_killed_while_orders_are_written_loses_and_doubles_nothing(
    server: str,
    lakebed_crash: Crash,
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    writer: Writer,
    check: Callable[[], None],
    delta_table_path: str,
    iceberg_namespace: str,
) -> None:
    pipeline = cdc_pipeline(
        debezium_connector, "orders", delta=delta_table_path, iceberg=f"{iceberg_namespace}.orders"
    )
    pipeline.start()
    lakebed_crash.when(lambda: writer.written >= ORDERS // 3, server).wait()
    lakebed_crash.bring_back(server)
    writer.wait()
    pipeline.wait_until_caught_up()
    check()


def test_a_pipeline_killed_between_two_commits_loses_and_doubles_nothing(
    lakebed_crash: Crash,
    lakebed_stack: SessionStack,
    debezium_connector: Connector,
    writer: Writer,
    check: Callable[[], None],
    postgres_connections: Connect,
    iceberg_catalog: Catalog,
    delta_table_path: str,
    iceberg_namespace: str,
) -> None:
    identifier = f"{iceberg_namespace}.orders"
    pipeline = lakebed_crash.pipeline(
        debezium_connector, "orders", delta=delta_table_path, iceberg=identifier
    )
    pipeline.kill_after_commit("delta")
    pipeline.wait_until_killed()
    # Delta has the batch, Iceberg not.
    addresses = lakebed_stack.need("kafka", "s3")
    assert [commit.partition(".")[0] for commit in pipeline.commits] == ["delta"]
    assert delta_progress(delta_table_path, addresses.delta_storage_options()) is not None
    assert iceberg_progress(iceberg_catalog, identifier) is None
    pipeline.start()
    writer.wait()
    # And once more, whatever it is doing just now.
    postgres = postgres_connections()
    postgres.execute("UPDATE orders SET state = state + 1")
    pipeline.kill()
    postgres.execute("UPDATE orders SET state = state + 1 WHERE id % 2 = 0")
    pipeline.start()
    kafka, topic = addresses.kafka_bootstrap_servers, debezium_connector.topic("orders")
    debezium_connector.wait_until_acknowledged(postgres)
    # A pipeline's own Spark starts first.
    wait_for_delta(
        delta_table_path,
        addresses.delta_storage_options(),
        topic,
        kafka,
        deadline_seconds=240,
        check=pipeline.raise_if_failed,
    )
    wait_for_iceberg(
        iceberg_catalog, identifier, topic, kafka, deadline_seconds=240, check=pipeline.raise_if_failed
    )
    check()


def test_a_server_is_dead_inside_the_block_and_back_after_it(
    lakebed_crash: Crash, lakebed_stack: SessionStack, kafka_topic: str
) -> None:
    servers = lakebed_stack.need("kafka").kafka_bootstrap_servers
    before = _state(lakebed_stack, "kafka")
    with lakebed_crash("kafka"):
        dead = _state(lakebed_stack, "kafka")
        assert dead["state"] == "STOPPED"
        assert "SIGKILL" in dead["last_failure"]
        # Addresses can be asked for, and start nothing.
        assert lakebed_stack.need("kafka").kafka_bootstrap_servers == servers
        assert _state(lakebed_stack, "kafka")["state"] == "STOPPED"
    after = _state(lakebed_stack, "kafka")
    assert after["state"] == "RUNNING"
    assert (after["port"], after["pid"] == before["pid"]) == (before["port"], False)
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "after"})
    try:
        assert consumer.get_watermark_offsets(TopicPartition(kafka_topic, 0), timeout=15) == (0, 0)
    finally:
        consumer.close()


def test_a_moment_that_does_not_come_and_a_server_that_is_not_there_are_told(lakebed_crash: Crash) -> None:
    planned = lakebed_crash.when(lambda: False, "kafka", description="a million events", deadline_seconds=0.1)
    with pytest.raises(DeadlinePassed, match=r"a million events \(kafka\)"):
        planned.wait()
    with pytest.raises(UnknownService, match="cassandra"):
        lakebed_crash.kill("cassandra")


def test_the_tests_of_another_worker_are_not_disturbed(run_tests: RunTests) -> None:
    tests = """
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_kills(lakebed_crash, kafka_topic, postgres_connection, number):
            with lakebed_crash("postgres"), lakebed_crash("kafka"):
                pass

        @pytest.mark.parametrize("number", range(30))
        def test_uses(kafka_topic, kafka_admin_client, postgres_connection, number):
            work = "SELECT count(md5(n::text)) FROM generate_series(1, 20000) n"
            assert postgres_connection.execute(work).fetchone() == (20000,)
            assert kafka_topic in kafka_admin_client.list_topics(timeout=10).topics
    """
    run_tests("-n", "2", "-q", test_inner=tests).assert_outcomes(passed=33)


def test_what_a_test_leaves_dead_is_alive_for_the_next_one(run_tests: RunTests) -> None:
    tests = """
        import pytest

        def test_kills(lakebed_crash, postgres_connection, kafka_topic):
            lakebed_crash.kill("postgres")
            lakebed_crash.kill("kafka")
            raise AssertionError("and fails")

        def test_uses(kafka_topic, postgres_connection): ...
    """
    result = run_tests("-q", test_inner=tests)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*lakebed: kafka is STOPPED*", "*lakebed: postgres is STOPPED*"])


def _state(stack: SessionStack, service: str) -> dict[str, Any]:
    status = stack.status()
    assert status is not None
    found: dict[str, Any] = next(one for one in status["services"] if one["service"] == service)
    return found
