"""Many connectors in one test, each by itself, and nothing of a hundred of them left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import SchemaRegistryClient

from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.topics import topics_with_prefix
from lakebed.errors import ConnectorFailed
from lakebed.pytest_plugin.connectors import DebeziumConnectors
from lakebed.pytest_plugin.session import SessionStack
from lakebed.stack.addresses import Addresses
from lakebed.waiting import wait_until

ROUNDS = 100


def first_value(addresses: Addresses, topic: str) -> bytes:
    """Return the value of the first event of a topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": addresses.kafka_bootstrap_servers,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "topic.metadata.refresh.interval.ms": 100,
            "allow.auto.create.topics": False,
        }
    )
    try:
        consumer.subscribe([topic])

        def value() -> bytes | str | None:
            message = consumer.poll(0.1)
            return None if message is None or message.error() else message.value()

        found = wait_until(value, f"an event in {topic}", deadline_seconds=30)
        assert isinstance(found, bytes)
        return found
    finally:
        consumer.close()


def test_each_has_a_slot_a_publication_and_topics_of_its_own(
    debezium_connectors: DebeziumConnectors,
    postgres_connection: psycopg.Connection[Any],
    addresses: Addresses,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("CREATE TABLE customers (id int PRIMARY KEY)")
    orders = debezium_connectors(table_include_list=["public.orders"])
    customers = debezium_connectors(table_include_list=["public.customers"])
    assert orders.name != customers.name
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    postgres_connection.execute("INSERT INTO customers VALUES (2)")
    assert b'"id":1' in first_value(addresses, orders.topic("orders"))
    assert b'"id":2' in first_value(addresses, customers.topic("customers"))
    slots = "SELECT slot_name FROM pg_replication_slots WHERE active AND database = current_database()"
    assert {name for (name,) in postgres_connection.execute(slots)} == {
        orders.config.slot_name,
        customers.config.slot_name,
    }
    publications = {name for (name,) in postgres_connection.execute("SELECT pubname FROM pg_publication")}
    assert publications == {orders.config.publication_name, customers.config.publication_name}


@pytest.mark.debezium(heartbeat_interval_ms=1234, decimal_handling_mode="string")
def test_marks_count_for_all_of_them_and_arguments_win(debezium_connectors: DebeziumConnectors) -> None:
    one = debezium_connectors()
    other = debezium_connectors(heartbeat_interval_ms=4321)
    assert (one.config.heartbeat_interval_ms, other.config.heartbeat_interval_ms) == (1234, 4321)
    assert one.config.decimal_handling_mode == other.config.decimal_handling_mode == "string"


@pytest.mark.debezium(avro=True)
def test_avro_by_mark_goes_through_the_registry(
    debezium_connectors: DebeziumConnectors,
    postgres_connection: psycopg.Connection[Any],
    schema_registry_client: SchemaRegistryClient,
    addresses: Addresses,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    avro = debezium_connectors()
    json = debezium_connectors(avro=False)
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    # Confluent's wire format begins with a zero byte.
    assert first_value(addresses, avro.topic("orders"))[0] == 0
    assert first_value(addresses, json.topic("orders")).startswith(b"{")
    subject = f"{avro.topic('orders')}-value"
    assert subject in schema_registry_client.get_subjects()
    debezium_connectors.delete(avro)
    assert subject not in schema_registry_client.get_subjects()


def test_one_whose_configuration_fails_is_removed_too(
    debezium_connectors: DebeziumConnectors,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
) -> None:
    with pytest.raises(ConnectorFailed):
        debezium_connectors(extra_config={"publication.autocreate.mode": "disabled"})
    name = postgres_connection.info.dbname
    assert name in debezium_client.names()
    debezium_connectors.delete_all()
    assert name not in debezium_client.names()


THREADS_OF_A_CONNECTOR = 15


def threads_of(stack: SessionStack, service: str) -> int:
    """Return how many threads a server has."""
    status = stack.status()
    assert status is not None
    pid = next(entry["pid"] for entry in status["services"] if entry["service"] == service)
    return psutil.Process(pid).num_threads()


def test_a_hundred_in_a_row_leave_no_threads_slots_or_topics(
    debezium_connectors: DebeziumConnectors,
    postgres_connection: psycopg.Connection[Any],
    kafka_admin_client: AdminClient,
    debezium_client: DebeziumClient,
    lakebed_stack: SessionStack,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    # The first ones fill the pools of the workers.
    for _ in range(5):
        debezium_connectors.delete(debezium_connectors())
    database = postgres_connection.info.dbname
    threads = {service: threads_of(lakebed_stack, service) for service in ("connect", "kafka")}
    files = psutil.Process().num_fds()
    for _ in range(ROUNDS - 5):
        debezium_connectors.delete(debezium_connectors())
    assert [name for name in debezium_client.names() if name.startswith(database)] == []
    assert topics_with_prefix(kafka_admin_client, database) == []
    slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
    assert postgres_connection.execute(slots).fetchone() == (0,)
    senders = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert postgres_connection.execute(senders).fetchone() == (0,)
    for service, before in threads.items():

        def none_stay(service: str = service, before: int = before) -> bool:
            # Those of the pools come and go, and other workers have connectors; one for each connector of
            # this test would be ninety-five.
            others = [name for name in debezium_client.names() if not name.startswith(database)]
            return threads_of(lakebed_stack, service) < before + 20 + THREADS_OF_A_CONNECTOR * len(others)

        wait_until(none_stay, f"the threads of {service} to end", deadline_seconds=60)
    assert psutil.Process().num_fds() < files + 10
    # Other workers write into the same ledger.
    ledger = Path(lakebed_stack.folder, "ledger.jsonl").read_text().splitlines()
    assert "forget" in [line for line in ledger if f'"{database}' in line][-1]


def test_names_that_are_given_are_used_and_removed(
    debezium_connectors: DebeziumConnectors,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
    addresses: Addresses,
) -> None:
    own = postgres_connection.info.dbname
    connector = debezium_connectors(name=f"{own}-x", slot_name=f"{own}_y"[:63], topic_prefix=f"{own}.z")
    listed = httpx.get(f"{addresses.debezium_url}/connectors", trust_env=False).json()
    assert connector.name == f"{own}-x"
    assert connector.name in listed
    debezium_connectors.delete(connector)
    slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
    assert postgres_connection.execute(slots).fetchone() == (0,)
