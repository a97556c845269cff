"""The fixtures of the contract (section 3.3), and the two that configure them."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from lakebed.errors import CleanUpIncomplete
from lakebed.lifecycle import CleanUp
from lakebed.pytest_plugin.hooks import (
    CONNECTORS,
    DIAGNOSES,
    SERVICES,
    session_stack,
    settings_of,
    take_turn,
)
from lakebed.services import postgres, spark, spark_cluster
from lakebed.services.endpoints import LOOPBACK, WORKERS

# The clients are imported by the fixtures that need them: a test run without them must not pay for them.
if TYPE_CHECKING:
    import psycopg
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from lakebed.clients.connector import Connector
    from lakebed.clients.debezium import DebeziumClient
    from lakebed.config.endpoints import PostgresEndpoint
    from lakebed.config.settings import Settings
    from lakebed.pytest_plugin.connectors import DebeziumConnectors
    from lakebed.pytest_plugin.databases import OwnDatabases
    from lakebed.pytest_plugin.session import SessionStack


@pytest.fixture(scope="session")
def lakebed_settings(pytestconfig: pytest.Config) -> Settings:
    """How lakebed runs. Override this fixture to configure it: `return load_settings({"ports": ...})`."""
    from lakebed.config.settings import load_settings

    return load_settings(settings_of(pytestconfig))


@pytest.fixture(scope="session")
def lakebed_stack(pytestconfig: pytest.Config, lakebed_settings: Settings) -> SessionStack:
    """The stack of this session. `need("kafka")` returns its addresses when Kafka is healthy."""
    stack = session_stack(pytestconfig, lakebed_settings)
    take_turn(pytestconfig)
    services: list[str] = pytestconfig.stash[SERVICES]
    stack.begin(services)
    with _shown(pytestconfig):
        stack.provide_jars()
    return stack


@contextlib.contextmanager
def _shown(config: pytest.Config) -> Iterator[None]:
    """Let through what is written meanwhile: a download takes long, and pytest captures its progress."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
        yield


Record = Callable[[str, str], None]

# -- session scope: clients -------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kafka_admin_client(lakebed_stack: SessionStack) -> AdminClient:
    """confluent-kafka's admin client of the stack's Kafka."""
    from confluent_kafka.admin import AdminClient

    from lakebed.config.kafka_clients import admin_settings

    return AdminClient(dict(admin_settings(lakebed_stack.need("kafka").kafka)))


@pytest.fixture(scope="session")
def schema_registry_client(lakebed_stack: SessionStack) -> Iterator[SchemaRegistryClient]:
    """confluent-kafka's client of the stack's schema registry."""
    from lakebed.clients.registry import schema_registry_client as open_registry

    addresses = lakebed_stack.need("schema-registry")
    with open_registry(addresses.schema_registry_config(), addresses.schema_registry) as client:
        yield client


@pytest.fixture(scope="session")
def debezium_client(lakebed_stack: SessionStack) -> Iterator[DebeziumClient]:
    """lakebed's client of Kafka Connect."""
    from lakebed.clients.debezium import DebeziumClient

    addresses = lakebed_stack.need("connect")
    own, folder = addresses.ports, lakebed_stack.folder
    log = None if "connect" in addresses.attached else folder / "connect.log"
    logs = {f"{LOOPBACK}:{own[name][name]}": folder / f"{name}.log" for name in WORKERS if name in own}
    with DebeziumClient(addresses.connect, log=log, logs=logs if len(logs) > 1 else None) as client:
        yield client


@pytest.fixture(scope="session")
def iceberg_catalog(lakebed_stack: SessionStack) -> Catalog:
    """PyIceberg's REST catalog of the stack."""
    from lakebed.clients.catalog import open_catalog

    addresses = lakebed_stack.need("iceberg-rest", "s3")
    return open_catalog(
        addresses.iceberg_catalog_config(),
        more=addresses.iceberg_client_properties(),
        ca_file=addresses.iceberg_rest.ca_file,
    )


@pytest.fixture(scope="session")
def spark_session(pytestconfig: pytest.Config, lakebed_stack: SessionStack) -> Iterator[SparkSession]:
    """A Spark session with Delta Lake (change data feed on) and Iceberg on the stack's S3 store.

    When the selected tests need the Iceberg REST catalog, it is the session's catalog `iceberg`. With the
    setting `spark_master = "cluster"` its tasks run on the stack's own Spark cluster.
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
    catalog = ("iceberg-rest",) if "iceberg-rest" in pytestconfig.stash[SERVICES] else ()
    addresses = lakebed_stack.need(*catalog, "s3", *spark_cluster.services_of(settings.spark_master))
    more = {**addresses.spark_settings(), **settings.spark_config}
    lakebed_stack.promise("Spark session", spark.MEMORY_MB)
    config = addresses.delta_spark_config(settings.spark_master)
    folder, trusted = lakebed_stack.new_folder(), addresses.spark_ca_files()
    with spark_session_for(config, jars, folder, lakebed_stack.cache, more, trusted) as session:
        gateway: Any = session.sparkContext._gateway
        lakebed_stack.record_process(gateway.proc.pid)
        yield session


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
        lines = [
            error.seen
            if isinstance(error, CleanUpIncomplete)
            else f"{description}: {type(error).__name__}: {error}"
            for description, error in failures
        ]
        remedy = "`lakebed status` shows whether the server runs"
        raise CleanUpIncomplete("remove what the test made", "\n".join(lines), remedy)


@pytest.fixture
def lakebed_record(lakebed_stack: SessionStack, lakebed_clean_up: CleanUp) -> Record:
    """Tell what the test is about to make: `lakebed_record("topic", "orders")`.

    It is removed after the test, or, if the run is killed, by the stack's supervisor.
    """

    def record(kind: str, name: str) -> None:
        lakebed_stack.record(kind, name)
        lakebed_clean_up.add(f"{kind} {name}", lambda: lakebed_stack.remove((kind, name)))

    return record


@pytest.fixture(scope="session")
def postgres_databases(lakebed_stack: SessionStack) -> Iterator[OwnDatabases]:
    """Makes the databases of this session's tests."""
    from lakebed.pytest_plugin.databases import OwnDatabases

    databases = OwnDatabases(lakebed_stack, lakebed_stack.settings.template_sql)
    yield databases
    databases.close()


@pytest.fixture
def postgres_connection(
    lakebed_stack: SessionStack,
    postgres_databases: OwnDatabases,
    lakebed_test_name: str,
    lakebed_record: Record,
) -> Iterator[psycopg.Connection[Any]]:
    """A psycopg 3 connection, in autocommit mode, to a database that only this test has.

    It is cloned from a template; the setting `template_sql` names a file of SQL to fill that with.
    """
    # Asked by every test: a server that died under the one before is started again.
    lakebed_stack.need("postgres")
    lakebed_record("database", lakebed_test_name)
    postgres_databases.make(lakebed_test_name)
    connection = postgres_databases.connect(lakebed_test_name)
    try:
        yield connection
    finally:
        # Not with `with`, which commits first: a test whose time was up may have left a command running.
        connection.close()


@pytest.fixture
def kafka_topic(
    lakebed_stack: SessionStack,
    kafka_admin_client: AdminClient,
    lakebed_test_name: str,
    lakebed_record: Record,
) -> str:
    """The name of an empty topic of one partition that only this test has."""
    from lakebed.clients.topics import create_topic

    lakebed_stack.need("kafka")
    topic = f"{lakebed_test_name}.topic"
    lakebed_record("topic", topic)
    create_topic(kafka_admin_client, topic)
    return topic


@pytest.fixture
def delta_table_path(lakebed_stack: SessionStack, lakebed_test_name: str, lakebed_record: Record) -> str:
    """An `s3a://` path with nothing at it, for a Delta table that only this test has."""
    path = f"{lakebed_stack.need('s3').s3.delta_bucket}/{lakebed_test_name}"
    lakebed_record("path", path)
    return f"s3a://{path}/table"


@pytest.fixture
def iceberg_namespace(
    lakebed_stack: SessionStack, iceberg_catalog: Catalog, lakebed_test_name: str, lakebed_record: Record
) -> str:
    """The name of an empty namespace of the catalog that only this test has."""
    lakebed_stack.need("iceberg-rest")
    lakebed_record("namespace", lakebed_test_name)
    iceberg_catalog.create_namespace(lakebed_test_name)
    return lakebed_test_name


@pytest.fixture
def debezium_connectors(
    request: pytest.FixtureRequest,
    lakebed_stack: SessionStack,
    postgres_connection: psycopg.Connection[Any],
    debezium_client: DebeziumClient,
    lakebed_clean_up: CleanUp,
) -> DebeziumConnectors:
    """Makes Debezium connectors: `debezium_connectors(table_include_list=["public.orders"])`.

    Each streams this test's database when it is returned, has a slot, a publication and a topic prefix of its
    own, and is gone, with them, when the test is over or `debezium_connectors.delete(connector)` returns.
    """
    from lakebed.pytest_plugin.connectors import DebeziumConnectors

    marked: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("debezium"))):
        marked.update(mark.kwargs)

    def on_made(connector: Connector) -> None:
        server = lakebed_stack.need("postgres").postgres
        request.node.stash[DIAGNOSES].append(_diagnosis(connector, server))
        request.node.stash[CONNECTORS].append(connector)

    return DebeziumConnectors(
        lakebed_stack, debezium_client, postgres_connection, lakebed_clean_up, marked, on_made
    )


@pytest.fixture
def debezium_connector(debezium_connectors: DebeziumConnectors) -> Connector:
    """A Debezium connector that streams this test's database when the test begins.

    It has a slot, a publication and a topic prefix of its own. `@pytest.mark.debezium(field=value)` sets
    fields of its `DebeziumConnectorConfig`; `avro=True` makes its events Avro, through the schema registry.
    """
    return debezium_connectors()


def _diagnosis(connector: Connector, server: PostgresEndpoint) -> Callable[[], list[tuple[str, str]]]:
    import psycopg

    def diagnose() -> list[tuple[str, str]]:
        # A connection of its own: the test's may be within a transaction that has failed.
        try:
            with postgres.connect(server, connector.config.database_dbname) as database:
                return [(f"connector {connector.name}", connector.describe(database, log=False))]
        except psycopg.OperationalError:
            return [(f"connector {connector.name}", connector.describe(log=False))]

    return diagnose
