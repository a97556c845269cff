"""Every type of column arrives as the value that psycopg reads from the same row."""

from __future__ import annotations

import pytest

from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.events import ChangeEvents
from shop import Shop

VALUES = {
    "money and other exact numbers": {
        "numeric(10, 2)": "12345678.90",
        "numeric(38, 10)": "-0.0000000001",
    },
    "numbers": {
        "smallint": "-32768",
        "bigint": "9223372036854775807",
        "double precision": "0.1",
        "boolean": "true",
    },
    "text and bytes": {
        "text": "'größe'",
        "varchar(5)": "'abc'",
        "bytea": r"'\x00ff'",
        "uuid": "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "order_status": "'shipped'",
    },
    "dates and times of day": {
        "date": "'2024-02-29'",
        "time": "'23:59:59.999999'",
    },
    "moments": {
        "timestamp": "'1999-12-31 23:59:59.123456'",
        "timestamptz": "'2024-03-31 02:30:00+02'",
    },
    "structures": {
        "jsonb": """'{"a": [1, null, {"b": "c"}]}'""",
        "int[]": "'{1,2,3}'",
        "text[]": """'{"a,b",""}'""",
    },
}


@pytest.mark.parametrize("family", VALUES)
def test_values_arrive_as_the_database_gives_them(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents, family: str
) -> None:
    values = VALUES[family]
    columns = ", ".join(f'"{column_type}" {column_type}' for column_type in values)
    shop.connection.execute(f"CREATE TABLE samples (id int PRIMARY KEY, {columns})".encode())
    shop.connection.execute(f"INSERT INTO samples VALUES (1, {', '.join(values.values())})".encode())
    shop.connection.execute("INSERT INTO samples VALUES (2)")
    names = ", ".join(f'"{column_type}"' for column_type in values)
    stored = shop.connection.execute(f"SELECT {names} FROM samples ORDER BY id".encode()).fetchall()
    arrived = [event.after for event in change_events("samples") if event.after]
    for column, column_type in enumerate(values):
        assert [row[column_type] for row in arrived] == [row[column] for row in stored], column_type
