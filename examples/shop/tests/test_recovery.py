"""A server dies in the middle of business: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import pytest

from lakebed.cdc.comparison import assert_same_rows
from lakebed.clients.connector import Connector
from lakebed.clients.debezium import DebeziumClient
from lakebed.errors import VersionUnknown
from lakebed.pytest_plugin.crash import Crash
from lakebed.pytest_plugin.events import ChangeEvents
from lakebed.pytest_plugin.pipelines import CdcPipelines
from lakebed.pytest_plugin.tables import TableRows
from shop import Shop


@pytest.mark.parametrize("server", ["connect", "kafka"])
def test_orders_placed_while_a_server_is_dead_arrive_after_it(
    stocked_shop: Shop,
    debezium_connector: Connector,
    change_events: ChangeEvents,
    lakebed_crash: Crash,
    server: str,
) -> None:
    before = stocked_shop.place_order(1, {"tea": 1})
    with lakebed_crash(server):
        during = stocked_shop.place_order(1, {"tea": 1})
    after = stocked_shop.place_order(1, {"tea": 1})
    # A connector that has died may send again what Kafka had; it never leaves anything out.
    orders = [event.key["id"] for event in change_events("orders") if event.key]
    assert list(dict.fromkeys(orders)) == [before, during, after]


def test_what_was_committed_survives_the_database(
    stocked_shop: Shop,
    debezium_connector: Connector,
    change_events: ChangeEvents,
    lakebed_crash: Crash,
) -> None:
    order = stocked_shop.place_order(1, {"tea": 1})
    with lakebed_crash("postgres"):
        pass
    assert {event.key["id"] for event in change_events("orders") if event.key} == {order}


@pytest.mark.debezium(avro=True)
def test_the_lake_is_equal_after_connect_has_died_under_it(
    stocked_shop: Shop,
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    table_rows: TableRows,
    delta_table_path: str,
    lakebed_crash: Crash,
) -> None:
    pipeline = cdc_pipeline(debezium_connector, "products", delta=delta_table_path)
    pipeline.run_available()
    with lakebed_crash("connect"):
        stocked_shop.change_price("tea", "5.00")
        stocked_shop.renumber("mug", "mug-2")
    pipeline.run_available()
    assert_same_rows(table_rows.postgres("products"), table_rows.delta(delta_table_path))


@pytest.mark.debezium(avro=True)
def test_a_pipeline_that_has_lost_its_checkpoint_does_nothing_twice(
    stocked_shop: Shop,
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    table_rows: TableRows,
    delta_table_path: str,
) -> None:
    cdc_pipeline(debezium_connector, "products", delta=delta_table_path).run_available()
    # Another one, with an empty checkpoint, on the same table.
    cdc_pipeline(debezium_connector, "products", delta=delta_table_path).run_available()
    assert_same_rows(table_rows.postgres("products"), table_rows.delta(delta_table_path))
    # Version 0 is the table that was made, 1 what came in: there is no third.
    with pytest.raises(VersionUnknown):
        table_rows.delta(delta_table_path, version=2).table()


def test_a_connector_that_is_restarted_goes_on_where_it_was(
    stocked_shop: Shop,
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    change_events: ChangeEvents,
) -> None:
    first = stocked_shop.place_order(1, {"tea": 1})
    assert len(list(change_events("orders"))) == 1
    debezium_client.restart(debezium_connector.name)
    second = stocked_shop.place_order(1, {"mug": 1})
    orders = [event.key["id"] for event in change_events("orders") if event.key]
    assert list(dict.fromkeys(orders)) == [first, second]
