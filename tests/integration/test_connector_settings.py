"""Heartbeats, filters and publications: what a field or an extra setting does to what arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from lakebed.clients.connector import Connector
from lakebed.errors import ConnectorFailed
from lakebed.pytest_plugin.connectors import DebeziumConnectors
from lakebed.waiting import wait_until

EventsUntilNow = Callable[[Connector, str], list[dict[str, Any]]]
TopicEvents = Callable[[str], list[tuple[Any, Any]]]


def test_heartbeats_move_the_slot_while_its_tables_are_idle(
    debezium_connectors: DebeziumConnectors,
    postgres_connection: psycopg.Connection[Any],
    topic_events: TopicEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE quiet (id int PRIMARY KEY)")
    postgres_connection.execute("CREATE TABLE busy (id int PRIMARY KEY)")
    beating = debezium_connectors(table_include_list=["public.quiet"], heartbeat_interval_ms=50)
    silent = debezium_connectors(table_include_list=["public.quiet"], heartbeat_interval_ms=0)
    postgres_connection.execute("INSERT INTO busy SELECT generate_series(1, 1000)")
    row = postgres_connection.execute("SELECT pg_current_wal_lsn()").fetchone()
    assert row is not None

    def has_passed(connector: Connector) -> bool:
        passed = postgres_connection.execute(
            "SELECT confirmed_flush_lsn >= %s FROM pg_replication_slots WHERE slot_name = %s",
            [row[0], connector.config.slot_name],
        ).fetchone()
        assert passed is not None
        return bool(passed[0])

    def has_moved() -> bool:
        # A heartbeat is sent when something comes in: as in life, others go on writing.
        postgres_connection.execute("UPDATE busy SET id = id WHERE id = 1")
        return has_passed(beating)

    wait_until(
        has_moved,
        "the slot to be confirmed beyond what its tables did not see",
        deadline_seconds=30,
        explain=lambda: beating.describe(postgres_connection),
    )
    assert not has_passed(silent)
    prefix = "__debezium-heartbeat"
    assert len(topic_events(f"{prefix}.{beating.config.topic_prefix}")) > 0
    assert topic_events(f"{prefix}.{silent.config.topic_prefix}") == []


@pytest.fixture
def shop(postgres_connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Tables `orders` and `notes`, in the schemas `public` and `archive`."""
    postgres_connection.execute("CREATE SCHEMA archive")
    for schema in ("public", "archive"):
        for table in ("orders", "notes"):
            postgres_connection.execute(
                f"CREATE TABLE {schema}.{table} (id int PRIMARY KEY, name text, secret text)"
            )
    return postgres_connection


TABLES = ("public.orders", "public.notes", "archive.orders", "archive.notes")


@pytest.mark.parametrize(
    ("fields", "captured"),
    [
        ({}, {"public.orders", "public.notes"}),
        ({"table_include_list": ["public.orders"]}, {"public.orders"}),
        ({"schema_include_list": ["archive"]}, {"archive.orders", "archive.notes"}),
        ({"schema_include_list": []}, set(TABLES)),
        (
            {"schema_include_list": [], "extra_config": {"schema.exclude.list": "archive"}},
            {"public.orders", "public.notes"},
        ),
        (
            {"schema_include_list": [], "extra_config": {"table.exclude.list": r".*\.notes"}},
            {"public.orders", "archive.orders"},
        ),
    ],
    ids=["default", "table", "schema", "all", "not-schema", "not-table"],
)
def test_tables_and_schemas_are_included_and_excluded(
    debezium_connectors: DebeziumConnectors,
    shop: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
    topic_events: TopicEvents,
    fields: dict[str, Any],
    captured: set[str],
) -> None:
    connector = debezium_connectors(**fields)
    for table in TABLES:
        shop.execute(f"INSERT INTO {table} VALUES (1)".encode())
    events_until_now(connector, "orders")
    assert {table for table in TABLES if topic_events(connector.topic(table))} == captured


@pytest.mark.parametrize(
    ("extra", "columns"),
    [
        ({"column.include.list": r"public\.orders\.(id|name)"}, {"id": 1, "name": "a"}),
        ({"column.exclude.list": r".*\.secret"}, {"id": 1, "name": "a"}),
        ({"column.mask.with.3.chars": r".*\.secret"}, {"id": 1, "name": "a", "secret": "***"}),
    ],
    ids=["include", "exclude", "mask"],
)
def test_columns_are_included_excluded_and_masked(
    debezium_connectors: DebeziumConnectors,
    shop: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
    extra: dict[str, str],
    columns: dict[str, Any],
) -> None:
    connector = debezium_connectors(extra_config=extra)
    shop.execute("INSERT INTO orders VALUES (1, 'a', 'hush')")
    (event,) = events_until_now(connector, "orders")
    assert event["after"] == columns


@pytest.mark.debezium(extra_config={"message.prefix.exclude.list": "noise"})
def test_messages_are_filtered_by_prefix_and_the_barrier_still_comes(
    debezium_connector: Connector,
    shop: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
    topic_events: TopicEvents,
) -> None:
    for prefix in ("noise", "news"):
        shop.execute("SELECT pg_logical_emit_message(false, %s, 'x'::text)", [prefix])
    events_until_now(debezium_connector, "orders")
    messages = topic_events(f"{debezium_connector.config.topic_prefix}.message")
    prefixes = [value["message"]["prefix"] for _, value in messages]
    assert "news" in prefixes
    assert "noise" not in prefixes


@pytest.mark.parametrize(
    ("mode", "tables"),
    [("all_tables", set(TABLES)), ("filtered", {"public.orders"}), ("no_tables", set[str]())],
)
def test_the_publication_is_made_as_told(
    debezium_connectors: DebeziumConnectors, shop: psycopg.Connection[Any], mode: str, tables: set[str]
) -> None:
    connector = debezium_connectors(
        table_include_list=["public.orders"], extra_config={"publication.autocreate.mode": mode}
    )
    found = shop.execute(
        "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = %s",
        [connector.config.publication_name],
    )
    assert {name for (name,) in found} == tables


@pytest.mark.debezium(extra_config={"publication.autocreate.mode": "disabled"})
def test_a_publication_of_ones_own_is_used_and_one_that_is_missing_is_named(
    debezium_connectors: DebeziumConnectors, shop: psycopg.Connection[Any], events_until_now: EventsUntilNow
) -> None:
    with pytest.raises(ConnectorFailed, match="publication"):
        debezium_connectors(publication_name="nowhere")
    shop.execute("CREATE PUBLICATION inserts_only FOR TABLE orders WITH (publish = 'insert')")
    connector = debezium_connectors(publication_name="inserts_only", name=f"{shop.info.dbname}_own")
    shop.execute("INSERT INTO orders VALUES (1)")
    shop.execute("DELETE FROM orders")
    assert [event["op"] for event in events_until_now(connector, "orders")] == ["c"]
