"""The fixtures of the contract (section 3.3), and the two that configure them."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakebed.errors import CleanUpIncomplete
from lakebed.lifecycle import CleanUp
from lakebed.pytest_plugin.hooks import DIAGNOSES, PHASES, SERVICES, STACK, settings_of
from lakebed.services import postgres, s3, spark

# The clients are imported by the fixtures that need them: a test run without them must not pay for them.
if TYPE_CHECKING:
    import psycopg
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from lakebed.clients.connector import Connector
    from lakebed.clients.debezium import DebeziumClient
    from lakebed.config.debezium import DebeziumConnectorConfig
    from lakebed.config.settings import Settings
    from lakebed.pytest_plugin.session import SessionStack


@pytest.fixture(scope="session")
def lakebed_settings(pytestconfig: pytest.Config) -> Settings:
    """How lakebed runs. Override this fixture to configure it: `return load_settings({"ports": ...})`."""
    from lakebed.config.settings import load_settings

    return load_settings(settings_of(pytestconfig))


@pytest.fixture(scope="session")
def lakebed_stack(pytestconfig: pytest.Config, lakebed_settings: Settings) -> SessionStack:
    """The stack of this session. `need("kafka")` returns its addresses when Kafka is healthy."""
    from lakebed.pytest_plugin.session import SessionStack

    services: list[str] = pytestconfig.stash[SERVICES]
    stack = SessionStack(
        lakebed_settings,
        name=pytestconfig.stash[PHASES].subject.split()[-1],
        client=f"pytest in {pytestconfig.rootpath.name}",
        services=services,
    )
    pytestconfig.stash[STACK] = stack
    with _shown(pytestconfig):
        stack.provide_jars()
    stack.start_in_background()
    return stack


@contextlib.contextmanager
def _shown(config: pytest.Config) -> Iterator[None]:
    """Let through what is written meanwhile: a download takes long, and pytest captures its progress."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
        yield


# -- session scope: clients -------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kafka_admin_client(lakebed_stack: SessionStack) -> AdminClient:
    """confluent-kafka's admin client of the stack's Kafka."""
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": lakebed_stack.need("kafka").kafka_bootstrap_servers})


@pytest.fixture(scope="session")
def schema_registry_client(lakebed_stack: SessionStack) -> Iterator[SchemaRegistryClient]:
    """confluent-kafka's client of the stack's schema registry."""
    from lakebed.clients.registry import schema_registry_client as open_registry

    with open_registry(lakebed_stack.need("schema-registry").schema_registry_config()) as client:
        yield client


@pytest.fixture(scope="session")
def debezium_client(lakebed_stack: SessionStack) -> Iterator[DebeziumClient]:
    """lakebed's client of Kafka Connect."""
    from lakebed.clients.debezium import DebeziumClient

    with DebeziumClient(lakebed_stack.need("connect").debezium_url) as client:
        yield client


@pytest.fixture(scope="session")
def iceberg_catalog(lakebed_stack: SessionStack) -> Catalog:
    """PyIceberg's REST catalog of the stack."""
    from lakebed.clients.catalog import open_catalog

    return open_catalog(lakebed_stack.need("iceberg-rest", "s3").iceberg_catalog_config())


@pytest.fixture(scope="session")
def spark_session(pytestconfig: pytest.Config, lakebed_stack: SessionStack) -> Iterator[SparkSession]:
    """A Spark session with Delta Lake (change data feed on) and Iceberg on the stack's S3 store.

    When the selected tests need the Iceberg REST catalog, it is the session's catalog `iceberg`.
    """
    from lakebed.clients.spark import spark_session_for
    from lakebed.provision.progress import RichProgress
    from lakebed.provision.provide import provide

    settings = lakebed_stack.settings
    with _shown(pytestconfig):
        provisions = provide(
            [spark.JARS], cache=lakebed_stack.cache, mirror=settings.maven_mirror, progress=RichProgress()
        )
    jars = provisions.class_path(spark.JARS)
    addresses = lakebed_stack.need("s3")
    more = dict(settings.spark_config)
    if "iceberg-rest" in pytestconfig.stash[SERVICES]:
        addresses = lakebed_stack.need("iceberg-rest", "s3")
        more = {**spark.iceberg_settings(addresses.iceberg_catalog_config()), **more}
    folder = Path(tempfile.mkdtemp(prefix="lakebed-spark-"))
    try:
        config = addresses.delta_spark_config(settings.spark_master)
        with spark_session_for(config, jars, folder, lakebed_stack.cache, more) as session:
            yield session
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -- function scope: what one test has for itself ------------------------------------------------------


@pytest.fixture
def lakebed_test_name(request: pytest.FixtureRequest) -> str:
    """A name no other test has, for databases, slots, topics and namespaces: letters, digits, underscores."""
    readable = re.sub(r"[^a-z0-9]+", "_", request.node.name.lower()).strip("_")[:30]
    return f"{readable}_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def lakebed_clean_up() -> Iterator[CleanUp]:
    """Removes what a test's fixtures made, last made first; goes on after a failure, then reports it."""
    clean_up = CleanUp()
    yield clean_up
    failures = clean_up.run()
    if failures:
        seen = "\n".join(f"{description}: {type(error).__name__}: {error}" for description, error in failures)
        raise CleanUpIncomplete(
            "remove what the test made", seen, "`lakebed status` shows whether the server runs"
        )


@pytest.fixture(scope="session")
def postgres_template(lakebed_stack: SessionStack) -> tuple[int, str]:
    """PostgreSQL's port, and the database every test's own is cloned from."""
    from psycopg import sql

    port = lakebed_stack.need("postgres").postgres_port
    template = f"template_{uuid.uuid4().hex[:8]}"
    with postgres.connect(port, "postgres") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(template)))
    if lakebed_stack.settings.template_sql is not None:
        with postgres.connect(port, template) as connection:
            connection.execute(lakebed_stack.settings.template_sql.read_text().encode())
    return port, template


@pytest.fixture
def postgres_connection(
    postgres_template: tuple[int, str], lakebed_test_name: str, lakebed_clean_up: CleanUp
) -> Iterator[psycopg.Connection[Any]]:
    """A psycopg 3 connection, in autocommit mode, to a database that only this test has.

    It is cloned from a template; the setting `template_sql` names a file of SQL to fill that with.
    """
    from psycopg import sql

    from lakebed.clients.databases import drop_database

    port, template = postgres_template
    database = sql.Identifier(lakebed_test_name)

    def drop() -> None:
        with postgres.connect(port, "postgres") as connection:
            drop_database(connection, lakebed_test_name)

    lakebed_clean_up.add(f"database {lakebed_test_name}", drop)
    with postgres.connect(port, "postgres") as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(statement.format(database, sql.Identifier(template)))
    with postgres.connect(port, lakebed_test_name) as connection:
        yield connection


@pytest.fixture
def kafka_topic(kafka_admin_client: AdminClient, lakebed_test_name: str, lakebed_clean_up: CleanUp) -> str:
    """The name of an empty topic of one partition that only this test has."""
    from lakebed.clients.topics import create_topic, delete_topics

    topic = f"{lakebed_test_name}.topic"
    lakebed_clean_up.add(f"topic {topic}", lambda: delete_topics(kafka_admin_client, [topic]))
    create_topic(kafka_admin_client, topic)
    return topic


@pytest.fixture
def delta_table_path(lakebed_stack: SessionStack, lakebed_test_name: str, lakebed_clean_up: CleanUp) -> str:
    """An `s3a://` path with nothing at it, for a Delta table that only this test has."""
    from lakebed.clients.object_store import delete_prefix, object_store

    store = object_store(lakebed_stack.need("s3").s3_endpoint)
    path = f"{s3.DELTA_BUCKET}/{lakebed_test_name}"
    lakebed_clean_up.add(f"objects under {path}", lambda: delete_prefix(store, path))
    return f"s3a://{path}/table"


@pytest.fixture
def iceberg_namespace(iceberg_catalog: Catalog, lakebed_test_name: str, lakebed_clean_up: CleanUp) -> str:
    """The name of an empty namespace of the catalog that only this test has."""

    def drop() -> None:
        for table in iceberg_catalog.list_tables(lakebed_test_name):
            iceberg_catalog.purge_table(table)
        iceberg_catalog.drop_namespace(lakebed_test_name)

    iceberg_catalog.create_namespace(lakebed_test_name)
    lakebed_clean_up.add(f"namespace {lakebed_test_name}", drop)
    return lakebed_test_name


@pytest.fixture
def debezium_connector(
    request: pytest.FixtureRequest,
    lakebed_stack: SessionStack,
    postgres_connection: psycopg.Connection[Any],
    debezium_client: DebeziumClient,
    kafka_admin_client: AdminClient,
    lakebed_test_name: str,
    lakebed_clean_up: CleanUp,
) -> Connector:
    """A Debezium connector that streams this test's database when the test begins.

    It has a slot, a publication and a topic prefix of its own. `@pytest.mark.debezium(field=value)` sets
    fields of its `DebeziumConnectorConfig`.
    """
    from lakebed.clients.connector import Connector, connect_to_stream

    addresses = lakebed_stack.need("connect", "postgres", "kafka")
    marked: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("debezium"))):
        marked.update(mark.kwargs)
    fields: dict[str, Any] = {
        "name": lakebed_test_name,
        "database_dbname": lakebed_test_name,
        "topic_prefix": lakebed_test_name,
        "slot_name": lakebed_test_name,
        **marked,
    }
    config = addresses.debezium_connector_config(**fields)
    port = addresses.postgres_port
    _forget_connector(lakebed_clean_up, config, port, debezium_client, kafka_admin_client)
    connector = Connector(config, debezium_client)
    request.node.stash[DIAGNOSES].append(_diagnosis(connector))
    connect_to_stream(connector, postgres_connection)
    return connector


def _forget_connector(
    clean_up: CleanUp,
    config: DebeziumConnectorConfig,
    port: int,
    debezium_client: DebeziumClient,
    admin: AdminClient,
) -> None:
    """Note what a connector makes, before it is made: topics, slot, and last the connector itself."""

    from lakebed.clients.databases import drop_slot
    from lakebed.clients.topics import delete_topics, topics_with_prefix

    def delete_its_topics() -> None:
        # Debezium documentation, "topic.heartbeat.prefix": heartbeats have a topic beside the tables'.
        heartbeats = topics_with_prefix(admin, f"__debezium-heartbeat.{config.topic_prefix}")
        delete_topics(admin, [*topics_with_prefix(admin, f"{config.topic_prefix}."), *heartbeats])

    def drop_its_slot() -> None:
        with postgres.connect(port, config.database_dbname) as connection:
            drop_slot(connection, config.slot_name)

    def delete_it() -> None:
        if config.name in debezium_client.names():
            debezium_client.delete(config.name)

    clean_up.add(f"topics of {config.topic_prefix}", delete_its_topics)
    clean_up.add(f"replication slot {config.slot_name}", drop_its_slot)
    clean_up.add(f"connector {config.name}", delete_it)


def _diagnosis(connector: Connector) -> Callable[[], list[tuple[str, str]]]:
    def diagnose() -> list[tuple[str, str]]:
        return [(f"connector {connector.name}", connector.describe())]

    return diagnose
