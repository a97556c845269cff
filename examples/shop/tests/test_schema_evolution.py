"""The shop's tables change while the connector streams."""

from __future__ import annotations

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from lakebed.cdc.events import ABSENT
from lakebed.clients.connector import Connector
from lakebed.errors import ConnectorFailed
from lakebed.pytest_plugin.connectors import DebeziumConnectors
from lakebed.pytest_plugin.events import ChangeEvents
from shop import Shop

FORMATS = pytest.mark.parametrize("avro", [False, True], ids=["JSON", "Avro"])
RENAME = "ALTER TABLE products RENAME title TO name"


@FORMATS
@pytest.mark.lakebed("schema-registry")
def test_a_new_column_is_in_the_events_from_then_on(
    stocked_shop: Shop, debezium_connectors: DebeziumConnectors, change_events: ChangeEvents, avro: bool
) -> None:
    topic = debezium_connectors(avro=avro).topic("products")
    stocked_shop.connection.execute("ALTER TABLE products ADD vegan boolean")
    stocked_shop.connection.execute("UPDATE products SET vegan = true WHERE sku = 'cake'")
    *read, updated = (event.after for event in change_events(topic))
    assert [row["vegan"] for row in read if row is not None] == [ABSENT] * 3
    assert updated is not None
    assert updated["vegan"] is True


@FORMATS
@pytest.mark.lakebed("schema-registry")
def test_a_new_column_with_a_default_is_no_change_of_the_rows_that_are_there(
    stocked_shop: Shop, debezium_connectors: DebeziumConnectors, change_events: ChangeEvents, avro: bool
) -> None:
    topic = debezium_connectors(avro=avro).topic("products")
    stocked_shop.connection.execute("ALTER TABLE products ADD stock int NOT NULL DEFAULT 7")
    assert len(list(change_events(topic))) == 3
    stocked_shop.add_product("pot", "20.00")
    *_, created = change_events(topic)
    assert created.after is not None
    assert created.after["stock"] == 7


@FORMATS
@pytest.mark.lakebed("schema-registry")
def test_a_column_that_is_gone_is_absent_and_not_null(
    stocked_shop: Shop, debezium_connectors: DebeziumConnectors, change_events: ChangeEvents, avro: bool
) -> None:
    topic = debezium_connectors(avro=avro).topic("products")
    stocked_shop.connection.execute("ALTER TABLE products DROP weight_kg")
    stocked_shop.change_price("tea", "5.00")
    *_, last = change_events(topic)
    assert last.after is not None
    assert last.after["weight_kg"] is ABSENT


def test_a_renamed_column_has_its_new_name_in_json(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute(RENAME.encode())
    stocked_shop.change_price("tea", "5.00")
    *_, last = change_events("products")
    assert last.after is not None
    assert (last.after["title"], last.after["name"]) == (ABSENT, "Green tea")


@pytest.mark.debezium(avro=True)
def test_each_shape_is_a_version_in_the_registry(
    stocked_shop: Shop,
    debezium_connector: Connector,
    schema_registry_client: SchemaRegistryClient,
    change_events: ChangeEvents,
) -> None:
    subject = f"{debezium_connector.topic('products')}-value"
    assert len(list(change_events("products"))) == 3
    assert schema_registry_client.get_versions(subject) == [1]
    stocked_shop.connection.execute("ALTER TABLE products ADD vegan boolean")
    stocked_shop.add_product("pot", "20.00")
    assert len(list(change_events("products"))) == 4
    assert schema_registry_client.get_versions(subject) == [1, 2]


@pytest.mark.debezium(avro=True)
def test_a_renamed_column_is_refused_by_the_registry(
    stocked_shop: Shop, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    stocked_shop.connection.execute(RENAME.encode())
    stocked_shop.change_price("tea", "5.00")
    with pytest.raises(ConnectorFailed, match="Incompatible artifact"):
        change_events("products")


@pytest.mark.debezium(avro=True)
def test_a_renamed_column_passes_where_compatibility_is_not_asked_for(
    stocked_shop: Shop,
    debezium_connector: Connector,
    schema_registry_client: SchemaRegistryClient,
    change_events: ChangeEvents,
) -> None:
    assert len(list(change_events("products"))) == 3
    subject = f"{debezium_connector.topic('products')}-value"
    schema_registry_client.set_compatibility(subject, level="NONE")
    stocked_shop.connection.execute(RENAME.encode())
    stocked_shop.change_price("tea", "5.00")
    *_, last = change_events("products")
    assert last.after is not None
    assert last.after["name"] == "Green tea"
