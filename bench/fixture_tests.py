"""Tests that only use a fixture; `bench.fixtures` measures them. Not part of the test suite.

Beside each of lakebed's fixtures stands one as it is written by hand where there is no lakebed, well-meant: a
client of its own, what a tutorial calls, and a wait for what it has made.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg import sql
from pyiceberg.catalog import load_catalog

from lakebed.clients.connector import Connector
from lakebed.config.debezium import DebeziumConnectorConfig
from lakebed.pytest_plugin.session import SessionStack
from lakebed.services import postgres
from lakebed.stack.addresses import Addresses
from lakebed.waiting import wait_until

POLL_SECONDS = 0.5
DEADLINE_SECONDS = 30.0


@pytest.fixture(scope="session")
def addresses(lakebed_stack: SessionStack) -> Addresses:
    """Of the very servers that lakebed's fixtures use."""
    return lakebed_stack.need("postgres", "kafka", "connect", "iceberg-rest", "s3")


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"by_hand_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def database_by_hand(addresses: Addresses, name: str) -> Iterator[psycopg.Connection[Any]]:
    """A database of the test's own."""
    with postgres.connect(addresses.postgres_port, "postgres") as administration:
        administration.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with postgres.connect(addresses.postgres_port, name) as connection:
            yield connection
        administration.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def topic_by_hand(addresses: Addresses, name: str) -> Iterator[str]:
    """A topic of the test's own."""
    admin = AdminClient({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])[name].result()
    _wait(lambda: name in admin.list_topics(timeout=10).topics, pause_seconds=0.01)
    yield name
    admin.delete_topics([name])[name].result()
    _wait(lambda: name not in admin.list_topics(timeout=10).topics, pause_seconds=0.01)


@pytest.fixture
def namespace_by_hand(addresses: Addresses, name: str) -> Iterator[str]:
    """A namespace of the test's own."""
    catalog = load_catalog("by hand", **addresses.iceberg_catalog_config().to_catalog_properties())
    catalog.create_namespace(name)
    yield name
    catalog.drop_namespace(name)


@pytest.fixture
def connector_by_hand(
    addresses: Addresses, database_by_hand: psycopg.Connection[Any], name: str
) -> Iterator[DebeziumConnectorConfig]:
    """A connector that runs; whether it streams already is not asked."""
    config = addresses.debezium_connector_config(
        name, database_dbname=name, topic_prefix=name, slot_name=name, publication_name=name
    )
    with httpx.Client(base_url=addresses.debezium_url) as connect:
        connect.post("/connectors", json=config.to_connector_payload()).raise_for_status()
        _wait(lambda: _runs(connect.get(f"/connectors/{name}/status")), pause_seconds=POLL_SECONDS)
        yield config
        connect.delete(f"/connectors/{name}").raise_for_status()
    with postgres.connect(addresses.postgres_port, "postgres") as administration:
        active = "SELECT FROM pg_replication_slots WHERE slot_name = %s AND active"
        _wait(
            lambda: administration.execute(active, [name]).fetchone() is None,
            pause_seconds=POLL_SECONDS,
        )
        administration.execute("SELECT pg_drop_replication_slot(%s)", [name])
    admin = AdminClient({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    topics = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(f"{name}.")]
    for deletion in admin.delete_topics(topics).values():
        deletion.result()


def _wait(fact: Callable[[], bool], *, pause_seconds: float) -> None:
    """Poll at a fixed pace: how it is done without `wait_until` is what is measured here."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(pause_seconds)


def _runs(response: httpx.Response) -> bool:
    if response.status_code == httpx.codes.NOT_FOUND:  # for a moment after its creation
        return False
    status = response.raise_for_status().json()
    states = [status["connector"]["state"], *(task["state"] for task in status["tasks"])]
    return len(states) > 1 and set(states) == {"RUNNING"}


def test_database(repeat: int, postgres_connection: psycopg.Connection[Any]) -> None:
    _assert_own_database(postgres_connection)


def test_database_by_hand(repeat: int, database_by_hand: psycopg.Connection[Any]) -> None:
    _assert_own_database(database_by_hand)


def _assert_own_database(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute("SELECT current_database()").fetchone()
    assert row == (connection.info.dbname,)


def test_topic(repeat: int, kafka_topic: str) -> None:
    assert kafka_topic.startswith("test_topic")


def test_topic_by_hand(repeat: int, topic_by_hand: str) -> None:
    assert topic_by_hand.startswith("by_hand")


def test_path(repeat: int, delta_table_path: str) -> None:
    assert delta_table_path.startswith("s3a://")


def test_namespace(repeat: int, iceberg_namespace: str) -> None:
    assert iceberg_namespace.startswith("test_namespace")


def test_namespace_by_hand(repeat: int, namespace_by_hand: str) -> None:
    assert namespace_by_hand.startswith("by_hand")


def test_connector(
    repeat: int,
    postgres_connection: psycopg.Connection[Any],
    kafka_admin_client: AdminClient,
    debezium_connector: Connector,
) -> None:
    _stream(postgres_connection, kafka_admin_client, debezium_connector.config)


def test_connector_by_hand(
    repeat: int,
    database_by_hand: psycopg.Connection[Any],
    kafka_admin_client: AdminClient,
    connector_by_hand: DebeziumConnectorConfig,
) -> None:
    _stream(database_by_hand, kafka_admin_client, connector_by_hand)


def _stream(database: psycopg.Connection[Any], admin: AdminClient, config: DebeziumConnectorConfig) -> None:
    """Let the connector make a topic, so that there is one to remove."""
    database.execute("CREATE TABLE prices (id int PRIMARY KEY)")
    database.execute("INSERT INTO prices VALUES (1)")
    topic = f"{config.topic_prefix}.public.prices"
    wait_until(
        lambda: topic in admin.list_topics(timeout=10).topics,
        f"topic {topic}",
        deadline_seconds=DEADLINE_SECONDS,
    )
