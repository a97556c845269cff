"""What a new row looks like in its topic."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from lakebed.cdc.events import Operation
from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.events import ChangeEvents
from shop import Shop


def test_a_customer_is_one_event(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    ada = shop.register("ada@example.com", "Ada", {"city": "Turin", "zip": "10121"})
    (event,) = change_events("customers")
    assert event.op is Operation.CREATE
    assert event.key == {"id": ada}
    assert event.before is None
    assert event.after is not None
    assert event.after["email"] == "ada@example.com"
    assert event.after["address"] == {"city": "Turin", "zip": "10121"}


def test_defaults_of_the_database_are_in_the_event(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    shop.register("ada@example.com")
    stored = shop.connection.execute("SELECT newsletter, joined_at FROM customers").fetchone()
    (event,) = change_events("customers")
    assert event.after is not None
    assert (event.after["newsletter"], event.after["joined_at"]) == stored


def test_the_event_says_where_it_comes_from(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    shop.register("ada@example.com")
    (event,) = change_events("customers")
    assert event.source is not None
    assert (event.source.schema, event.source.table) == ("public", "customers")
    assert event.source.db == shop.connection.info.dbname
    assert not event.source.is_snapshot
    assert event.topic == debezium_connector.topic("customers")


@pytest.mark.parametrize(
    "name",
    ["Zoë", "李小龍", "محمد", "👩🏽‍🚀 Ana", 'O\'Brien "the" \\ one', "line\nbreak\ttab", "", " padded "],
)
def test_names_arrive_as_they_were_written(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents, name: str
) -> None:
    shop.register("someone@example.com", name)
    (event,) = change_events("customers")
    assert event.after is not None
    assert event.after["name"] == name


def test_an_address_that_is_not_known_is_null(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    shop.register("ada@example.com", address=None)
    (event,) = change_events("customers")
    assert event.after is not None
    assert event.after["address"] is None


def test_customers_arrive_in_the_order_of_their_registration(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    ids = [shop.register(f"customer{number}@example.com") for number in range(50)]
    assert [event.key["id"] for event in change_events("customers") if event.key] == ids


def test_an_order_and_its_lines_are_one_transaction(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    order = stocked_shop.place_order(1, {"tea": 2, "cake": 1})
    (header,) = change_events("orders")
    lines = list(change_events("order_lines"))
    assert header.source is not None
    assert {line.source.tx_id for line in lines if line.source} == {header.source.tx_id}
    assert [line.key for line in lines] == [{"order_id": order, "line": 1}, {"order_id": order, "line": 2}]


def test_an_order_keeps_the_price_of_its_day(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.place_order(1, {"tea": 1})
    stocked_shop.change_price("tea", "5.00")
    stocked_shop.place_order(2, {"tea": 1})
    prices = [event.after["price"] for event in change_events("order_lines") if event.after]
    assert prices == [Decimal("4.50"), Decimal("5.00")]


def test_every_order_has_a_reference_of_its_own(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    for _ in range(5):
        stocked_shop.place_order(1, {"mug": 1})
    references = [event.after["reference"] for event in change_events("orders") if event.after]
    assert all(isinstance(reference, UUID) for reference in references)
    assert len(set(references)) == 5


def test_an_order_that_fails_is_no_event_at_all(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    with pytest.raises(LookupError):
        stocked_shop.place_order(1, {"tea": 1, "no such thing": 1})
    good = stocked_shop.place_order(1, {"tea": 1})
    assert [event.key for event in change_events("orders")] == [{"id": good}]
    assert len(list(change_events("order_lines"))) == 1


def test_a_savepoint_that_is_rolled_back_leaves_the_rest(
    shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    with shop.connection.transaction():
        shop.register("ada@example.com")
        with pytest.raises(psycopg.errors.UniqueViolation), shop.connection.transaction():
            shop.register("ada@example.com")
        shop.register("bob@example.com")
    emails: list[Any] = [event.after["email"] for event in change_events("customers") if event.after]
    assert emails == ["ada@example.com", "bob@example.com"]
