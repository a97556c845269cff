"""What the shop looked like before: versions, snapshots and the change data feed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pyiceberg.catalog import Catalog

from lakebed.cdc.comparison import assert_same_rows
from lakebed.pytest_plugin.pipelines import CdcPipeline
from lakebed.pytest_plugin.tables import ChangeFeeds, TableRows
from shop import Shop

pytestmark = pytest.mark.debezium(avro=True)

# Version 0 is the empty table that the pipeline makes.
AFTER_THE_SNAPSHOT = 1


@pytest.fixture
def lake(delta_lake: CdcPipeline) -> CdcPipeline:
    """Delta Lake, with the products in it."""
    delta_lake.run_available()
    return delta_lake


def test_an_older_version_of_the_delta_table_is_as_it_was(
    stocked_shop: Shop, lake: CdcPipeline, table_rows: TableRows, delta_table_path: str
) -> None:
    before = table_rows.postgres("products").table()
    stocked_shop.change_price("tea", "5.00")
    stocked_shop.connection.execute("DELETE FROM products WHERE sku = 'mug'")
    lake.run_available()
    assert_same_rows(before, table_rows.delta(delta_table_path, version=AFTER_THE_SNAPSHOT), key="sku")
    assert_same_rows(table_rows.postgres("products"), table_rows.delta(delta_table_path))


def test_an_older_snapshot_of_the_iceberg_table_is_as_it_was(
    stocked_shop: Shop,
    iceberg_lake: CdcPipeline,
    table_rows: TableRows,
    iceberg_catalog: Catalog,
    iceberg_namespace: str,
) -> None:
    iceberg_lake.run_available()
    identifier = f"{iceberg_namespace}.products"
    snapshot = iceberg_catalog.load_table(identifier).current_snapshot()
    assert snapshot is not None
    before = table_rows.postgres("products").table()
    stocked_shop.renumber("tea", "tea-2")
    iceberg_lake.run_available()
    assert_same_rows(before, table_rows.iceberg(identifier, snapshot.snapshot_id), key="sku")
    assert_same_rows(table_rows.postgres("products"), table_rows.iceberg(identifier))


def test_the_feed_tells_each_kind_of_change_once_and_the_row_before_and_after(
    stocked_shop: Shop, lake: CdcPipeline, change_feed: ChangeFeeds, delta_table_path: str
) -> None:
    # Several changes of one row in one batch are one change of the table.
    for price in ("4.60", "4.70", "5.00"):
        stocked_shop.change_price("tea", price)
    stocked_shop.connection.execute("DELETE FROM products WHERE sku = 'mug'")
    stocked_shop.add_product("pot", "20.00")
    lake.run_available()
    feed = change_feed(delta_table_path, from_version=AFTER_THE_SNAPSHOT + 1).table().to_pylist()
    assert len(feed) == 4
    assert {(row["_change_type"], row["sku"], row["price"]) for row in feed} == {
        ("update_preimage", "tea", Decimal("4.50")),
        ("update_postimage", "tea", Decimal("5.00")),
        ("delete", "mug", Decimal("9.00")),
        ("insert", "pot", Decimal("20.00")),
    }
