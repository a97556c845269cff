"""What is left of a row that is gone."""

from __future__ import annotations

import pytest

from lakebed.cdc.events import Operation
from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.events import ChangeEvents
from shop import Shop


@pytest.fixture
def orders(stocked_shop: Shop) -> list[int]:
    """Two orders of Ada and one of Bob."""
    baskets = [(1, {"tea": 1}), (1, {"mug": 1, "cake": 2}), (2, {"cake": 1})]
    return [stocked_shop.place_order(customer, basket) for customer, basket in baskets]


def test_a_deleted_row_is_a_delete_and_a_tombstone(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute("DELETE FROM products WHERE sku = 'mug'")
    deleted, tombstone = list(change_events("products"))[-2:]
    assert (deleted.op, deleted.key, deleted.after) == (Operation.DELETE, {"sku": "mug"}, None)
    assert (tombstone.op, tombstone.key) == (Operation.TOMBSTONE, {"sku": "mug"})
    assert tombstone.row is None


def test_the_row_before_has_the_key_alone(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute("DELETE FROM products WHERE sku = 'tea'")
    deleted = list(change_events("products"))[-2]
    assert deleted.before is not None
    assert deleted.before["sku"] == "tea"
    # 0.25 in the table, but not in the log. What cannot be NULL is made up: do not trust `price` here.
    assert deleted.before["weight_kg"] is None


def test_with_full_replica_identity_the_whole_row_is_there(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute("ALTER TABLE products REPLICA IDENTITY FULL")
    stocked_shop.connection.execute("DELETE FROM products WHERE sku = 'tea'")
    deleted = list(change_events("products"))[-2]
    assert deleted.before is not None
    assert deleted.before["title"] == "Green tea"
    assert deleted.before["tags"] == ["drink", "green"]


def test_lines_go_with_their_order(
    stocked_shop: Shop, orders: list[int], debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute("DELETE FROM orders WHERE id = %s", [orders[1]])
    deleted = [event.key for event in change_events("order_lines") if event.op is Operation.DELETE]
    assert deleted == [{"order_id": orders[1], "line": 1}, {"order_id": orders[1], "line": 2}]


def test_a_customer_who_is_erased_leaves_no_rows_anywhere(
    stocked_shop: Shop, orders: list[int], debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.erase(1)
    for table, left in (("customers", [{"id": 2}]), ("orders", [{"id": orders[2]}])):
        rows = {}
        for event in change_events(table):
            if event.key is not None:
                rows[tuple(event.key.items())] = event.after
        assert [dict(key) for key, row in rows.items() if row is not None] == left


def test_all_of_it_is_one_transaction(
    stocked_shop: Shop, orders: list[int], debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.erase(1)
    tables = ("customers", "orders", "order_lines")
    deletes = [event for table in tables for event in change_events(table) if event.op is Operation.DELETE]
    assert len(deletes) == 1 + 2 + 3
    assert len({event.source.tx_id for event in deletes if event.source}) == 1


def test_a_number_can_come_back(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute("DELETE FROM products WHERE sku = 'mug'")
    stocked_shop.add_product("mug", "7.00")
    history = [event.op for event in change_events("products") if event.key == {"sku": "mug"}]
    assert history == [Operation.READ, Operation.DELETE, Operation.TOMBSTONE, Operation.CREATE]


@pytest.mark.debezium(extra_config={"tombstones.on.delete": "false"})
def test_without_tombstones_there_is_the_delete_alone(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute("DELETE FROM products WHERE sku = 'mug'")
    assert list(change_events("products"))[-1].op is Operation.DELETE


@pytest.mark.debezium(extra_config={"skipped.operations": "none"})
def test_a_truncated_table_is_an_event_without_a_key(
    stocked_shop: Shop, orders: list[int], debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute("TRUNCATE order_lines")
    last = list(change_events("order_lines"))[-1]
    assert (last.op, last.key) == (Operation.TRUNCATE, None)
