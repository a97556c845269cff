"""What goes wrong under a running connector: the error a user sees, what is kept, how it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from psycopg import sql
from tests.faults.inflicting import paused

from lakebed.clients.connector import Connector
from lakebed.clients.connector_waiting import sender_of
from lakebed.clients.databases import drop_slot
from lakebed.clients.notifications import wait_for_snapshot
from lakebed.clients.registry import set_compatibility
from lakebed.clients.signals import start_snapshot
from lakebed.config.registry import CompatibilityMode
from lakebed.errors import ConnectorFailed, ConnectRefused, DeadlinePassed
from lakebed.lifecycle import ConnectorState
from lakebed.pytest_plugin.connectors import DebeziumConnectors
from lakebed.pytest_plugin.crash import Crash
from lakebed.pytest_plugin.session import SessionStack
from lakebed.stack.addresses import Addresses
from lakebed.waiting import with_patience

EventsUntilNow = Callable[[Connector, str], list[dict[str, Any]]]
TopicEvents = Callable[[str], list[tuple[Any, Any]]]
Record = Callable[[str, str], None]

# A task that could not connect tries again that soon, and not only after 10 s.
TRY_SOON = {"retriable.restart.connector.wait.ms": "100"}


@pytest.fixture
def addresses(lakebed_stack: SessionStack) -> Addresses:
    """Where Kafka is."""
    return lakebed_stack.need("kafka")


@pytest.fixture
def orders(postgres_connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """The test's database, with an empty table `orders`."""
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    return postgres_connection


def ids(events: list[dict[str, Any]]) -> list[int]:
    """Return the ids in order, what was delivered again left out."""
    return list(dict.fromkeys(event["after"]["id"] for event in events))


# -- the database -----------------------------------------------------------------------------------------


def test_a_database_that_hangs_does_not_hold_up_who_waits_for_the_stream(
    orders: psycopg.Connection[Any],
    debezium_connector: Connector,
    lakebed_stack: SessionStack,
    # Alone: no other test's database hangs.
    lakebed_crash: Crash,
) -> None:
    slot = debezium_connector.config.slot_name
    wait = debezium_connector.client.wait_until_streaming
    with paused(lakebed_stack, "postgres"), pytest.raises(DeadlinePassed) as error:
        wait(debezium_connector.name, slot, orders, deadline_seconds=1)
    told = str(error.value)
    waited = f"waited {with_patience(1):g} s for connector {debezium_connector.name!r}"
    assert f"{waited} to stream from slot {slot!r}" in told
    assert "does not answer" in told
    assert "is paused (SIGSTOP)" in told
    wait(debezium_connector.name, slot, orders)


def test_a_password_that_was_changed(
    orders: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    events_until_now: EventsUntilNow,
    lakebed_record: Record,
    lakebed_test_name: str,
) -> None:
    lakebed_record("role", lakebed_test_name)
    role = sql.Identifier(lakebed_test_name)
    orders.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD 'before'").format(role))
    connector = debezium_connectors(
        database_user=lakebed_test_name, database_password="before", extra_config=TRY_SOON
    )
    orders.execute("INSERT INTO orders VALUES (1)")
    assert ids(events_until_now(connector, "orders")) == [1]
    orders.execute(sql.SQL("ALTER ROLE {} PASSWORD 'after'").format(role))
    # PostgreSQL asks for a password only when a connection is opened: the one that is there goes on.
    orders.execute("INSERT INTO orders VALUES (2)")
    assert ids(events_until_now(connector, "orders")) == [1, 2]
    connector.client.restart(connector.name)
    # Debezium tries for ever to connect, and Connect calls that RUNNING: only the diagnosis names the cause.
    client, slot = connector.client, connector.config.slot_name
    old = sender_of(orders, slot)
    with pytest.raises(DeadlinePassed, match="password authentication failed") as caught:
        client.wait_until_streaming(connector.name, slot, orders, deadline_seconds=3, old_sender=old)
    assert "state: RUNNING" in caught.value.seen
    assert "inactive since" in caught.value.seen
    assert "'before'" not in str(caught.value)
    orders.execute("INSERT INTO orders VALUES (3)")
    with pytest.raises(ConnectRefused, match="password authentication failed"):
        connector.update(orders, database_password="wrong again")
    changed = connector.update(orders, database_password="after")
    # Its slot has kept its place meanwhile.
    assert ids(events_until_now(changed, "orders")) == [1, 2, 3]


def test_a_slot_that_was_dropped(
    orders: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    events_until_now: EventsUntilNow,
) -> None:
    connector = debezium_connectors()
    orders.execute("INSERT INTO orders VALUES (1)")
    assert ids(events_until_now(connector, "orders")) == [1]
    connector.client.stop(connector.name)
    drop_slot(orders, connector.config.slot_name)
    orders.execute("INSERT INTO orders VALUES (2)")
    with pytest.raises(ConnectorFailed, match="no longer available on the server"):
        connector.resume(orders)
    assert "does not exist" in connector.describe(orders)
    # The change is in no slot, but its row is in the table: a new beginning finds it.
    connector.client.stop(connector.name)
    connector.client.reset_offsets(connector.name)
    connector.resume(orders)
    events = events_until_now(connector, "orders")
    assert [(event["op"], event["after"]["id"]) for event in events] == [("c", 1), ("r", 1), ("r", 2)]


@pytest.mark.debezium(signals=True)
def test_a_publication_that_was_dropped(
    orders: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    events_until_now: EventsUntilNow,
    addresses: Addresses,
) -> None:
    connector = debezium_connectors()
    orders.execute("INSERT INTO orders VALUES (1)")
    assert ids(events_until_now(connector, "orders")) == [1]
    publication = sql.Identifier(connector.config.publication_name)
    orders.execute(sql.SQL("DROP PUBLICATION {}").format(publication))
    orders.execute("INSERT INTO orders VALUES (2)")
    # PostgreSQL 18 sends nothing and says nothing, the task stays RUNNING: only who asks learns of it.
    with pytest.raises(ConnectorFailed, match="what was committed without it was not sent") as caught:
        events_until_now(connector, "orders")
    assert "start_snapshot" in caught.value.remedy
    assert connector.client.state(connector.name) is ConnectorState.RUNNING
    assert "does not exist in database" in connector.describe(orders)
    # Made again, it counts at once; what was missed comes with a snapshot.
    orders.execute(sql.SQL("CREATE PUBLICATION {} FOR ALL TABLES").format(publication))
    orders.execute("INSERT INTO orders VALUES (3)")
    assert ids(events_until_now(connector, "orders")) == [1, 3]
    snapshot = start_snapshot(connector, orders, "orders", where={"orders": "id = 2"})
    wait_for_snapshot(connector, orders, addresses.kafka_bootstrap_servers, snapshot)
    assert ids(events_until_now(connector, "orders")) == [1, 3, 2]


@pytest.mark.parametrize("full", [False, True], ids=["default", "full"])
def test_a_table_without_primary_key(
    orders: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    events_until_now: EventsUntilNow,
    topic_events: TopicEvents,
    full: bool,
) -> None:
    connector = debezium_connectors()
    orders.execute("CREATE TABLE keyless (id int, note text)")
    if full:
        orders.execute("ALTER TABLE keyless REPLICA IDENTITY FULL")
    orders.execute("INSERT INTO keyless VALUES (1, 'a')")
    if not full:
        for statement in ("UPDATE keyless SET note = 'b'", "DELETE FROM keyless"):
            # PostgreSQL itself refuses, in the user's own statement; the connector is not touched.
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="replica identity"):
                orders.execute(statement)
        assert [event["op"] for event in events_until_now(connector, "keyless")] == ["c"]
    else:
        orders.execute("UPDATE keyless SET note = 'b'")
        orders.execute("DELETE FROM keyless")
        events = events_until_now(connector, "keyless")
        assert [(event["op"], event["before"], event["after"]) for event in events] == [
            ("c", None, {"id": 1, "note": "a"}),
            ("u", {"id": 1, "note": "a"}, {"id": 1, "note": "b"}),
            ("d", {"id": 1, "note": "b"}, None),
        ]
    # Without a key there is nothing to bring events of one row together by, and no tombstone.
    assert {key for key, _ in topic_events(connector.topic("keyless"))} == {None}
    assert connector.client.state(connector.name) is ConnectorState.RUNNING


# -- the schema registry ------------------------------------------------------------------------------------


def before_fields(registry: SchemaRegistryClient, subject: str, version: int) -> dict[str, Any]:
    """Return the columns of a version of a subject, with their types."""
    schema = json.loads(registry.get_version(subject, version).schema.schema_str or "")
    (before,) = (field for field in schema["fields"] if field["name"] == "before")
    return {field["name"]: field["type"] for field in before["type"][1]["fields"]}


@pytest.mark.debezium(avro=True)
def test_a_table_that_is_altered_compatibly_and_then_not(
    orders: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    schema_registry_client: SchemaRegistryClient,
) -> None:
    connector = debezium_connectors()
    subject = f"{connector.topic('orders')}-value"
    changes = (
        ("SELECT 1", "INSERT INTO orders VALUES (1, 'a')"),
        ("ALTER TABLE orders ADD COLUMN price int", "INSERT INTO orders VALUES (2, 'b', 3)"),
        ("ALTER TABLE orders DROP COLUMN note", "INSERT INTO orders VALUES (3, 4)"),
        ("ALTER TABLE orders ALTER COLUMN price TYPE bigint", "INSERT INTO orders VALUES (4, 5)"),
    )
    for alter, insert in changes:
        orders.execute(alter.encode())
        orders.execute(insert.encode())
    connector.wait_until_acknowledged(orders)
    assert schema_registry_client.get_versions(subject) == [1, 2, 3, 4]
    text, integer, long = ["null", "string"], ["null", "int"], ["null", "long"]
    assert [before_fields(schema_registry_client, subject, version) for version in (1, 2, 3, 4)] == [
        {"id": "int", "note": text},
        {"id": "int", "note": text, "price": integer},
        {"id": "int", "price": integer},
        {"id": "int", "price": long},
    ]
    # No reader of the new schema can read the old numbers as texts: BACKWARD forbids it.
    orders.execute("ALTER TABLE orders ALTER COLUMN price TYPE text")
    orders.execute("INSERT INTO orders VALUES (5, 'six')")
    with pytest.raises(ConnectorFailed, match="Incompatible artifact") as caught:
        connector.wait_until_acknowledged(orders)
    assert subject in caught.value.seen
    # The registry has what it had, and the slot still holds the change.
    assert schema_registry_client.get_versions(subject) == [1, 2, 3, 4]
    set_compatibility(schema_registry_client, CompatibilityMode.NONE, subject)
    connector.restart(orders)
    connector.wait_until_acknowledged(orders)
    assert before_fields(schema_registry_client, subject, 5) == {"id": "int", "price": text}


@pytest.mark.debezium(avro=True)
def test_a_subject_that_was_deleted(
    orders: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    schema_registry_client: SchemaRegistryClient,
) -> None:
    connector = debezium_connectors()
    registry = schema_registry_client
    subject = f"{connector.topic('orders')}-value"
    orders.execute("INSERT INTO orders VALUES (1, 'a')")
    connector.wait_until_acknowledged(orders)
    old = registry.get_version(subject, 1).schema_id
    assert old is not None
    registry.delete_subject(subject)
    registry.delete_subject(subject, permanent=True)
    registry.clear_caches()  # type: ignore[no-untyped-call]
    # The events in the topic name a schema that nobody has any more. The connector knows its
    # schema by heart and goes on writing, so that only readers see it.
    orders.execute("INSERT INTO orders VALUES (2, 'b')")
    connector.wait_until_acknowledged(orders)
    assert connector.client.state(connector.name) is ConnectorState.RUNNING
    assert subject not in registry.get_subjects()
    with pytest.raises(SchemaRegistryError, match="SR code 40403"):
        registry.get_schema(old)
    # A new task registers the schema anew; a new snapshot writes the rows with it once more.
    with connector.client.stopped(connector.name):
        connector.client.reset_offsets(connector.name)
    connector.client.wait_until_streaming(connector.name, connector.config.slot_name, orders)
    connector.wait_until_acknowledged(orders)
    assert registry.get_versions(subject) == [1]
    assert registry.get_schema(registry.get_version(subject, 1).schema_id or 0).schema_type == "AVRO"


# -- slots that PostgreSQL gives up: on a stack of its own, whose server is told to ------------------------

INVALIDATED = """
    import pytest
    from confluent_kafka import Consumer, TopicPartition
    from lakebed.clients.databases import drop_slot
    from lakebed.errors import ConnectorFailed
    from lakebed.waiting import wait_until

    WAYS = {
        "wal_removed": ("max_slot_wal_keep_size", "2MB"),
        "idle_timeout": ("idle_replication_slot_timeout", "1s"),
    }

    @pytest.mark.parametrize("reason", WAYS)
    def test_a_slot_that_was_invalidated(
        lakebed_stack, postgres_connection, debezium_connector, debezium_client, reason
    ):
        kafka = lakebed_stack.need("kafka").kafka_bootstrap_servers
        name, slot = debezium_connector.name, debezium_connector.config.slot_name
        postgres = postgres_connection
        postgres.execute("CREATE TABLE orders (id int PRIMARY KEY)")
        postgres.execute("INSERT INTO orders VALUES (1)")
        debezium_connector.wait_until_acknowledged(postgres)
        debezium_client.stop(name)
        setting, value = WAYS[reason]
        postgres.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
        postgres.execute("SELECT pg_reload_conf()")
        try:
            def is_invalidated():
                # Beyond two segments of 1 MB; a checkpoint looks for slots to give up.
                postgres.execute("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 3000000))")
                postgres.execute("CHECKPOINT")
                row = postgres.execute(
                    "SELECT invalidation_reason FROM pg_replication_slots WHERE slot_name = %s", [slot]
                ).fetchone()
                return row[0]
            assert wait_until(is_invalidated, "the slot to be given up", deadline_seconds=30) == reason
            postgres.execute("INSERT INTO orders VALUES (2)")
            assert f"INVALIDATED: {reason}" in debezium_connector.describe(postgres)
            with pytest.raises(ConnectorFailed, match=f"given up the slot .{reason}."):
                debezium_connector.resume(postgres)
            assert f"INVALIDATED: {reason}" in debezium_connector.describe(postgres)
        finally:
            postgres.execute(f"ALTER SYSTEM RESET {setting}")
            postgres.execute("SELECT pg_reload_conf()")
        # Its changes are gone, the rows are not: a new slot and a new snapshot.
        debezium_client.stop(name)
        drop_slot(postgres, slot)
        debezium_client.reset_offsets(name)
        debezium_connector.resume(postgres)
        debezium_connector.wait_until_acknowledged(postgres)
        # One change before, and both rows after.
        consumer = Consumer({"bootstrap.servers": kafka, "group.id": name})
        assert consumer.get_watermark_offsets(TopicPartition(debezium_connector.topic("orders"), 0)) == (0, 3)
        consumer.close()
"""


def test_a_slot_that_was_invalidated(run_tests: Any) -> None:
    run_tests("--tb=short", test_inner=INVALIDATED).assert_outcomes(passed=2)
