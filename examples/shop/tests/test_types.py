"""Every type of column arrives as the value that psycopg reads from the same row."""

from __future__ import annotations

import pytest

from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.events import ChangeEvents
from shop import Shop

VALUES = {
    "numeric(10, 2)": "12345678.90",
    "numeric(38, 10)": "-0.0000000001",
    "smallint": "-32768",
    "bigint": "9223372036854775807",
    "double precision": "0.1",
    "boolean": "true",
    "text": "'größe'",
    "varchar(5)": "'abc'",
    "bytea": r"'\x00ff'",
    "uuid": "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
    "jsonb": """'{"a": [1, null, {"b": "c"}]}'""",
    "date": "'2024-02-29'",
    "time": "'23:59:59.999999'",
    "timestamp": "'1999-12-31 23:59:59.123456'",
    "timestamptz": "'2024-03-31 02:30:00+02'",
    "order_status": "'shipped'",
    "int[]": "'{1,2,3}'",
    "text[]": """'{"a,b",""}'""",
}


@pytest.mark.parametrize("column_type", VALUES)
def test_a_value_arrives_as_the_database_gives_it(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents, column_type: str
) -> None:
    shop.connection.execute(f"CREATE TABLE samples (id int PRIMARY KEY, value {column_type})".encode())
    shop.connection.execute(f"INSERT INTO samples VALUES (1, {VALUES[column_type]}), (2, NULL)".encode())
    stored = shop.connection.execute("SELECT value FROM samples ORDER BY id").fetchall()
    arrived = [(event.after["value"],) for event in change_events("samples") if event.after]
    assert arrived == stored
