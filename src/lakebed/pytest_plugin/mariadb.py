"""The fixtures of MariaDB as a source: a database of the test's own, and a connector that captures it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from lakebed.services import mariadb

if TYPE_CHECKING:
    import pymysql

    from lakebed.cdc.mariadb import MariaDBConnector
    from lakebed.clients.debezium import DebeziumClient
    from lakebed.pytest_plugin.fixtures import Record
    from lakebed.pytest_plugin.session import SessionStack


@pytest.fixture
def mariadb_connection(
    lakebed_stack: SessionStack, lakebed_test_name: str, lakebed_record: Record
) -> Iterator[pymysql.Connection]:
    """A PyMySQL connection, in autocommit mode, to a database of MariaDB that only this test has."""
    # Asked by every test: a server that died under the one before is started again.
    port = lakebed_stack.need("mariadb").ports["mariadb"]["mariadb"]
    lakebed_record("mariadb-database", lakebed_test_name)
    with mariadb.connect(port) as administration, administration.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {mariadb.quoted(lakebed_test_name)}")
    with mariadb.connect(port, lakebed_test_name) as connection:
        yield connection


@pytest.fixture
def mariadb_connector(
    lakebed_stack: SessionStack,
    mariadb_connection: pymysql.Connection,
    debezium_client: DebeziumClient,
    lakebed_test_name: str,
    lakebed_record: Record,
) -> Iterator[MariaDBConnector]:
    """A Debezium connector that streams this test's database of MariaDB when the test begins.

    `mariadb_connector.change_events("orders")` returns what has happened to a table, exactly up to the call.
    """
    from lakebed.cdc.mariadb import MariaDBConnector, connector_settings
    from lakebed.services.postgres import PASSWORD, USER

    addresses = lakebed_stack.need("connect", "kafka", "mariadb")
    port = addresses.ports["mariadb"]["mariadb"]
    name = lakebed_test_name
    with contextlib.closing(mariadb.connect(port)) as connection:
        connector = MariaDBConnector(name, name, debezium_client, addresses.kafka, connection)
        connector.make_pulse_table()
        for kind in ("topic-prefix", "connector"):
            lakebed_record(kind, name)
        debezium_client.create_other(
            name, connector_settings(name, name, port, USER, PASSWORD, addresses.kafka_bootstrap_servers)
        )
        connector.wait_until_acknowledged()
        yield connector
