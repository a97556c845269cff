"""The fixture of MariaDB: a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from lakebed.services import mariadb

if TYPE_CHECKING:
    import pymysql

    from lakebed.pytest_plugin.fixtures import Record
    from lakebed.pytest_plugin.session import SessionStack


@pytest.fixture
def mariadb_connection(
    lakebed_stack: SessionStack, lakebed_test_name: str, lakebed_record: Record
) -> Iterator[pymysql.Connection[Any]]:
    """A PyMySQL connection, in autocommit mode, to a database of MariaDB that only this test has."""
    # Asked by every test: a server that died under the one before is started again.
    port = lakebed_stack.need("mariadb").ports["mariadb"]["mariadb"]
    lakebed_record("mariadb-database", lakebed_test_name)
    with mariadb.connect(port) as administration, administration.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {mariadb.quoted(lakebed_test_name)}")
    with mariadb.connect(port, lakebed_test_name) as connection:
        yield connection
