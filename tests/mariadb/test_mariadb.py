"""MariaDB, added as CONTRIBUTING.md says: what a source of changes needs is on, and nothing stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from lakebed.pytest_plugin.session import SessionStack
from lakebed.services import mariadb
from lakebed.services.mariadb import MARIADB

Record = Callable[[str, str], None]


def _run(connection: pymysql.Connection[Any], *statements: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def test_it_writes_whole_rows_to_its_log(mariadb_connection: pymysql.Connection[Any]) -> None:
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
