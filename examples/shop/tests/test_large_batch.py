"""The shop takes over another one: a hundred thousand rows in one transaction."""

from __future__ import annotations

import pytest

from lakebed.cdc.comparison import assert_same_rows
from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.events import ChangeEvents
from lakebed.pytest_plugin.pipelines import CdcPipelines
from lakebed.pytest_plugin.tables import TableRows
from shop import Shop

ROWS = 50_000
TAKE_OVER = (
    "INSERT INTO customers (email, name) SELECT 'c' || n || '@example.com', 'Customer ' || n"
    f" FROM generate_series(1, {ROWS}) n"
)


def test_every_row_is_an_event_and_in_order(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    shop.connection.execute(TAKE_OVER.encode())
    ids = [event.key["id"] for event in change_events("customers") if event.key]
    assert ids == list(range(1, ROWS + 1))


@pytest.mark.debezium(avro=True)
def test_they_reach_the_lake(
    shop: Shop,
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    table_rows: TableRows,
    delta_table_path: str,
    iceberg_namespace: str,
) -> None:
    iceberg = f"{iceberg_namespace}.customers"
    pipeline = cdc_pipeline(debezium_connector, "customers", delta=delta_table_path, iceberg=iceberg)
    shop.connection.execute(TAKE_OVER.encode())
    shop.connection.execute("UPDATE customers SET newsletter = true WHERE id % 10 = 0")
    pipeline.run_available()
    source = table_rows.postgres("customers")
    assert_same_rows(source, table_rows.delta(delta_table_path))
    assert_same_rows(source, table_rows.iceberg(iceberg))
