"""What the tests of the shop share."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.pipelines import CdcPipeline, CdcPipelines
from shop import Shop


@pytest.fixture
def shop(postgres_connection: Connection[Any]) -> Shop:
    """A shop with an empty database of its own."""
    return Shop(postgres_connection)


@pytest.fixture
def stocked_shop(shop: Shop) -> Shop:
    """A shop with three products and two customers."""
    shop.add_product("tea", "4.50", "Green tea", tags=["drink", "green"], weight_kg=0.25)
    shop.add_product("mug", "9.00", "Mug")
    shop.add_product("cake", "3.20", "Lemon cake", tags=["food"])
    shop.register("ada@example.com", "Ada")
    shop.register("bob@example.com", "Bob")
    return shop


@pytest.fixture
def lake(
    stocked_shop: Shop,
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    delta_table_path: str,
    iceberg_namespace: str,
) -> CdcPipeline:
    """The pipeline of the products, in both formats. It reads Avro: `@pytest.mark.debezium(avro=True)`."""
    return cdc_pipeline(
        debezium_connector, "products", delta=delta_table_path, iceberg=f"{iceberg_namespace}.products"
    )


@pytest.fixture
def delta_lake(
    stocked_shop: Shop, debezium_connector: Connector, cdc_pipeline: CdcPipelines, delta_table_path: str
) -> CdcPipeline:
    """The same into Delta Lake only."""
    return cdc_pipeline(debezium_connector, "products", delta=delta_table_path)


@pytest.fixture
def iceberg_lake(
    stocked_shop: Shop, debezium_connector: Connector, cdc_pipeline: CdcPipelines, iceberg_namespace: str
) -> CdcPipeline:
    """The same into Iceberg only."""
    return cdc_pipeline(debezium_connector, "products", iceberg=f"{iceberg_namespace}.products")
