"""The shop's tables in Delta Lake and Iceberg: equal to the source, whatever happens there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakebed.cdc.comparison import assert_converges, assert_same_rows
from lakebed.errors import RowsDiffer
from lakebed.pytest_plugin.pipelines import CdcPipeline
from lakebed.pytest_plugin.tables import TableRows
from shop import Shop

pytestmark = pytest.mark.debezium(avro=True)

AssertEqual = Callable[[], None]


@pytest.fixture
def assert_equal(
    lake: CdcPipeline, table_rows: TableRows, delta_table_path: str, iceberg_namespace: str
) -> AssertEqual:
    """Bring in what is there, and compare both tables with the source."""

    def check() -> None:
        lake.run_available()
        source = table_rows.postgres("products")
        assert_same_rows(source, table_rows.delta(delta_table_path))
        assert_same_rows(source, table_rows.iceberg(f"{iceberg_namespace}.products"))

    return check


def test_inserts_updates_and_deletes(stocked_shop: Shop, assert_equal: AssertEqual) -> None:
    # What was there before the connector came is equal first.
    assert_equal()
    stocked_shop.add_product("pot", "20.00", picture=b"\x00\x01")
    stocked_shop.change_price("tea", "5.00")
    stocked_shop.connection.execute("DELETE FROM products WHERE sku = 'mug'")
    assert_equal()


def test_the_whole_catalogue_can_go_after_many_changes_of_one_row(
    stocked_shop: Shop, delta_lake: CdcPipeline, table_rows: TableRows, delta_table_path: str
) -> None:
    for cents in range(100):
        stocked_shop.change_price("tea", f"4.{cents:02}")
    delta_lake.run_available()
    assert_same_rows(table_rows.postgres("products"), table_rows.delta(delta_table_path))
    stocked_shop.connection.execute("DELETE FROM products")
    delta_lake.run_available()
    assert_same_rows(table_rows.postgres("products"), table_rows.delta(delta_table_path))


def test_a_product_that_comes_back_or_gets_a_new_number_is_there_once(
    stocked_shop: Shop, iceberg_lake: CdcPipeline, table_rows: TableRows, iceberg_namespace: str
) -> None:
    iceberg_lake.run_available()
    for price in ("1.00", "2.00"):
        stocked_shop.connection.execute("DELETE FROM products WHERE sku = 'mug'")
        stocked_shop.add_product("mug", price)
    stocked_shop.renumber("tea", "tea-2")
    iceberg_lake.run_available()
    assert_same_rows(table_rows.postgres("products"), table_rows.iceberg(f"{iceberg_namespace}.products"))


def test_a_new_column_is_there_in_both(stocked_shop: Shop, assert_equal: AssertEqual) -> None:
    assert_equal()
    stocked_shop.connection.execute("ALTER TABLE products ADD vegan boolean")
    stocked_shop.connection.execute("UPDATE products SET vegan = (sku <> 'cake')")
    assert_equal()


def test_it_follows_while_the_shop_is_open_and_converges(
    stocked_shop: Shop, delta_lake: CdcPipeline, table_rows: TableRows, delta_table_path: str
) -> None:
    delta_lake.start()
    for number in range(20):
        stocked_shop.add_product(f"pot-{number}", "20.00")
        stocked_shop.change_price("tea", f"{number}.50")
    delta_lake.wait_until_caught_up()
    assert_same_rows(table_rows.postgres("products"), table_rows.delta(delta_table_path))
    stocked_shop.change_price("tea", "7.77")
    assert_converges(table_rows.postgres("products"), table_rows.delta(delta_table_path), deadline_seconds=30)


def test_what_differs_is_named(
    stocked_shop: Shop, delta_lake: CdcPipeline, table_rows: TableRows, delta_table_path: str
) -> None:
    delta_lake.run_available()
    stocked_shop.change_price("tea", "9.99")
    with pytest.raises(RowsDiffer, match="price") as caught:
        assert_same_rows(table_rows.postgres("products"), table_rows.delta(delta_table_path))
    assert "4.50" in str(caught.value)
    assert "9.99" in str(caught.value)
