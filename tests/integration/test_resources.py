"""What tests make in a service is found there, and is gone when it was removed; the service's own stays."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pyarrow as pa
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from pyarrow.fs import FileSelector, FileType, S3FileSystem

from lakebed.clients.connector import Connector, connect_to_stream
from lakebed.clients.databases import drop_database, drop_slot
from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.object_store import object_store
from lakebed.clients.topics import create_topic
from lakebed.config.attach import Attach
from lakebed.errors import DeadlinePassed, StackFailed
from lakebed.lifecycle import ConnectorState
from lakebed.services import SERVICES, Place, ResourceKind, postgres, s3
from lakebed.services.connect_storage import GROUP, STORAGE_TOPICS
from lakebed.services.postgres_connection import administer
from lakebed.services.postgres_resources import in_database
from lakebed.stack.addresses import Addresses
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

_KINDS = {kind.name: (service.name, kind) for service in SERVICES for kind in service.resources}


@dataclass(frozen=True)
class Resource:
    """One kind of things in the service that runs."""

    place: Place
    kind: ResourceKind

    def present(self) -> dict[str, str]:
        """Return what is there."""
        assert self.kind.present is not None
        return dict(self.kind.present(self.place))

    def remove(self, name: str) -> None:
        """Remove one."""
        self.kind.remove(self.place, name)

    def restore(self, name: str, state: str) -> None:
        """Give one its state back."""
        assert self.kind.restore is not None
        self.kind.restore(self.place, name, state)

    def see_it_go(self, name: str) -> None:
        """Remove what is there, twice."""
        assert name in self.present()
        self.remove(name)
        assert name not in self.present()
        self.remove(name)


Resources = Callable[[str], Resource]


@pytest.fixture
def resources(addresses: Addresses) -> Resources:
    """Things in the session's stack, by kind."""

    def resource(name: str) -> Resource:
        service, kind = _KINDS[name]
        # Of a service that runs, no more than its addresses is asked.
        nowhere = Path("/nonexistent")
        return Resource(Place(nowhere, nowhere, addresses.ports[service], addresses.ports), kind)

    return resource


@pytest.fixture
def name() -> str:
    """A name that nothing else has."""
    return f"r{uuid.uuid4().hex[:8]}"


@pytest.fixture
def administration(addresses: Addresses) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the database `postgres`."""
    with postgres.connect(addresses.postgres_port, "postgres") as connection:
        yield connection


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("database", {"postgres", "template0", "template1", "cdcdb"}),
        ("role", {"cdcuser", "pg_monitor"}),
        ("topic", {"__consumer_offsets", *STORAGE_TOPICS}),
        ("bucket", {"warehouse", "delta", ".system"}),
        ("path", {"delta/.uploads", "warehouse/.uploads"}),
    ],
)
def test_what_belongs_to_the_service_is_not_listed(resources: Resources, kind: str, own: set[str]) -> None:
    assert own.isdisjoint(resources(kind).present())


def test_connects_own_group_is_no_consumer_group(resources: Resources) -> None:
    assert not [name for name in resources("consumer-group").present() if name.startswith(GROUP)]


# -- PostgreSQL ------------------------------------------------------------------------------------------


def test_a_database_goes_while_somebody_is_connected(
    resources: Resources, addresses: Addresses, administration: psycopg.Connection[Any], name: str
) -> None:
    administration.execute(f'CREATE DATABASE "{name}" IS_TEMPLATE true'.encode())
    with postgres.connect(addresses.postgres_port, name):
        resources("database").see_it_go(name)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres.connect(addresses.postgres_port, name)


@contextmanager
def streaming(addresses: Addresses, database: str, slot: str) -> Iterator[psycopg.Connection[Any]]:
    """Stream from a new slot, with the protocol that connectors use."""
    with postgres.connect(addresses.postgres_port, database) as connection:
        connection.execute(f"CREATE PUBLICATION {slot} FOR ALL TABLES".encode())
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
        stream = psycopg.connect(
            f"host=127.0.0.1 port={addresses.postgres_port} user={postgres.USER} dbname={database}"
            f" password={postgres.PASSWORD} replication=database",
            autocommit=True,
        )
        try:
            options = f"proto_version '1', publication_names '{slot}'"
            stream.pgconn.exec_(f"START_REPLICATION SLOT {slot} LOGICAL 0/0 ({options})".encode())
            yield connection
        finally:
            stream.close()


def active_slots(connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute("SELECT slot_name FROM pg_replication_slots WHERE active").fetchall()
    return [slot for (slot,) in rows]


def test_a_slot_goes_from_whatever_database_it_is_in(
    resources: Resources, postgres_connection: psycopg.Connection[Any], name: str
) -> None:
    postgres_connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [name])
    resources("slot").see_it_go(name)


def test_a_slot_in_use_goes_when_its_user_has_left(
    resources: Resources, addresses: Addresses, postgres_connection: psycopg.Connection[Any], name: str
) -> None:
    removal = threading.Thread(target=resources("slot").remove, args=[name])
    with streaming(addresses, postgres_connection.info.dbname, name):
        assert name in active_slots(postgres_connection)
        with pytest.raises(DeadlinePassed, match=r"active=True(.|\n)*delete that first"):
            drop_slot(postgres_connection, name, deadline_seconds=0.05)
        removal.start()
        assert name in resources("slot").present()
    removal.join()
    assert name not in resources("slot").present()


@pytest.mark.parametrize("kind", ["slot", "database"])
def test_a_slot_in_use_goes_although_its_user_does_not_leave(
    resources: Resources, addresses: Addresses, administration: psycopg.Connection[Any], name: str, kind: str
) -> None:
    administration.execute(f"CREATE DATABASE {name}".encode())
    with streaming(addresses, name, name):
        resources(kind).see_it_go(name)
        assert name not in resources("slot").present()
    resources("database").remove(name)


def test_what_was_made_in_the_contracts_database_goes(
    resources: Resources, addresses: Addresses, name: str
) -> None:
    with postgres.connect(addresses.postgres_port, postgres.DATABASE) as connection:
        connection.execute(f'CREATE SCHEMA "{name} S"'.encode())
        connection.execute(f'CREATE TABLE "{name} S".t (id serial PRIMARY KEY)'.encode())
        connection.execute(f'CREATE TABLE "{name}.T" (id serial PRIMARY KEY)'.encode())
        connection.execute(f'CREATE VIEW {name}_v AS SELECT * FROM "{name}.T"'.encode())
        connection.execute(f"CREATE SEQUENCE {name}_s".encode())
        connection.execute(f"CREATE PUBLICATION {name} FOR ALL TABLES".encode())
    database = postgres.DATABASE
    # What goes with a table is not listed beside it.
    assert [key for key in resources("table").present() if name in key and "_id_seq" in key] == []
    resources("publication").see_it_go(f"{database}/{name}")
    resources("table").see_it_go(f"{database}/public.{name}_v")
    resources("table").see_it_go(f"{database}/public.{name}_s")
    resources("table").see_it_go(f'{database}/public."{name}.T"')
    resources("schema").see_it_go(f"{database}/{name} S")
    assert [key for key in resources("table").present() if name in key] == []


def test_what_a_broken_connection_did_not_do_is_done_with_another_one(
    addresses: Addresses, administration: psycopg.Connection[Any], name: str
) -> None:
    administration.execute(f"CREATE DATABASE {name}".encode())
    tried: list[str] = []

    def work(connection: psycopg.Connection[Any]) -> str:
        tried.append("once more")
        if len(tried) == 1:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return connection.info.dbname

    assert in_database(addresses.postgres, name, work, gone="gone") == name
    assert len(tried) == 2
    drop_database(administration, name)


def test_a_database_that_is_dropped_while_it_is_looked_at_is_gone(
    addresses: Addresses, administration: psycopg.Connection[Any], name: str
) -> None:
    administration.execute(f"CREATE DATABASE {name}".encode())

    def work(connection: psycopg.Connection[Any]) -> str:
        drop_database(administration, name)
        connection.execute("SELECT 1")
        return "there"

    assert in_database(addresses.postgres, name, work, gone="gone") == "gone"
    assert in_database(addresses.postgres, name, work, gone="gone") == "gone"


def test_a_database_whose_connections_always_break_is_told(addresses: Addresses) -> None:
    def work(connection: psycopg.Connection[Any]) -> None:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(DeadlinePassed, match=f"database '{postgres.DATABASE}' to answer") as caught:
        in_database(addresses.postgres, postgres.DATABASE, work, gone=None, deadline_seconds=0.1)
    assert "terminating connection" in caught.value.seen


def test_an_error_on_a_connection_that_is_whole_is_raised_at_once(addresses: Addresses) -> None:
    tried: list[str] = []

    def work(connection: psycopg.Connection[Any]) -> None:
        tried.append("once")
        # An OperationalError, as a broken connection is one.
        raise psycopg.errors.LockNotAvailable

    with pytest.raises(psycopg.errors.LockNotAvailable):
        in_database(addresses.postgres, postgres.DATABASE, work, gone=None)
    assert tried == ["once"]


def test_what_was_in_a_database_that_is_gone_is_no_error(resources: Resources, name: str) -> None:
    for kind in ("publication", "table", "schema"):
        resources(kind).remove(f"{name}/{name}")


def test_a_role_goes_with_its_rights_but_not_with_what_it_owns(
    resources: Resources, postgres_connection: psycopg.Connection[Any], name: str
) -> None:
    postgres_connection.execute(f"CREATE ROLE {name} LOGIN".encode())
    postgres_connection.execute(f"GRANT CREATE ON SCHEMA public TO {name}".encode())
    postgres_connection.execute("CREATE TABLE orders (id int)")
    postgres_connection.execute(f"ALTER TABLE orders OWNER TO {name}".encode())
    resources("role").see_it_go(name)
    owner = postgres_connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'orders'")
    assert owner.fetchone() == (postgres.USER,)


def test_a_kept_connection_that_broke_is_replaced(
    resources: Resources, addresses: Addresses, administration: psycopg.Connection[Any], name: str
) -> None:
    kept = administer(addresses.postgres_port, lambda connection: connection.info.backend_pid)
    administration.execute("SELECT pg_terminate_backend(%s, 5000)", [kept])
    administration.execute(f"CREATE DATABASE {name}".encode())
    resources("database").see_it_go(name)


# -- Kafka -----------------------------------------------------------------------------------------------


def test_a_topic_goes(resources: Resources, kafka_admin_client: AdminClient, name: str) -> None:
    create_topic(kafka_admin_client, name)
    resources("topic").see_it_go(name)
    assert name not in kafka_admin_client.list_topics(timeout=15).topics


def test_the_topics_of_a_prefix_go_with_debeziums_heartbeats_and_no_others(
    resources: Resources, kafka_admin_client: AdminClient, name: str
) -> None:
    topics = {f"{name}.public.a", f"{name}.message", f"__debezium-heartbeat.{name}"}
    others = {f"{name}2.public.a", f"__debezium-heartbeat.{name}2"}
    for topic in topics | others:
        create_topic(kafka_admin_client, topic)
    for _ in range(2):
        resources("topic-prefix").remove(name)
        left = [topic for topic in kafka_admin_client.list_topics(timeout=15).topics if name in topic]
        assert set(left) == others
    resources("topic-prefix").remove(f"{name}2")


_CONSUME = """
import sys
from confluent_kafka import Consumer
servers, group, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
while not consumer.assignment():
    consumer.poll(0.1)
if sys.stdin.read():
    consumer.close()
"""


@pytest.mark.parametrize("ends", ["closed", "killed"])
def test_a_consumer_group_goes(
    resources: Resources, addresses: Addresses, kafka_topic: str, name: str, ends: str
) -> None:
    arguments = [sys.executable, "-c", _CONSUME, addresses.kafka_bootstrap_servers, name, kafka_topic]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as consumer:
        admin = AdminClient({"bootstrap.servers": addresses.kafka_bootstrap_servers})
        wait_until(lambda: assigned(admin, name), f"a member of {name}", deadline_seconds=60)
        if ends == "killed":
            consumer.send_signal(signal.SIGKILL)
        else:
            consumer.communicate(b"close")
    resources("consumer-group").see_it_go(name)


def assigned(admin: AdminClient, group: str) -> bool:
    description = admin.describe_consumer_groups([group])[group].result()
    return any(member.assignment.topic_partitions for member in description.members)


# -- Connect ---------------------------------------------------------------------------------------------


@pytest.fixture
def new_connector(
    addresses: Addresses,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
    name: str,
) -> Callable[[], Connector]:
    """Create a connector, each time of the same name, and return it when it streams."""
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (7)")
    config = addresses.debezium_connector_config(
        f"{name} ü",
        database_dbname=postgres_connection.info.dbname,
        topic_prefix=name,
        slot_name=name,
        publication_name=name,
    )

    def create() -> Connector:
        connector = Connector(config, debezium_client)
        connect_to_stream(connector, postgres_connection)
        return connector

    return create


def test_a_connector_goes_and_its_tasks_have_ended_then(
    resources: Resources,
    new_connector: Callable[[], Connector],
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
    name: str,
) -> None:
    connector = new_connector()
    assert name in active_slots(postgres_connection)
    assert connector.name in resources("connector").present()
    resources("connector").remove(connector.name)
    assert name not in active_slots(postgres_connection)
    assert connector.name not in debezium_client.names()
    resources("connector").remove(connector.name)
    for kind in ("slot", "topic-prefix"):
        resources(kind).remove(name)


def test_a_connector_of_a_used_name_takes_its_snapshot_again(
    resources: Resources,
    addresses: Addresses,
    new_connector: Callable[[], Connector],
    debezium_client: DebeziumClient,
    name: str,
) -> None:
    connector = new_connector()
    for _ in range(2):
        assert first_operation(addresses, connector.topic("orders")) == "r"
        resources("connector").remove(connector.name)
        assert debezium_client.state(connector.name) is ConnectorState.DELETED
        resources("slot").remove(name)
        (offset,) = [
            key for key in resources("connector-offset").present() if connector.name in json.loads(key)
        ]
        resources("connector-offset").see_it_go(offset)
        resources("topic-prefix").remove(name)
        connector = new_connector()
    resources("connector").remove(connector.name)
    resources("slot").remove(name)
    resources("topic-prefix").remove(name)


def first_operation(addresses: Addresses, topic: str) -> str:
    """Return what the first event of a topic says happened: "r" is the snapshot."""
    consumer = Consumer({"bootstrap.servers": addresses.kafka_bootstrap_servers, "group.id": "unused"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        return str(json.loads(message.value() or b"")["op"])
    finally:
        consumer.close()


# -- schema registry -------------------------------------------------------------------------------------

_ORDER = Schema(
    json.dumps({"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}), "AVRO"
)


@pytest.mark.parametrize("form", ["{}-value", "a/b {} %2F ü?#"])
def test_a_subject_goes_with_its_compatibility(
    resources: Resources, schema_registry_client: SchemaRegistryClient, name: str, form: str
) -> None:
    subject = form.format(name)
    schema_registry_client.register_schema(subject, _ORDER)
    schema_registry_client.set_compatibility(subject, "FULL")
    assert resources("compatibility").present()[subject] == "FULL"
    resources("subject").see_it_go(subject)
    assert subject not in schema_registry_client.get_subjects(deleted=True)
    assert subject not in resources("compatibility").present()


def test_a_subject_that_was_deleted_for_the_time_being_goes(
    resources: Resources, schema_registry_client: SchemaRegistryClient, name: str
) -> None:
    schema_registry_client.register_schema(name, _ORDER)
    schema_registry_client.delete_subject(name)
    resources("subject").see_it_go(name)
    assert name not in schema_registry_client.get_subjects(deleted=True)


def test_the_subjects_of_a_prefix_go_and_no_others(
    resources: Resources, schema_registry_client: SchemaRegistryClient, name: str
) -> None:
    for subject in (f"{name}.a-key", f"{name}.a-value", f"{name}2.a-key"):
        schema_registry_client.register_schema(subject, _ORDER)
    for _ in range(2):
        resources("subject-prefix").remove(f"{name}.")
        left = [subject for subject in schema_registry_client.get_subjects(deleted=True) if name in subject]
        assert left == [f"{name}2.a-key"]
    resources("subject").remove(f"{name}2.a-key")


def test_a_compatibility_goes_also_without_a_subject(
    resources: Resources, schema_registry_client: SchemaRegistryClient, name: str
) -> None:
    schema_registry_client.set_compatibility(name, "NONE")
    assert resources("compatibility").present()[name] == "NONE"
    resources("compatibility").restore(name, "FULL")
    assert resources("compatibility").present()[name] == "FULL"
    resources("compatibility").see_it_go(name)


def test_the_global_compatibility_comes_back(
    resources: Resources, schema_registry_client: SchemaRegistryClient
) -> None:
    compatibility = resources("compatibility")
    before = compatibility.present()[""]
    try:
        schema_registry_client.set_compatibility(level="FORWARD_TRANSITIVE")
        assert compatibility.present()[""] == "FORWARD_TRANSITIVE"
    finally:
        compatibility.restore("", before)
    assert compatibility.present()[""] == before == schema_registry_client.get_compatibility()


# -- Iceberg REST ----------------------------------------------------------------------------------------

_ROWS = pa.table({"id": pa.array([1, 2], pa.int64())})


def write_table(catalog: Catalog, name: str) -> None:
    catalog.create_table(name, _ROWS.schema).append(_ROWS)


def write_view(addresses: Addresses, namespace: str, view: str) -> None:
    version = {
        "version-id": 1,
        "schema-id": 0,
        "timestamp-ms": time.time_ns() // 1_000_000,
        "summary": {},
        "representations": [{"type": "sql", "sql": "SELECT 1 AS id", "dialect": "spark"}],
        "default-namespace": [namespace],
    }
    fields = [{"id": 1, "name": "id", "type": "int", "required": False}]
    schema = {"type": "struct", "schema-id": 0, "fields": fields}
    content = {"name": view, "schema": schema, "view-version": version, "properties": {}}
    url = f"{addresses.iceberg_catalog_uri}/v1/namespaces/{namespace}/views"
    httpx.post(url, json=content, trust_env=False).raise_for_status()


@pytest.fixture
def store(addresses: Addresses) -> S3FileSystem:
    """The S3 store, for somebody else than lakebed."""
    return object_store(addresses.s3_endpoint)


def test_a_namespace_goes_with_all_that_is_in_it(
    resources: Resources, addresses: Addresses, iceberg_catalog: Catalog, store: S3FileSystem, name: str
) -> None:
    iceberg_catalog.create_namespace(name)
    iceberg_catalog.create_namespace((name, "sub"))
    write_table(iceberg_catalog, f"{name}.orders")
    write_table(iceberg_catalog, f"{name}.sub.orders")
    write_view(addresses, name, "view")
    files = FileSelector(f"{s3.WAREHOUSE_BUCKET}/{name}", allow_not_found=True, recursive=True)
    assert [file for file in store.get_file_info(files) if file.type is FileType.File]
    assert {f"{name}/orders", f"{name}/view", f"{name}.sub/orders"} <= resources(
        "iceberg-table"
    ).present().keys()
    assert {name, f"{name}.sub"} <= resources("namespace").present().keys()
    resources("namespace").see_it_go(name)
    assert [left for left in iceberg_catalog.list_namespaces() if name in left] == []
    assert [file for file in store.get_file_info(files) if file.type is FileType.File] == []


def test_a_namespace_goes_although_the_files_of_its_table_are_gone(
    resources: Resources, iceberg_catalog: Catalog, name: str
) -> None:
    iceberg_catalog.create_namespace(name)
    write_table(iceberg_catalog, f"{name}.orders")
    resources("path").see_it_go(f"{s3.WAREHOUSE_BUCKET}/{name}")
    resources("namespace").see_it_go(name)
    # Nothing is left in the way of another one of the same name.
    iceberg_catalog.create_namespace(name)
    write_table(iceberg_catalog, f"{name}.orders")
    assert iceberg_catalog.load_table(f"{name}.orders").scan().to_arrow().num_rows == 2
    resources("namespace").remove(name)


def damage_a_table(catalog: Catalog, store: S3FileSystem, namespace: str) -> None:
    """Write one whose manifest list is gone then, in a namespace of its own."""
    catalog.create_namespace(namespace)
    write_table(catalog, f"{namespace}.orders")
    snapshot = catalog.load_table(f"{namespace}.orders").current_snapshot()
    assert snapshot is not None
    store.delete_file(snapshot.manifest_list.removeprefix("s3://"))


def test_a_namespace_goes_although_its_table_has_lost_the_file_that_lists_the_others(
    resources: Resources, iceberg_catalog: Catalog, store: S3FileSystem, name: str
) -> None:
    damage_a_table(iceberg_catalog, store, name)
    resources("namespace").see_it_go(name)


def test_files_that_may_be_left_in_somebody_elses_store_are_told(
    resources: Resources, iceberg_catalog: Catalog, store: S3FileSystem, name: str
) -> None:
    damage_a_table(iceberg_catalog, store, name)
    namespace = resources("namespace")
    others = Attach(s3=namespace.place.endpoints.s3)
    elsewhere = replace(namespace, place=replace(namespace.place, attached=others))
    with pytest.raises(StackFailed, match=f"DELETE .*/{name}/tables/orders"):
        elsewhere.remove(name)
    # The table is dropped all the same: there is nothing to fail a second time.
    elsewhere.see_it_go(name)


def test_a_table_and_a_view_go_from_a_namespace_that_stays(
    resources: Resources, addresses: Addresses, iceberg_catalog: Catalog, iceberg_namespace: str
) -> None:
    write_table(iceberg_catalog, f"{iceberg_namespace}.orders")
    write_view(addresses, iceberg_namespace, "view")
    for table in ("orders", "view"):
        resources("iceberg-table").see_it_go(f"{iceberg_namespace}/{table}")
    assert iceberg_catalog.list_tables(iceberg_namespace) == []
    assert iceberg_catalog.namespace_exists(iceberg_namespace)


# -- S3 --------------------------------------------------------------------------------------------------


def write_object(store: S3FileSystem, path: str) -> None:
    with store.open_output_stream(path) as stream:
        stream.write(b"content")


def test_a_bucket_goes_with_its_objects_and_can_be_made_again(
    resources: Resources, addresses: Addresses, name: str
) -> None:
    store = S3FileSystem(
        endpoint_override=addresses.s3_endpoint,
        access_key=s3.ACCESS_KEY,
        secret_key=s3.SECRET_KEY,
        region=s3.REGION,
        allow_bucket_creation=True,
    )
    for _ in range(2):
        store.create_dir(name)
        for number in range(3):
            write_object(store, f"{name}/folder {number}/a % ü")
        resources("bucket").see_it_go(name)
        assert store.get_file_info(name).type is FileType.NotFound
        assert name not in [bucket.path for bucket in store.get_file_info(FileSelector(""))]


@pytest.mark.parametrize("bucket", [s3.WAREHOUSE_BUCKET, s3.DELTA_BUCKET])
def test_what_is_in_an_own_bucket_goes_and_the_bucket_stays(
    resources: Resources, store: S3FileSystem, name: str, bucket: str
) -> None:
    paths = {f"{bucket}/{name} % ü?": "/a/b", f"{bucket}/{name}": "", f"{bucket}/{name}2": "/c"}
    for path, more in paths.items():
        write_object(store, f"{path}{more}")
    resources("path").see_it_go(f"{bucket}/{name} % ü?")
    resources("path").see_it_go(f"{bucket}/{name}")
    left = [file.path for file in store.get_file_info(FileSelector(bucket)) if name in file.path]
    assert left == [f"{bucket}/{name}2"]
    resources("path").remove(f"{bucket}/{name}2/c")
    assert store.get_file_info(f"{bucket}/{name}2/c").type is FileType.NotFound
    write_object(store, f"{bucket}/{name}/again")
    resources("path").remove(f"{bucket}/{name}")
