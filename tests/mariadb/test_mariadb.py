"""MariaDB as a source, added as CONTRIBUTING.md says: its changes arrive, and nothing stays."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pymysql
import pytest

from lakebed.cdc.events import Operation
from lakebed.cdc.mariadb import MariaDBConnector
from lakebed.clients.debezium import DebeziumClient
from lakebed.errors import ConnectRefused, DeadlinePassed
from lakebed.pytest_plugin.session import SessionStack
from lakebed.services import mariadb
from lakebed.services.mariadb import MARIADB

Record = Callable[[str, str], None]


def _run(connection: pymysql.Connection, *statements: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def test_it_writes_whole_rows_to_its_log(mariadb_connection: pymysql.Connection) -> None:
    asked = "SELECT @@log_bin, @@binlog_format, @@binlog_row_image, @@time_zone, @@character_set_database"
    assert _run(mariadb_connection, asked) == [(1, "ROW", "FULL", "+00:00", "utf8mb4")]


def test_it_listens_on_this_machine_only_and_lets_nobody_else_in(lakebed_stack: SessionStack) -> None:
    port = lakebed_stack.need("mariadb").ports["mariadb"]["mariadb"]
    for user in ("root", ""):
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            pymysql.connect(host="127.0.0.1", port=port, user=user)
    with mariadb.connect(port) as connection:
        assert _run(connection, "SELECT @@bind_address, @@socket") == [("127.0.0.1", "")]
        names = {name for (name,) in _run(connection, "SELECT User FROM mysql.user")}
        assert names == {"cdcuser", "mariadb.sys"}
        assert ("cdcdb",) in _run(connection, "SHOW DATABASES")


def test_what_happens_to_rows_arrives_typed_and_in_order(
    mariadb_connection: pymysql.Connection, mariadb_connector: MariaDBConnector
) -> None:
    _run(
        mariadb_connection,
        "CREATE TABLE orders (id INT PRIMARY KEY, price DECIMAL(10,2), placed DATE, took TIME(6),"
        " at DATETIME(6), seen TIMESTAMP(6), name VARCHAR(50), note JSON, flags BIT(3), picture VARBINARY(9),"
        " size ENUM('S', 'L'), made YEAR, many BIGINT UNSIGNED, half FLOAT)",
        "INSERT INTO orders VALUES (1, 9.99, '2024-02-29', '-838:59:59', '2024-03-31 02:30:00.123456',"
        " '2024-03-31 02:30:00.5', 'Zoë 🛏', '{\"a\": 1}', b'101', x'00ff', 'L', 2024, 42, 1.1)",
        "UPDATE orders SET price = -8.50, took = '08:00:00.000001', name = NULL WHERE id = 1",
        "DELETE FROM orders WHERE id = 1",
    )
    created, updated, deleted, tombstone = mariadb_connector.change_events("orders")
    assert [event.op for event in (created, updated, deleted, tombstone)] == [
        *(Operation.CREATE, Operation.UPDATE, Operation.DELETE, Operation.TOMBSTONE)
    ]
    assert created.before is None
    assert created.after is not None
    note = created.after.pop("note")
    assert (note if isinstance(note, dict) else json.loads(note)) == {"a": 1}
    assert created.after == {
        "id": 1,
        "price": Decimal("9.99"),
        "placed": datetime.date(2024, 2, 29),
        "took": "-838:59:59",
        "at": datetime.datetime(2024, 3, 31, 2, 30, 0, 123456),
        "seen": datetime.datetime(2024, 3, 31, 2, 30, 0, 500000, tzinfo=datetime.timezone.utc),
        "name": "Zoë 🛏",
        "flags": "101",
        "picture": b"\x00\xff",
        "size": "L",
        "made": 2024,
        "many": 42,
        "half": 1.1,
    }
    assert updated.changed() == {
        "price": (Decimal("9.99"), Decimal("-8.50")),
        "took": ("-838:59:59", datetime.time(8, 0, 0, 1)),
        "name": ("Zoë 🛏", None),
    }
    assert (deleted.before, deleted.after, deleted.key) == (updated.after, None, {"id": 1})


def test_a_position_is_that_of_the_binary_log(
    mariadb_connection: pymysql.Connection, mariadb_connector: MariaDBConnector
) -> None:
    _run(mariadb_connection, "CREATE TABLE orders (id INT PRIMARY KEY)")
    _run(mariadb_connection, "INSERT INTO orders VALUES (1), (2)", "INSERT INTO orders VALUES (3)")
    sources = [event.source for event in mariadb_connector.change_events("orders")]
    first, second, third = (source for source in sources if source is not None)
    assert first < second < third
    assert (first.db, first.schema, first.table) == (mariadb_connector.database, "", "orders")
    assert first.binlog is not None
    assert second.binlog is not None
    assert third.binlog is not None
    assert first.binlog.file.startswith("binlog.")
    assert (first.binlog.row, second.binlog.row, third.binlog.row) == (0, 1, 0)
    assert first.binlog.gtid == second.binlog.gtid != third.binlog.gtid
    assert f"{first.binlog.file}:{first.binlog.pos}" in repr(first)


def test_rows_and_events_agree_after_many_changes(
    mariadb_connection: pymysql.Connection, mariadb_connector: MariaDBConnector
) -> None:
    _run(mariadb_connection, "CREATE TABLE numbers (id INT PRIMARY KEY, square BIGINT)")
    with mariadb_connection.cursor() as cursor:
        cursor.executemany("INSERT INTO numbers VALUES (%s, %s)", [(one, one * one) for one in range(1000)])
    _run(
        mariadb_connection,
        "UPDATE numbers SET square = -square WHERE id % 3 = 0",
        "DELETE FROM numbers WHERE id % 5 = 0",
    )
    rows: dict[int, int] = {}
    for event in mariadb_connector.change_events("numbers"):
        assert event.key is not None
        if event.after is None:
            rows.pop(event.key["id"], None)
        else:
            rows[event.key["id"]] = event.after["square"]
    assert sorted(rows.items()) == _run(mariadb_connection, "SELECT id, square FROM numbers ORDER BY id")


@pytest.mark.lakebed("mariadb", "connect")
def test_what_was_there_before_the_connector_is_read_first(
    mariadb_connection: pymysql.Connection, request: pytest.FixtureRequest
) -> None:
    _run(mariadb_connection, "CREATE TABLE orders (id INT PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
    connector: MariaDBConnector = request.getfixturevalue("mariadb_connector")
    _run(mariadb_connection, "INSERT INTO orders VALUES (2)")
    read, created = connector.change_events("orders")
    assert (read.op, created.op) == (Operation.READ, Operation.CREATE)
    assert read.source is not None
    assert read.source.is_snapshot


def test_a_passed_deadline_says_what_the_connector_does(mariadb_connector: MariaDBConnector) -> None:
    client, name = mariadb_connector.client, mariadb_connector.name
    client.pause(name)
    with pytest.raises(DeadlinePassed, match=r"offsets committed: (?s:.*)PAUSED"):
        mariadb_connector.wait_until_acknowledged(deadline_seconds=1)
    client.resume(name)
    mariadb_connector.wait_until_acknowledged()


def test_what_connect_does_not_accept_is_refused_in_its_words(
    mariadb_connection: pymysql.Connection, debezium_client: DebeziumClient, lakebed_test_name: str
) -> None:
    settings = {"connector.class": "io.debezium.connector.mariadb.MariaDbConnector", "topic.prefix": "a b"}
    with pytest.raises(ConnectRefused, match=r"database\.hostname"):
        debezium_client.create_other(lakebed_test_name, settings)
    assert lakebed_test_name not in debezium_client.names()


def test_databases_and_users_of_tests_are_found_and_removed_though_in_use(
    lakebed_stack: SessionStack, lakebed_record: Record, lakebed_test_name: str
) -> None:
    port = lakebed_stack.need("mariadb").ports["mariadb"]["mariadb"]
    user = f"'{lakebed_test_name[-20:]}'@'127.0.0.1'"
    lakebed_record("mariadb-database", lakebed_test_name)
    lakebed_record("mariadb-user", user)
    with mariadb.connect(port) as connection:
        _run(connection, f"CREATE DATABASE {mariadb.quoted(lakebed_test_name)}", f"CREATE USER {user}")
        with mariadb.connect(port, lakebed_test_name) as busy:
            _run(busy, "CREATE TABLE held (id INT PRIMARY KEY)", "BEGIN", "INSERT INTO held VALUES (1)")
            lakebed_stack.remove(("mariadb-database", lakebed_test_name), ("mariadb-user", user))
        assert (lakebed_test_name,) not in _run(connection, "SHOW DATABASES")
        assert _run(connection, f"SELECT User FROM mysql.user WHERE User = '{lakebed_test_name[-20:]}'") == []
    lakebed_stack.remove(("mariadb-database", lakebed_test_name), ("mariadb-user", user))


def test_its_kinds_are_known_to_the_sweep_of_a_kept_stack() -> None:
    from lakebed.stack.resources import KINDS

    assert {kind.name for kind in MARIADB.resources} <= set(KINDS)
