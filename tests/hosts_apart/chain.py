"""The whole chain on hosts that are apart; run by `test_hosts_apart.py`, on the host `tests`."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from tests.hosts_apart.network import HOSTS, cut, late, on, run, slow
from tests.hosts_apart.servers import WAL_SENDER_TIMEOUT_SECONDS

from lakebed.cdc.comparison import assert_same_rows
from lakebed.cdc.latency import change_latencies
from lakebed.errors import DeadlinePassed
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    import psycopg
    from confluent_kafka.admin import AdminClient

    from lakebed.clients.connector import Connector
    from lakebed.pytest_plugin.pipelines import CdcPipeline, CdcPipelines
    from lakebed.pytest_plugin.session import SessionStack
    from lakebed.pytest_plugin.tables import ChangeFeeds, TableRows

pytestmark = pytest.mark.debezium(avro=True)

FIRST = 100
SLOW_KBIT = 1000


class Orders:
    """The table of a test, on its way into Delta and Iceberg."""

    def __init__(
        self,
        database: psycopg.Connection[Any],
        pipeline: CdcPipeline,
        rows: TableRows,
        feed: ChangeFeeds,
        delta: str,
        iceberg: str,
    ) -> None:
        self.database, self.pipeline = database, pipeline
        self._rows, self._feed, self._delta, self._iceberg = rows, feed, delta, iceberg

    def insert(self, first: int, last: int) -> None:
        """Insert rows, in one transaction."""
        self.database.execute(
            "INSERT INTO orders SELECT id, 'item ' || id, id / 4.0 FROM generate_series(%s::int, %s) id",
            [first, last],
        )

    def check(self, expected: dict[str, int]) -> None:
        """Prove that both tables are as the source, and that each change had its effect once."""
        source = self._rows.postgres("orders")
        assert_same_rows(source, self._rows.delta(self._delta))
        assert_same_rows(source, self._rows.iceberg(self._iceberg))
        assert Counter(self._feed(self._delta).table()["_change_type"].to_pylist()) == expected


@pytest.fixture
def orders(
    postgres_connection: psycopg.Connection[Any],
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    table_rows: TableRows,
    change_feed: ChangeFeeds,
    delta_table_path: str,
    iceberg_namespace: str,
) -> Orders:
    """A table with rows that are in the lake, and a pipeline that runs."""
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, item text, price numeric(8, 2))")
    iceberg = f"{iceberg_namespace}.orders"
    pipeline = cdc_pipeline(debezium_connector, "orders", delta=delta_table_path, iceberg=iceberg)
    orders = Orders(postgres_connection, pipeline, table_rows, change_feed, delta_table_path, iceberg)
    orders.insert(1, FIRST)
    pipeline.start()
    pipeline.wait_until_caught_up()
    return orders


def told(what: str, seconds: float) -> None:
    """Write down what was seen, for docs/hosts_apart.md."""
    sys.stdout.write(f"seen: {what}: {seconds:.1f} s\n")


def test_all_of_it_works_between_hosts(
    lakebed_stack: SessionStack, orders: Orders, debezium_connector: Connector
) -> None:
    addresses = lakebed_stack.need("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest")
    urls = [addresses.debezium_url, addresses.schema_registry_url, addresses.s3_endpoint]
    urls += [addresses.iceberg_catalog_uri, addresses.kafka_bootstrap_servers, addresses.postgres.host]
    assert all("10.77." in url for url in urls)
    # Who streams comes from the host of Connect, and this test from its own.
    sender = orders.database.execute(
        "SELECT host(client_addr) FROM pg_stat_replication senders JOIN pg_replication_slots slots"
        " ON senders.pid = slots.active_pid WHERE slot_name = %s",
        [debezium_connector.config.slot_name],
    ).fetchone()
    assert sender == (HOSTS["connect"].address,)
    mine = orders.database.execute("SELECT host(inet_client_addr()), host(inet_server_addr())").fetchone()
    assert mine == (HOSTS["tests"].address, HOSTS["database"].address)
    orders.database.execute("UPDATE orders SET price = price + 1 WHERE id <= 10")
    orders.database.execute("DELETE FROM orders WHERE id > 95")
    orders.pipeline.wait_until_caught_up()
    orders.check({"insert": FIRST, "update_preimage": 10, "update_postimage": 10, "delete": 5})


def test_connect_is_cut_off_from_the_database(orders: Orders, debezium_connector: Connector) -> None:
    slot = [debezium_connector.config.slot_name]
    is_given_up = "SELECT NOT active FROM pg_replication_slots WHERE slot_name = %s"
    with cut("connect", "database"):
        began = time.monotonic()
        orders.insert(101, 200)
        wait_until(
            lambda: orders.database.execute(is_given_up, slot).fetchone() == (True,),
            "PostgreSQL to give up the connection",
            deadline_seconds=WAL_SENDER_TIMEOUT_SECONDS + 15,
        )
        told("PostgreSQL gives up the connection of its slot after", time.monotonic() - began)
        orders.insert(201, 300)
        # The connector goes on being RUNNING: that its slot is not used tells that it does not reach it.
        with pytest.raises(DeadlinePassed, match="inactive since") as caught:
            orders.pipeline.wait_until_in_kafka(deadline_seconds=2)
        assert "Connect's worker: healthy" in str(caught.value)
        told(f"the barrier says:\n{caught.value}\ncut for", time.monotonic() - began)
    healed = time.monotonic()
    orders.insert(301, 400)
    orders.pipeline.wait_until_caught_up()
    told("all is in the lake after", time.monotonic() - healed)
    orders.check({"insert": 400})


def test_connect_is_cut_off_from_kafka(orders: Orders, kafka_admin_client: AdminClient) -> None:
    def is_thrown_out() -> bool:
        listed = kafka_admin_client.list_groups(timeout=10)
        return [one.state for one in listed if str(one.id).startswith("lakebed-connect")] == ["Empty"]

    with cut("connect", "broker"):
        began = time.monotonic()
        orders.insert(101, 200)
        wait_until(is_thrown_out, "Kafka to throw the worker out of its group", deadline_seconds=30)
        told("Kafka throws the worker out of its group after", time.monotonic() - began)
        orders.insert(201, 300)
        with pytest.raises(DeadlinePassed, match="Connect's worker: not healthy") as caught:
            orders.pipeline.wait_until_in_kafka(deadline_seconds=2)
        told(f"the barrier says:\n{caught.value}\ncut for", time.monotonic() - began)
    healed = time.monotonic()
    orders.insert(301, 400)
    orders.pipeline.wait_until_caught_up()
    told("all is in the lake after", time.monotonic() - healed)
    orders.check({"insert": 400})


def test_the_pipeline_is_cut_off_from_the_lake(orders: Orders) -> None:
    with cut("tests", "lake"):
        began = time.monotonic()
        orders.insert(101, 200)
        orders.pipeline.wait_until_in_kafka()
        address = re.escape(HOSTS["lake"].address)
        with pytest.raises(DeadlinePassed, match=f"s3: {address}:9000 does not answer") as caught:
            orders.pipeline.wait_until_caught_up(deadline_seconds=12)
        told(f"the barrier says:\n{caught.value}\ncut for", time.monotonic() - began)
        orders.insert(201, 300)
    healed = time.monotonic()
    orders.insert(301, 400)
    orders.pipeline.wait_until_caught_up()
    told("all is in the lake after", time.monotonic() - healed)
    orders.check({"insert": 400})


def test_the_database_has_a_slow_line(orders: Orders) -> None:
    last = 4000
    # Slower, and PostgreSQL's log in the queue would keep a new connection waiting until it gives up.
    with slow("database", SLOW_KBIT):
        began = time.monotonic()
        orders.insert(FIRST + 1, last)
        orders.pipeline.wait_until_caught_up()
        told(
            f"{last - FIRST} rows through {SLOW_KBIT} kbit/s are in the lake after", time.monotonic() - began
        )
        shaped = run(*on("database"), "tc", "-statistics", "qdisc", "show", "dev", "eth0")
    # The line was full: packets had to wait.
    assert int(shaped.partition("overlimits ")[2].split()[0]) > 0
    orders.check({"insert": last})


def test_a_delay_on_the_way_is_seen_in_the_latency_of_changes(
    lakebed_stack: SessionStack, postgres_connection: psycopg.Connection[Any], debezium_connector: Connector
) -> None:
    delay, kafka = 0.1, lakebed_stack.need("kafka").kafka
    postgres_connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, number int)")
    postgres_connection.execute("INSERT INTO numbers VALUES (1, 0)")
    debezium_connector.wait_until_acknowledged(postgres_connection)

    def latency() -> float:
        topic, change = debezium_connector.topic("numbers"), "UPDATE numbers SET number = number + 1"
        return median(change_latencies(postgres_connection, kafka, topic, change, 60, per_second=20))

    before = latency()
    with late("connect", "database", delay):
        during = latency()
    told("a change takes", before)
    told("a change takes, with 0.1 s on the way", during)
    # PostgreSQL sends by itself what is committed: it is one way, not two. A busy machine adds to it.
    assert 0.9 * delay < during - before < 5 * delay
