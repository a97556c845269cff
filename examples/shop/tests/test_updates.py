"""What a changed row looks like in its topic."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lakebed.cdc.events import UNAVAILABLE, Operation
from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.events import ChangeEvents
from shop import Shop


@pytest.fixture
def order(stocked_shop: Shop) -> int:
    """An order that was placed before the connector came."""
    return stocked_shop.place_order(1, {"tea": 2})


@pytest.mark.parametrize(
    "ways", [["paid"], ["paid", "shipped"], ["cancelled"], ["paid", "cancelled"]], ids=" then ".join
)
def test_each_step_of_an_order_is_an_event(
    stocked_shop: Shop,
    order: int,
    debezium_connector: Connector,
    change_events: ChangeEvents,
    ways: list[str],
) -> None:
    for status in ways:
        stocked_shop.set_status(order, status)
    read, *updates = change_events("orders")
    assert read.op is Operation.READ
    assert [event.op for event in updates] == [Operation.UPDATE] * len(ways)
    assert [event.after["status"] for event in updates if event.after] == ways


def test_without_replica_identity_the_row_before_is_not_known(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.change_price("tea", "5.00")
    event = list(change_events("products"))[-1]
    assert event.before is None
    assert event.changed() == {}


def test_with_full_replica_identity_an_event_tells_what_has_changed(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute("ALTER TABLE products REPLICA IDENTITY FULL")
    stocked_shop.change_price("tea", "5.00")
    event = list(change_events("products"))[-1]
    assert event.changed() == {"price": (Decimal("4.50"), Decimal("5.00"))}


def test_an_update_that_changes_nothing_is_an_event_all_the_same(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.change_price("tea", "4.50")
    event = list(change_events("products"))[-1]
    assert event.op is Operation.UPDATE
    assert event.after is not None
    assert event.after["price"] == Decimal("4.50")


def test_a_picture_that_did_not_change_is_not_sent_again(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    # Too large and too random to be kept in the row itself (PostgreSQL documentation, "TOAST").
    stocked_shop.connection.execute("ALTER TABLE products ALTER picture SET STORAGE EXTERNAL")
    picture = bytes(range(256)) * 64
    stocked_shop.add_product("poster", "12.00", picture=picture)
    stocked_shop.change_price("poster", "10.00")
    created, updated = list(change_events("products"))[-2:]
    assert created.after is not None
    assert created.after["picture"] == picture
    assert updated.after is not None
    assert updated.after["picture"] is UNAVAILABLE
    assert updated.after["price"] == Decimal("10.00")


def test_a_sale_touches_every_product(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute("UPDATE products SET price = round(price * 0.9, 2)")
    updates = [event for event in change_events("products") if event.op is Operation.UPDATE]
    prices = {event.key["sku"]: event.after["price"] for event in updates if event.key and event.after}
    assert prices == {"tea": Decimal("4.05"), "mug": Decimal("8.10"), "cake": Decimal("2.88")}
    assert len({event.source.tx_id for event in updates if event.source}) == 1


def test_a_new_number_is_a_delete_and_a_create(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.renumber("tea", "tea-2")
    deleted, tombstone, created = list(change_events("products"))[-3:]
    assert (deleted.op, deleted.key) == (Operation.DELETE, {"sku": "tea"})
    assert tombstone.is_tombstone
    assert (created.op, created.key) == (Operation.CREATE, {"sku": "tea-2"})
    assert deleted.new_key == {"sku": "tea-2"}
    assert created.old_key == {"sku": "tea"}


def test_a_new_number_reaches_the_lines_of_old_orders(
    stocked_shop: Shop, order: int, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.renumber("tea", "tea-2")
    event = list(change_events("order_lines"))[-1]
    assert event.op is Operation.UPDATE
    assert event.key == {"order_id": order, "line": 1}
    assert event.after is not None
    assert event.after["sku"] == "tea-2"


def test_only_what_came_after_an_event_can_be_read(
    stocked_shop: Shop, order: int, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    last = list(change_events("orders"))[-1]
    stocked_shop.set_status(order, "paid")
    stocked_shop.set_status(order, "shipped")
    statuses = [event.after["status"] for event in change_events("orders", after=last) if event.after]
    assert statuses == ["paid", "shipped"]
