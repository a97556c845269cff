"""What a connector captures, and what it does when it is told to rest."""

from __future__ import annotations

import pytest

from lakebed.cdc.events import Operation
from lakebed.clients.connector import Connector
from lakebed.clients.debezium import DebeziumClient
from lakebed.config.debezium import SnapshotMode
from lakebed.lifecycle import ConnectorState
from lakebed.pytest_plugin.connectors import DebeziumConnectors
from lakebed.pytest_plugin.events import ChangeEvents
from shop import Shop


def test_what_was_there_before_is_read_first(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.add_product("pot", "20.00")
    operations = [event.op for event in change_events("products")]
    assert operations == [Operation.READ, Operation.READ, Operation.READ, Operation.CREATE]


@pytest.mark.debezium(snapshot_mode=SnapshotMode.NEVER)
def test_without_a_snapshot_only_what_is_new_arrives(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.add_product("pot", "20.00")
    (event,) = change_events("products")
    assert event.key == {"sku": "pot"}


@pytest.mark.debezium(table_include_list=["public.orders"])
def test_tables_that_are_not_named_are_left_out(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.place_order(1, {"tea": 1})
    assert len(list(change_events("orders"))) == 1
    assert list(change_events("order_lines")) == []


@pytest.mark.debezium(extra_config={"column.exclude.list": "public.customers.address"})
def test_columns_can_be_left_out(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    shop.register("ada@example.com", address={"city": "Turin"})
    (event,) = change_events("customers")
    assert event.after is not None
    assert "address" not in event.after


@pytest.mark.debezium(extra_config={"column.mask.with.8.chars": "public.customers.email"})
def test_columns_can_be_masked(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    shop.register("ada@example.com")
    (event,) = change_events("customers")
    assert event.after is not None
    assert event.after["email"] == "********"


def test_changes_made_during_a_pause_arrive_after_it(
    stocked_shop: Shop,
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    change_events: ChangeEvents,
) -> None:
    debezium_client.pause(debezium_connector.name)
    order = stocked_shop.place_order(1, {"tea": 1})
    assert debezium_connector.lifecycle.state is ConnectorState.PAUSED
    debezium_client.resume(debezium_connector.name)
    assert [event.key for event in change_events("orders")] == [{"id": order}]


def test_changes_made_while_it_is_stopped_arrive_after_it(
    stocked_shop: Shop,
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    change_events: ChangeEvents,
) -> None:
    debezium_client.stop(debezium_connector.name)
    order = stocked_shop.place_order(1, {"tea": 1})
    debezium_client.resume(debezium_connector.name)
    assert [event.key for event in change_events("orders")] == [{"id": order}]


def test_two_connectors_see_the_same_changes(
    stocked_shop: Shop, debezium_connectors: DebeziumConnectors, change_events: ChangeEvents
) -> None:
    first, second = debezium_connectors(), debezium_connectors()
    stocked_shop.place_order(1, {"tea": 1})
    keys = [[event.key for event in change_events(one.topic("orders"))] for one in (first, second)]
    assert keys[0] == keys[1] != []


@pytest.mark.debezium(extra_config={"provide.transaction.metadata": "true"})
def test_an_event_knows_its_place_in_its_transaction(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.place_order(1, {"tea": 1, "mug": 1})
    lines = [event.transaction for event in change_events("order_lines")]
    # The order itself was the first event of the transaction.
    assert [line.total_order for line in lines if line] == [2, 3]
    assert [line.data_collection_order for line in lines if line] == [1, 2]
