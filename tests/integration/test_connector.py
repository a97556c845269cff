"""A Debezium connector: what it streams, how it is controlled, what its failure looks like."""

from __future__ import annotations

import base64
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer

from lakebed.clients.connector import Connector
from lakebed.clients.debezium import DebeziumClient
from lakebed.config.debezium import PluginName, SnapshotMode
from lakebed.errors import ConnectorFailed, ConnectRefused
from lakebed.lifecycle import ConnectorState
from lakebed.stack.addresses import Addresses
from lakebed.waiting import wait_until

Read = Callable[[str, int], list[tuple[Any, Any]]]

# A transformation that Connect accepts and that no change event can go through: makes a task FAILED.
FAILING_TRANSFORMATION = {
    "transforms": "broken",
    "transforms.broken.type": "org.apache.kafka.connect.transforms.ValueToKey",
    "transforms.broken.fields": "no_such_field",
}


@pytest.fixture
def read(addresses: Addresses) -> Iterator[Read]:
    """Read the first `count` events of a topic, as (key, value), parsed; a tombstone's value is None."""
    consumer = Consumer(
        {
            "bootstrap.servers": addresses.kafka_bootstrap_servers,
            "group.id": f"events-{uuid.uuid4().hex}",
            "auto.offset.reset": "earliest",
            "topic.metadata.refresh.interval.ms": 100,
            "allow.auto.create.topics": True,
            "fetch.wait.max.ms": 10,
        }
    )

    def events(topic: str, count: int) -> list[tuple[Any, Any]]:
        consumer.subscribe([topic])
        found: list[tuple[Any, Any]] = []
        while len(found) < count:
            message = consumer.poll(30)
            assert message is not None, f"{len(found)} of {count} events in {topic}: {found}"
            if message.error() is None:
                key, value = message.key(), message.value()
                found.append((json.loads(key or b"null"), json.loads(value or b"null")))
        return found

    try:
        yield events
    finally:
        consumer.close()


def test_inserts_updates_and_deletes_arrive_in_order(
    debezium_connector: Connector, postgres_connection: psycopg.Connection[Any], read: Read
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, name text, price numeric(9, 2))")
    postgres_connection.execute("ALTER TABLE orders REPLICA IDENTITY FULL")
    postgres_connection.execute("INSERT INTO orders VALUES (1, 'größe', 12.34)")
    postgres_connection.execute("UPDATE orders SET name = NULL WHERE id = 1")
    postgres_connection.execute("DELETE FROM orders WHERE id = 1")
    events = read(debezium_connector.topic("orders"), 4)
    assert [key for key, _ in events] == [{"id": 1}] * 4
    assert [value and value["op"] for _, value in events] == ["c", "u", "d", None]
    # `precise`: the unscaled number, big-endian, in base64 (Debezium documentation, "Decimal types").
    price = base64.b64encode((1234).to_bytes(2, "big")).decode()
    inserted = {"id": 1, "name": "größe", "price": price}
    updated = {**inserted, "name": None}
    seen = [(value["before"], value["after"]) for _, value in events[:3]]
    assert seen == [(None, inserted), (inserted, updated), (updated, None)]
    assert events[0][1]["source"]["db"] == postgres_connection.info.dbname


@pytest.mark.debezium(
    table_include_list=["public.wanted"], topic_prefix="overridden", heartbeat_interval_ms=0
)
@pytest.mark.debezium(snapshot_mode=SnapshotMode.NEVER)
def test_marks_set_fields_of_the_configuration(
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
    read: Read,
) -> None:
    config = debezium_client.config(debezium_connector.name)
    assert config["table.include.list"] == "public.wanted"
    assert config["topic.prefix"] == "overridden"
    assert config["heartbeat.interval.ms"] == "0"
    assert config["snapshot.mode"] == "no_data"
    postgres_connection.execute("CREATE TABLE unwanted (id int PRIMARY KEY)")
    postgres_connection.execute("CREATE TABLE wanted (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO unwanted VALUES (1)")
    postgres_connection.execute("INSERT INTO wanted VALUES (2)")
    assert [key for key, _ in read(debezium_connector.topic("wanted"), 1)] == [{"id": 2}]
    # Connect notes its topics a moment after it has written to them.
    topics = wait_until(
        lambda: debezium_client.topics(debezium_connector.name), "a topic to be noted", deadline_seconds=10
    )
    assert topics == ["overridden.public.wanted"]


def test_never_is_sent_as_no_data_with_one_warning(
    addresses: Addresses, postgres_connection: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    config = addresses.debezium_connector_config(
        "translated", database_dbname=postgres_connection.info.dbname, snapshot_mode=SnapshotMode.NEVER
    )
    with (
        DebeziumClient(addresses.debezium_url) as client,
        caplog.at_level(logging.WARNING, "lakebed.debezium"),
    ):
        assert client.validate(config) == {}
        assert client.validate(config) == {}
    assert [record.getMessage() for record in caplog.records if record.name == "lakebed.debezium"] == [
        "snapshot.mode=never is sent as no_data, as the Debezium running here calls it"
    ]
    # The model itself stays what the contract says.
    assert config.to_connector_payload()["config"]["snapshot.mode"] == "never"


@pytest.mark.parametrize("plugin", [PluginName.WAL2JSON, PluginName.DECODERBUFS])
def test_a_plugin_that_cannot_work_is_refused_with_the_reason(
    debezium_client: DebeziumClient, addresses: Addresses, plugin: PluginName
) -> None:
    config = addresses.debezium_connector_config(f"plugin-{uuid.uuid4().hex[:8]}", plugin_name=plugin)
    with pytest.raises(ConnectRefused, match=r"use PluginName\.PGOUTPUT"):
        debezium_client.create(config)
    assert config.name not in debezium_client.names()


def test_every_action_is_recorded_in_its_life_cycle(
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
    read: Read,
) -> None:
    name = debezium_connector.name
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    debezium_client.pause(name)
    assert debezium_client.state(name) is ConnectorState.PAUSED
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    debezium_client.resume(name)
    debezium_client.stop(name)
    # Unlike a paused one, a stopped connector has no tasks (KIP-875).
    assert debezium_client.status(name).tasks == []
    postgres_connection.execute("INSERT INTO orders VALUES (2)")
    debezium_client.resume(name)
    debezium_client.restart(name)
    postgres_connection.execute("INSERT INTO orders VALUES (3)")
    # Nothing is lost on the way, whatever is delivered twice.
    topic = debezium_connector.topic("orders")
    events = read(topic, 3)
    assert {1, 2, 3} >= {key["id"] for key, _ in events}
    assert {1, 2} <= {key["id"] for key, _ in events}
    debezium_client.delete(name)
    assert debezium_client.state(name) is ConnectorState.DELETED
    assert name not in debezium_client.names()
    history = debezium_connector.lifecycle.history
    visited = [move.to_state for move in history]
    expected = iter(visited)
    for state in ("CREATING", "RUNNING", "PAUSED", "RUNNING", "STOPPED", "RUNNING", "DELETED"):
        assert ConnectorState[state] in expected, f"{state} in this order in {visited}"
    assert visited[-1] is ConnectorState.DELETED
    assert [move.at for move in history] == sorted(move.at for move in history)


def test_a_name_that_is_taken_and_one_that_is_not_there_are_refused(
    debezium_connector: Connector, debezium_client: DebeziumClient
) -> None:
    with pytest.raises(ConnectRefused, match="HTTP 409") as taken:
        debezium_client.create(debezium_connector.config)
    assert "taken" in taken.value.remedy
    with pytest.raises(ConnectRefused, match="HTTP 404") as missing:
        debezium_client.status("no-such-connector")
    assert "names()" in missing.value.remedy
    assert debezium_client.state("no-such-connector") is ConnectorState.NONE


def test_a_wrong_password_is_refused_before_anything_changes(
    debezium_connector: Connector, debezium_client: DebeziumClient
) -> None:
    before = debezium_client.config(debezium_connector.name)
    wrong = replace(debezium_connector.config, database_password="open-sesame")
    with pytest.raises(ConnectRefused) as caught:
        debezium_client.update(wrong)
    assert "password authentication failed" in caught.value.seen
    assert "open-sesame" not in str(caught.value)
    assert debezium_client.config(debezium_connector.name) == before


def test_a_failed_task_raises_its_trace(
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
) -> None:
    name = debezium_connector.name
    # Without heartbeats, which would fail in the transformation as well, and later.
    broken = replace(debezium_connector.config, heartbeat_interval_ms=0, extra_config=FAILING_TRANSFORMATION)
    debezium_client.update(broken)
    postgres_connection.execute("CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")

    def has_failed() -> bool:
        # One change after another, as the task with the old configuration may still take the first ones.
        postgres_connection.execute("INSERT INTO orders DEFAULT VALUES")
        return debezium_client.state(name) is ConnectorState.FAILED

    wait_until(has_failed, "the task to fail", deadline_seconds=30)
    status = debezium_client.status(name)
    assert [task.state for task in status.tasks] == ["FAILED"]
    with pytest.raises(ConnectorFailed) as caught:
        debezium_client.wait_for_state(name, ConnectorState.PAUSED)
    assert name in caught.value.attempted
    assert "Field does not exist: no_such_field" in caught.value.seen
    assert "org.apache.kafka.connect.transforms.ValueToKey" in caught.value.seen
    assert "restart" in caught.value.remedy
    assert "Field does not exist: no_such_field" in debezium_connector.describe()
    # Corrected and restarted, it goes on.
    debezium_client.update(debezium_connector.config)
    debezium_client.restart(name)
    assert debezium_client.state(name) is ConnectorState.RUNNING


def test_the_trace_stands_in_the_report_of_the_failing_test(run_tests: Any) -> None:
    tests = f"""
        import pytest
        from lakebed.lifecycle import ConnectorState

        @pytest.mark.debezium(heartbeat_interval_ms=0, extra_config={FAILING_TRANSFORMATION!r})
        def test_orders(postgres_connection, debezium_connector):
            postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
            postgres_connection.execute("INSERT INTO orders VALUES (1)")
            client = debezium_connector.client
            client.wait_for_state(debezium_connector.name, ConnectorState.FAILED)
            assert False, "no order arrived"

        def test_healthy(debezium_connector):
            assert False, "another reason"
    """
    result = run_tests("--tb=short", test_inner=tests)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*no order arrived*",
            "*- connector test_orders_* -*",
            "state: FAILED",
            "task 0 FAILED",
            "*Field does not exist: no_such_field*",
            "*another reason*",
            "*- connector test_healthy_* -*",
            "state: RUNNING",
        ]
    )
