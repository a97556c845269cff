"""What the shop looked like before: versions, snapshots and the change data feed."""

from __future__ import annotations

from collections import Counter

import pytest
from pyiceberg.catalog import Catalog
from shop import Shop

from lakebed.cdc.comparison import assert_same_rows
from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.change_feed import ChangeFeed
from lakebed.pytest_plugin.pipelines import CdcPipeline, CdcPipelines
from lakebed.pytest_plugin.rows import TableRows

pytestmark = pytest.mark.debezium(avro=True)


@pytest.fixture
def lake(
    stocked_shop: Shop,
    debezium_connector: Connector,
    cdc_pipeline: CdcPipelines,
    delta_table_path: str,
    iceberg_namespace: str,
) -> CdcPipeline:
    """The pipeline of the products, after the snapshot."""
    pipeline = cdc_pipeline(
        debezium_connector, "products", delta=delta_table_path, iceberg=f"{iceberg_namespace}.products"
    )
    pipeline.run_available()
    return pipeline


def test_an_older_version_of_the_delta_table_is_as_it_was(
    stocked_shop: Shop, lake: CdcPipeline, table_rows: TableRows, delta_table_path: str
) -> None:
    before = table_rows.delta(delta_table_path)
    version = before.version
    rows = before.to_table()
    stocked_shop.change_price("tea", "5.00")
    stocked_shop.connection.execute("DELETE FROM products WHERE sku = 'mug'")
    lake.run_available()
    assert_same_rows(rows, table_rows.delta(delta_table_path, version=version), key=["sku"])
