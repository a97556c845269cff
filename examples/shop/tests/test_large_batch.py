"""The shop takes over another one: all of its customers in one transaction."""

from __future__ import annotations

import pytest

from lakebed.cdc.comparison import assert_same_rows
from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.events import ChangeEvents
from lakebed.pytest_plugin.pipelines import CdcPipelines
from lakebed.pytest_plugin.tables import TableRows
from shop import Shop


def take_over(shop: Shop, customers: int) -> None:
    shop.connection.execute(
        "INSERT INTO customers (email, name) SELECT 'c' || n || '@example.com', 'Customer ' || n"
        " FROM generate_series(1, %s) n",
        [customers],
    )


def test_every_row_is_an_event_and_in_order(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    take_over(shop, 25_000)
    ids = [event.key["id"] for event in change_events("customers") if event.key]
    assert ids == list(range(1, 25_001))


@pytest.mark.debezium(avro=True)
def test_they_reach_the_lake(
    shop: Shop,
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    table_rows: TableRows,
    delta_table_path: str,
) -> None:
    pipeline = cdc_pipeline(debezium_connector, "customers", delta=delta_table_path)
    take_over(shop, 20_000)
    shop.connection.execute("UPDATE customers SET newsletter = true WHERE id % 10 = 0")
    pipeline.run_available()
    assert_same_rows(table_rows.postgres("customers"), table_rows.delta(delta_table_path))
