"""Each service answers its own question, asked by a client of the ecosystem."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import psycopg
import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from pyarrow.fs import FileSelector, S3FileSystem

from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.models import CatalogConfig, SubjectVersion
from lakebed.clients.object_store import delete_prefix, object_store
from lakebed.pytest_plugin.session import SessionStack
from lakebed.services import SERVICE_NAMES, postgres, s3
from lakebed.services.spark import ICEBERG_CATALOG
from lakebed.stack.addresses import Addresses

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

LOOPBACK = "127.0.0.1"


# -- PostgreSQL ------------------------------------------------------------------------------------


def test_postgres_decodes_logically(postgres_connection: psycopg.Connection[Any]) -> None:
    (level,) = postgres_connection.execute("SHOW wal_level").fetchone() or ("",)
    assert level == "logical"
    postgres_connection.execute("SELECT pg_create_logical_replication_slot('own', 'test_decoding', true)")
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (7)")
    changes = postgres_connection.execute("SELECT data FROM pg_logical_slot_get_changes('own', NULL, NULL)")
    assert "table public.orders: INSERT: id[integer]:7" in [text for (text,) in changes.fetchall()]


def test_postgres_has_the_contracts_database_and_user(addresses: Addresses) -> None:
    with postgres.connect(addresses.postgres_port, "cdcdb") as connection:
        assert connection.execute("SELECT current_user, current_database()").fetchone() == (
            "cdcuser",
            "cdcdb",
        )
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_postgres_refuses_a_wrong_password(addresses: Addresses) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host=LOOPBACK, port=addresses.postgres_port, user="cdcuser", password="wrong", dbname="cdcdb"
        )


# -- Kafka -----------------------------------------------------------------------------------------


def test_kafka_keeps_what_is_produced_in_order(addresses: Addresses, kafka_topic: str) -> None:
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    sent = [(f"key {number}".encode(), f"value {number} ü".encode()) for number in range(100)]
    for key, value in sent:
        producer.produce(kafka_topic, key=key, value=value)
    assert producer.flush(30) == 0
    consumer = Consumer(
        {
            "bootstrap.servers": addresses.kafka_bootstrap_servers,
            "group.id": f"group-{uuid.uuid4().hex}",
            "auto.offset.reset": "earliest",
        }
    )
    try:
        consumer.subscribe([kafka_topic])
        received: list[tuple[Any, Any]] = []
        while len(received) < len(sent):
            message = consumer.poll(30)
            assert message is not None
            assert message.error() is None
            received.append((message.key(), message.value()))
        assert received == sent
        # The group's coordinator works as well.
        (committed,) = consumer.commit(asynchronous=False) or []
        assert committed.offset == len(sent)
    finally:
        consumer.close()


def test_kafka_is_one_node_that_names_its_loopback_address(kafka_admin_client: AdminClient) -> None:
    brokers = kafka_admin_client.list_topics(timeout=15).brokers.values()
    assert [broker.host for broker in brokers] == [LOOPBACK]


# -- Connect ---------------------------------------------------------------------------------------


def test_connect_has_debezium_and_is_healthy(debezium_client: DebeziumClient) -> None:
    plugins = {plugin["class"]: plugin["version"] for plugin in debezium_client.plugins()}
    assert plugins["io.debezium.connector.postgresql.PostgresConnector"].startswith("3.")
    assert debezium_client.health()["status"] == "healthy"
    assert debezium_client.version()["kafka_cluster_id"]


def test_connect_loads_the_avro_converter_and_refuses_one_it_does_not_have(
    debezium_client: DebeziumClient, addresses: Addresses, postgres_connection: psycopg.Connection[Any]
) -> None:
    fields = {"database_dbname": postgres_connection.info.dbname, "topic_prefix": "validate"}
    avro = addresses.debezium_connector_config("validate", **fields, extra_config=addresses.avro_converter())
    assert debezium_client.validate(avro) == {}
    missing = addresses.debezium_connector_config(
        "validate", **fields, value_converter="com.example.NoConverter"
    )
    errors = debezium_client.validate(missing)
    assert "com.example.NoConverter" in str(errors["value.converter"])


# -- Schema registry -------------------------------------------------------------------------------

_ORDER: dict[str, Any] = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}


def schema(*more_fields: dict[str, Any], **changes: Any) -> Schema:
    return Schema(json.dumps({**_ORDER, "fields": [*_ORDER["fields"], *more_fields], **changes}), "AVRO")


@pytest.fixture(params=["{}-value", "a/b {}", "a b {}", "100% {}", "%2F {}", "größe-{}", "a.b:c@d?e#f&g {}"])
def subject(request: pytest.FixtureRequest, schema_registry_client: SchemaRegistryClient) -> Iterator[str]:
    """A subject that only this test has, once for each kind of name."""
    name = str(request.param).format(uuid.uuid4().hex[:8])
    yield name
    if name in schema_registry_client.get_subjects():
        schema_registry_client.delete_subject(name)


@pytest.fixture
def plain_subject(schema_registry_client: SchemaRegistryClient) -> Iterator[str]:
    """A subject with a usual name that only this test has."""
    name = f"orders-{uuid.uuid4().hex[:8]}-value"
    yield name
    if name in schema_registry_client.get_subjects():
        schema_registry_client.delete_subject(name)


def test_the_registry_answers_at_the_root_of_its_address(addresses: Addresses) -> None:
    answer = httpx.get(f"{addresses.schema_registry_url}/subjects", trust_env=False)
    assert answer.status_code == 200
    assert isinstance(answer.json(), list)


def test_a_subject_of_any_name_is_written_read_listed_and_deleted(
    schema_registry_client: SchemaRegistryClient, subject: str
) -> None:
    schema_id = schema_registry_client.register_schema(subject, schema())
    assert subject in schema_registry_client.get_subjects()
    found = schema_registry_client.get_version(subject, 1)
    assert (found.subject, found.version, found.schema_id) == (subject, 1, schema_id)
    assert json.loads(found.schema.schema_str or "") == _ORDER
    assert schema_registry_client.get_schema(schema_id).schema_str == found.schema.schema_str
    assert schema_registry_client.delete_subject(subject) == [1]
    assert subject not in schema_registry_client.get_subjects()


def test_the_registrys_answer_is_the_contracts_model(
    schema_registry_client: SchemaRegistryClient, addresses: Addresses, plain_subject: str
) -> None:
    schema_id = schema_registry_client.register_schema(plain_subject, schema())
    url = f"{addresses.schema_registry_url}/subjects/{plain_subject}/versions/1"
    version = SubjectVersion.from_json(httpx.get(url, trust_env=False).content)
    assert (version.subject, version.version, version.id) == (plain_subject, 1, schema_id)
    assert version.parsed_schema() == _ORDER


def test_the_same_schema_again_is_the_same_version(
    schema_registry_client: SchemaRegistryClient, addresses: Addresses, plain_subject: str
) -> None:
    # Over HTTP, as the client would answer the second one from its own cache.
    url = f"{addresses.schema_registry_url}/subjects/{plain_subject}/versions"
    body = {"schema": schema().schema_str}
    ids = {httpx.post(url, json=body, trust_env=False).json()["id"] for _ in range(2)}
    assert len(ids) == 1
    assert schema_registry_client.get_versions(plain_subject) == [1]


def test_compatibility_is_backward_from_the_start(schema_registry_client: SchemaRegistryClient) -> None:
    assert schema_registry_client.get_compatibility() == "BACKWARD"


def test_an_incompatible_schema_is_refused_and_a_compatible_one_is_the_next_version(
    schema_registry_client: SchemaRegistryClient, plain_subject: str
) -> None:
    schema_registry_client.register_schema(plain_subject, schema())
    without_default = schema({"name": "price", "type": "double"})
    with pytest.raises(SchemaRegistryError) as caught:
        schema_registry_client.register_schema(plain_subject, without_default)
    assert caught.value.http_status_code == 409
    assert not schema_registry_client.test_compatibility(plain_subject, without_default)
    with_default = schema({"name": "price", "type": "double", "default": 0.0})
    assert schema_registry_client.test_compatibility(plain_subject, with_default)
    schema_registry_client.register_schema(plain_subject, with_default)
    assert schema_registry_client.get_versions(plain_subject) == [1, 2]


def test_compatibility_of_one_subject_is_its_own(
    schema_registry_client: SchemaRegistryClient, plain_subject: str
) -> None:
    schema_registry_client.register_schema(plain_subject, schema())
    schema_registry_client.set_compatibility(plain_subject, "NONE")
    assert schema_registry_client.get_compatibility(plain_subject) == "NONE"
    schema_registry_client.register_schema(plain_subject, schema({"name": "price", "type": "double"}))
    assert schema_registry_client.get_versions(plain_subject) == [1, 2]
    assert schema_registry_client.get_compatibility() == "BACKWARD"


def test_what_is_no_schema_is_refused(
    schema_registry_client: SchemaRegistryClient, plain_subject: str
) -> None:
    with pytest.raises(SchemaRegistryError) as caught:
        schema_registry_client.register_schema(plain_subject, Schema('{"type": "rec"}', "AVRO"))
    assert caught.value.http_status_code == 422


def test_a_subject_that_does_not_exist_is_not_found(schema_registry_client: SchemaRegistryClient) -> None:
    with pytest.raises(SchemaRegistryError) as caught:
        schema_registry_client.get_latest_version("nobody-wrote-this")
    assert (caught.value.http_status_code, caught.value.error_code) == (404, 40401)


# -- S3 --------------------------------------------------------------------------------------------


def test_s3_keeps_objects(addresses: Addresses) -> None:
    store = object_store(addresses.s3_endpoint)
    prefix = f"{s3.DELTA_BUCKET}/objects-{uuid.uuid4().hex[:8]}"
    content = bytes(range(256)) * 40_000  # 10 MB: more than one part of a multipart upload
    try:
        for name, written in (("large", content), ("empty", b""), ("a b/ü%.txt", b"text")):
            with store.open_output_stream(f"{prefix}/{name}") as stream:
                stream.write(written)
            with store.open_input_stream(f"{prefix}/{name}") as stream:
                assert stream.read() == written
        with store.open_input_file(f"{prefix}/large") as file:
            assert file.read_at(16, 256_008) == content[256_008 : 256_008 + 16]
        found = store.get_file_info(FileSelector(prefix, recursive=True))
        sizes = {info.path.removeprefix(f"{prefix}/"): info.size for info in found if info.is_file}
        assert sizes == {"large": len(content), "empty": 0, "a b/ü%.txt": 4}
    finally:
        delete_prefix(store, prefix)
    assert store.get_file_info(FileSelector(prefix, recursive=True, allow_not_found=True)) == []


def test_s3_has_both_buckets_and_no_other(addresses: Addresses) -> None:
    buckets = object_store(addresses.s3_endpoint).get_file_info(FileSelector(""))
    assert sorted(info.path for info in buckets) == [s3.DELTA_BUCKET, s3.WAREHOUSE_BUCKET]


@pytest.mark.parametrize(
    ("access_key", "secret_key", "refusal"),
    [
        (s3.ACCESS_KEY, "wrong", "SIGNATURE_DOES_NOT_MATCH"),
        ("nobody", s3.SECRET_KEY, "INVALID_ACCESS_KEY_ID"),
    ],
)
def test_s3_refuses_wrong_keys(addresses: Addresses, access_key: str, secret_key: str, refusal: str) -> None:
    store = S3FileSystem(
        endpoint_override=addresses.s3_endpoint,
        access_key=access_key,
        secret_key=secret_key,
        region=s3.REGION,
    )
    with pytest.raises(OSError, match=refusal):
        store.get_file_info(FileSelector(s3.DELTA_BUCKET))


# -- Iceberg REST ----------------------------------------------------------------------------------


def test_the_catalogs_configuration_is_the_contracts_model(addresses: Addresses) -> None:
    answer = httpx.get(f"{addresses.iceberg_catalog_uri}/v1/config", trust_env=False)
    assert answer.status_code == 200
    config = CatalogConfig.from_json(answer.content)
    assert config.to_json() == {"defaults": config.defaults, "overrides": config.overrides}
    # A client of its own may come with other keys; the server hands out none.
    assert "minioadmin" not in answer.text


def test_a_table_is_created_appended_to_read_renamed_and_dropped(
    iceberg_catalog: Catalog, iceberg_namespace: str
) -> None:
    first = pa.table({"id": [1, 2], "name": ["one", None]})
    second = pa.table({"id": [3], "name": ["three"]})
    table = iceberg_catalog.create_table(f"{iceberg_namespace}.orders", first.schema)
    assert table.location().startswith("s3://warehouse/")
    table.append(first)
    table.append(second)
    assert len(table.snapshots()) == 2
    found = iceberg_catalog.load_table(f"{iceberg_namespace}.orders").scan().to_arrow().sort_by("id")
    assert found.to_pylist() == [*first.to_pylist(), *second.to_pylist()]
    assert table.scan(row_filter="id > 2").to_arrow().num_rows == 1
    iceberg_catalog.rename_table(f"{iceberg_namespace}.orders", f"{iceberg_namespace}.renamed")
    assert iceberg_catalog.list_tables(iceberg_namespace) == [(iceberg_namespace, "renamed")]
    assert iceberg_catalog.load_table(f"{iceberg_namespace}.renamed").scan().to_arrow().num_rows == 3
    iceberg_catalog.drop_table(f"{iceberg_namespace}.renamed")
    assert iceberg_catalog.list_tables(iceberg_namespace) == []


def test_a_namespace_has_properties(iceberg_catalog: Catalog, iceberg_namespace: str) -> None:
    iceberg_catalog.update_namespace_properties(iceberg_namespace, updates={"owner": "tests", "stage": "x"})
    iceberg_catalog.update_namespace_properties(iceberg_namespace, removals={"stage"}, updates={"team": "ü"})
    properties = iceberg_catalog.load_namespace_properties(iceberg_namespace)
    assert {name: properties.get(name) for name in ("owner", "stage", "team")} == {
        "owner": "tests",
        "stage": None,
        "team": "ü",
    }
    assert (iceberg_namespace,) in iceberg_catalog.list_namespaces()


# -- Spark -----------------------------------------------------------------------------------------


def test_delta_on_s3_has_a_change_data_feed(spark_session: SparkSession, delta_table_path: str) -> None:
    table = f"delta.`{delta_table_path}`"
    spark_session.sql(f"CREATE TABLE {table} (id LONG, price DOUBLE) USING delta")
    spark_session.sql(f"INSERT INTO {table} VALUES (1, 1.0), (2, 2.0)")
    spark_session.sql(f"UPDATE {table} SET price = 9.0 WHERE id = 1")
    spark_session.sql(f"DELETE FROM {table} WHERE id = 2")
    feed = (
        spark_session.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1)
    ).load(delta_table_path)
    changes = [(row._commit_version, row._change_type, row.id, row.price) for row in feed.collect()]
    assert sorted(changes) == [
        (1, "insert", 1, 1.0),
        (1, "insert", 2, 2.0),
        (2, "update_postimage", 1, 9.0),
        (2, "update_preimage", 1, 1.0),
        (3, "delete", 2, 2.0),
    ]


def test_spark_and_pyiceberg_read_each_others_tables(
    spark_session: SparkSession, iceberg_catalog: Catalog, iceberg_namespace: str
) -> None:
    names = f"{ICEBERG_CATALOG}.{iceberg_namespace}"
    spark_session.sql(f"CREATE TABLE {names}.by_spark (id BIGINT, name STRING) USING iceberg")
    spark_session.sql(f"INSERT INTO {names}.by_spark VALUES (1, 'one'), (2, NULL)")
    found = iceberg_catalog.load_table(f"{iceberg_namespace}.by_spark").scan().to_arrow().sort_by("id")
    assert found.to_pylist() == [{"id": 1, "name": "one"}, {"id": 2, "name": None}]

    rows = pa.table({"id": pa.array([5, 6], pa.int64()), "name": ["five", None]})
    iceberg_catalog.create_table(f"{iceberg_namespace}.by_pyiceberg", rows.schema).append(rows)
    assert [tuple(row) for row in spark_session.table(f"{names}.by_pyiceberg").orderBy("id").collect()] == [
        (5, "five"),
        (6, None),
    ]
    # Neither has a cache that hides what the other one writes next.
    iceberg_catalog.load_table(f"{iceberg_namespace}.by_pyiceberg").append(rows)
    assert spark_session.table(f"{names}.by_pyiceberg").count() == 4


def test_spark_reads_avro_from_kafka(
    spark_session: SparkSession, addresses: Addresses, kafka_topic: str
) -> None:
    from pyspark.sql.avro.functions import from_avro
    from pyspark.sql.functions import expr

    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    # Avro's encoding of the long 21: zigzag (Avro specification, "Binary Encoding").
    producer.produce(kafka_topic, value=b"\x00\x00\x00\x00\x07" + bytes([42]))
    assert producer.flush(30) == 0
    records = (
        spark_session.read.format("kafka")
        .option("kafka.bootstrap.servers", addresses.kafka_bootstrap_servers)
        .option("subscribe", kafka_topic)
        .load()
    )
    decoded = records.select(from_avro(expr("substring(value, 6)"), json.dumps(_ORDER)).alias("order"))
    assert [row.order.id for row in decoded.collect()] == [21]


# -- all of them -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("addresses", "spark_session")
def test_every_socket_of_every_process_is_on_loopback(lakebed_stack: SessionStack) -> None:
    status = lakebed_stack.status()
    assert status is not None
    assert {entry["service"] for entry in status["services"]} == set(SERVICE_NAMES)
    supervisor = psutil.Process(status["pid"])
    servers = {psutil.Process(entry["pid"]) for entry in status["services"]}
    # Spark's JVM is a child of this process.
    processes = {supervisor, *supervisor.children(recursive=True), *psutil.Process().children(recursive=True)}
    assert servers <= processes
    open_to_others = []
    listening = set()
    for process in processes:
        try:
            connections = process.net_connections(kind="inet")
        except psutil.NoSuchProcess:
            # PostgreSQL's processes for single connections come and go.
            assert process not in servers
            continue
        for connection in connections:
            bound = connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
            if bound and connection.laddr:
                listening.add(connection.laddr.port)
                # The last one is IPv4's loopback address on an IPv6 socket of Java.
                if connection.laddr.ip not in (LOOPBACK, "::1", f"::ffff:{LOOPBACK}"):
                    open_to_others.append((process.name(), connection.laddr))
    assert open_to_others == []
    # What was looked at are the real servers: every port of the stack is among them.
    main_ports = {entry["port"] for entry in status["services"]}
    assert main_ports <= listening
