"""The ten fixtures of the contract: what they are, whom they belong to, and that nothing of them stays."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import SchemaRegistryClient

from lakebed.clients.connector import Connector
from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.object_store import object_store
from lakebed.clients.topics import topics_with_prefix
from lakebed.lifecycle import ConnectorState
from lakebed.stack.addresses import Addresses

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

SESSION_SCOPED = (
    "debezium_client",
    "iceberg_catalog",
    "kafka_admin_client",
    "schema_registry_client",
    "spark_session",
)
FUNCTION_SCOPED = (
    "debezium_connector",
    "delta_table_path",
    "iceberg_namespace",
    "kafka_topic",
    "postgres_connection",
)


# -- what each one is --------------------------------------------------------------------------------


def test_the_clients_are_those_of_the_ecosystem(
    kafka_admin_client: AdminClient,
    spark_session: SparkSession,
    schema_registry_client: SchemaRegistryClient,
    debezium_client: DebeziumClient,
    iceberg_catalog: Catalog,
    postgres_connection: psycopg.Connection[Any],
) -> None:
    from pyiceberg.catalog.rest import RestCatalog
    from pyspark.sql import SparkSession as Session

    assert isinstance(kafka_admin_client, AdminClient)
    assert isinstance(spark_session, Session)
    assert isinstance(schema_registry_client, SchemaRegistryClient)
    assert isinstance(debezium_client, DebeziumClient)
    assert isinstance(iceberg_catalog, RestCatalog)
    assert isinstance(postgres_connection, psycopg.Connection)


def test_the_spark_session_is_what_the_contract_configures(
    spark_session: SparkSession, addresses: Addresses
) -> None:
    seen = dict(spark_session.sparkContext.getConf().getAll())
    wanted = addresses.delta_spark_config("local[2]").to_spark_config()
    # Served from the cache instead; with Iceberg's extension after Delta's.
    del wanted["spark.jars.packages"]
    assert seen["spark.sql.extensions"].split(",")[0] == wanted.pop("spark.sql.extensions")
    assert {name: seen.get(name) for name in wanted} == wanted


def test_postgres_connection_is_an_empty_database_in_autocommit_mode(
    postgres_connection: psycopg.Connection[Any],
) -> None:
    assert postgres_connection.autocommit
    assert postgres_connection.execute("SELECT current_database()").fetchone() != ("cdcdb",)
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    assert postgres_connection.execute(tables).fetchone() == (0,)


def test_to_ask_for_a_topic_does_not_create_it(
    kafka_admin_client: AdminClient, lakebed_test_name: str
) -> None:
    from confluent_kafka import KafkaError

    answer = kafka_admin_client.list_topics(lakebed_test_name, timeout=15).topics[lakebed_test_name]
    assert answer.error is not None
    assert answer.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert topics_with_prefix(kafka_admin_client, lakebed_test_name) == []


def test_kafka_topic_is_an_empty_topic_of_one_partition(
    kafka_topic: str, kafka_admin_client: AdminClient, addresses: Addresses
) -> None:
    from confluent_kafka import Consumer, TopicPartition

    assert list(kafka_admin_client.list_topics(kafka_topic, timeout=15).topics[kafka_topic].partitions) == [0]
    consumer = Consumer({"bootstrap.servers": addresses.kafka_bootstrap_servers, "group.id": "watermarks"})
    try:
        assert consumer.get_watermark_offsets(TopicPartition(kafka_topic, 0), timeout=15) == (0, 0)
    finally:
        consumer.close()


def test_delta_table_path_is_a_free_place_on_s3(delta_table_path: str, addresses: Addresses) -> None:
    from pyarrow.fs import FileType

    assert delta_table_path.startswith("s3a://delta/")
    store = object_store(addresses.s3_endpoint)
    path = delta_table_path.removeprefix("s3a://")
    assert store.get_file_info(path).type is FileType.NotFound


def test_iceberg_namespace_is_an_empty_namespace(iceberg_namespace: str, iceberg_catalog: Catalog) -> None:
    assert (iceberg_namespace,) in iceberg_catalog.list_namespaces()
    assert iceberg_catalog.list_tables(iceberg_namespace) == []


def test_debezium_connector_streams_this_tests_database(
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
) -> None:
    assert debezium_connector.config.database_dbname == postgres_connection.info.dbname
    assert debezium_client.state(debezium_connector.name) is ConnectorState.RUNNING
    slots = postgres_connection.execute(
        "SELECT active FROM pg_replication_slots WHERE slot_name = %s AND database = current_database()",
        [debezium_connector.config.slot_name],
    )
    assert slots.fetchall() == [(True,)]


def test_names_of_one_test_belong_together_and_to_it(
    lakebed_test_name: str,
    kafka_topic: str,
    iceberg_namespace: str,
    delta_table_path: str,
    postgres_connection: psycopg.Connection[Any],
    kafka_admin_client: AdminClient,
) -> None:
    assert lakebed_test_name.startswith("test_names_of_one_test")
    assert re.fullmatch(r"[a-z0-9_]{1,63}", lakebed_test_name)
    assert iceberg_namespace == postgres_connection.info.dbname == lakebed_test_name
    assert lakebed_test_name in delta_table_path
    assert topics_with_prefix(kafka_admin_client, lakebed_test_name) == [kafka_topic]


def test_scopes_are_the_contracts(pytester: pytest.Pytester, run_tests: Any) -> None:
    output = run_tests("--fixtures", test_none="def test_none(): ...").stdout.str()
    described = {
        name: scope
        for name, scope in re.findall(r"^(\w+)(?: \[(\w+) scope\])? -- ", output, re.MULTILINE)
        if name in SESSION_SCOPED + FUNCTION_SCOPED
    }
    assert described == dict.fromkeys(SESSION_SCOPED, "session") | dict.fromkeys(FUNCTION_SCOPED, "")


# -- what stays: a run inside this run, looked at from its end -----------------------------------------

_INNER_CONFTEST = """
import json
import pytest
from pathlib import Path
from pyarrow.fs import FileSelector
from lakebed.clients.object_store import object_store
from lakebed.services import postgres

@pytest.fixture(scope="session")
def seen():
    return {}

@pytest.fixture(scope="session", autouse=True)
def look_at_the_end(seen, lakebed_stack, kafka_admin_client, iceberg_catalog, debezium_client):
    yield
    stack = lakebed_stack.need("postgres", "kafka", "connect", "s3", "iceberg-rest")
    store = object_store(stack.s3_endpoint)
    with postgres.connect(stack.postgres_port, "postgres") as connection:
        databases = connection.execute("SELECT datname FROM pg_database").fetchall()
        slots = connection.execute("SELECT slot_name FROM pg_replication_slots").fetchall()
    left = {
        "databases": sorted(name for (name,) in databases),
        "slots": slots,
        "topics": sorted(kafka_admin_client.list_topics(timeout=15).topics),
        "connectors": debezium_client.names(),
        "namespaces": iceberg_catalog.list_namespaces(),
        "objects": [
            info.path
            for bucket in ("delta", "warehouse")
            for info in store.get_file_info(FileSelector(bucket, recursive=True))
            if info.is_file
        ],
    }
    Path("left.json").write_text(json.dumps({"left": left, "seen": seen}))
"""

_INNER_TESTS = '''
import pyarrow as pa
import pytest
from lakebed.clients.object_store import object_store
from lakebed.clients.topics import topics_with_prefix
from lakebed.services import postgres
from lakebed.waiting import wait_until

@pytest.fixture
def everything(
    seen, request, lakebed_stack, kafka_admin_client, iceberg_catalog, debezium_client,
    postgres_connection, kafka_topic, delta_table_path, iceberg_namespace, debezium_connector,
):
    """Fill all of a test's places, under names that are the same in every test."""
    own = {
        "database": postgres_connection.info.dbname,
        "topic": kafka_topic,
        "path": delta_table_path,
        "namespace": iceberg_namespace,
        "slot": debezium_connector.config.slot_name,
        "connector": debezium_connector.name,
    }
    clients = [id(one) for one in (kafka_admin_client, iceberg_catalog, debezium_client)]
    seen[request.node.name] = {"own": own, "clients": clients}
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    prefix = debezium_connector.config.topic_prefix
    wait_until(
        lambda: debezium_connector.topic("orders") in topics_with_prefix(kafka_admin_client, prefix),
        "the topic of orders", deadline_seconds=30,
    )
    rows = pa.table({"id": [1]})
    iceberg_catalog.create_table(f"{iceberg_namespace}.orders", rows.schema).append(rows)
    store = object_store(lakebed_stack.need("s3").s3_endpoint)
    with store.open_output_stream(delta_table_path.removeprefix("s3a://") + "/part-0") as stream:
        stream.write(b"1")

def test_first(everything, postgres_connection):
    assert postgres_connection.execute("SELECT count(*) FROM orders").fetchone() == (1,)

def test_second(everything, postgres_connection):
    assert postgres_connection.execute("SELECT count(*) FROM orders").fetchone() == (1,)

def test_that_fails(everything):
    raise AssertionError("on purpose")

@pytest.fixture
def broken(everything):
    raise RuntimeError("set-up fails on purpose")

def test_whose_set_up_fails(broken):
    raise AssertionError("never reached")

def test_that_keeps_a_session_open(everything, lakebed_stack, postgres_connection):
    # Somebody still in the database must not keep it from being dropped.
    port, name = lakebed_stack.need("postgres").postgres_port, postgres_connection.info.dbname
    globals()["still_open"] = postgres.connect(port, name)

@pytest.fixture
def in_between(seen, kafka_topic, kafka_admin_client, lakebed_clean_up, lakebed_stack, lakebed_test_name):
    port = lakebed_stack.need("postgres").postgres_port

    def look():
        with postgres.connect(port, "postgres") as connection:
            rows = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [lakebed_test_name])
            database = rows.fetchone() is not None
        topic = bool(topics_with_prefix(kafka_admin_client, kafka_topic))
        seen["order"] = {"database": database, "topic": topic}

    lakebed_clean_up.add("a look at what is still there", look)

def test_order(kafka_topic, in_between, postgres_connection):
    pass
'''

_CLUSTER_TOPICS = {"__consumer_offsets", "__transaction_state"}


def test_nothing_stays_whatever_becomes_of_the_test(pytester: pytest.Pytester, run_tests: Any) -> None:
    result = run_tests("-q", conftest=_INNER_CONFTEST, test_inner=_INNER_TESTS)
    result.assert_outcomes(passed=4, failed=1, errors=1)
    content = json.loads(Path(pytester.path, "left.json").read_text())
    left, seen = content["left"], content["seen"]

    assert set(left["databases"]) == {"postgres", "cdcdb", "template0", "template1"}
    assert left["slots"] == []
    topics = [name for name in left["topics"] if not name.startswith("lakebed-connect-")]
    assert set(topics) <= _CLUSTER_TOPICS
    assert left["connectors"] == []
    assert left["namespaces"] == []
    assert left["objects"] == []

    # Last made, first removed: between the topic, made before it, and the database, made after it.
    assert seen.pop("order") == {"database": False, "topic": True}

    # Five tests filled their places; no two had one in common, and all had the same clients.
    assert len(seen) == 5
    names = [name for test in seen.values() for name in set(test["own"].values())]
    assert len(names) == len(set(names))
    assert len({tuple(test["clients"]) for test in seen.values()}) == 1


def test_a_thing_that_cannot_be_removed_fails_the_test_and_the_rest_is_removed(run_tests: Any) -> None:
    tests = """
        import pytest

        removed = []

        def refuse():
            raise OSError("it will not go")

        def test_it(lakebed_clean_up):
            lakebed_clean_up.add("first", lambda: removed.append("first"))
            lakebed_clean_up.add("second", refuse)
            lakebed_clean_up.add("third", lambda: removed.append("third"))

        def test_the_rest():
            assert removed == ["third", "first"]
    """
    result = run_tests("-q", test_inner=tests)
    result.assert_outcomes(passed=2, errors=1)
    shown = ["*CleanUpIncomplete: remove what the test made*", "*second: OSError: it will not go*"]
    result.stdout.fnmatch_lines(shown)
