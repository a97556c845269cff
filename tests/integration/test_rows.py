"""Rows of PostgreSQL, Delta, Iceberg and Spark as streams, and comparing them."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyiceberg.catalog import Catalog

from lakebed.cdc.comparison import assert_converges, assert_same_rows, differences
from lakebed.cdc.rows import rows_of
from lakebed.errors import NotConverged, RowsUnreadable, TableUnknown, VersionUnknown
from lakebed.pytest_plugin.tables import TableRows
from lakebed.services.s3 import storage_options
from lakebed.stack.addresses import Addresses

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WIDE = """
    CREATE TYPE mood AS ENUM ('glad', 'sad');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TABLE wide (
        id int PRIMARY KEY, flag boolean, small smallint, big bigint, single real, twice float8,
        price numeric(10, 2), digits numeric, name text, short varchar(5), padded char(4), data bytea,
        code uuid, doc json, docs jsonb, day date, clock time, zoned timetz, local timestamp,
        instant timestamptz, lasts interval, cents money, host inet, feels mood, counted positive,
        many int[], prices numeric[], names text[], instants timestamptz[], codes uuid[], hosts inet[],
        place point, bits bit(3), page xml, number oid, reach int4range);
    INSERT INTO wide VALUES (
        1, true, 1, 2, 0.1, 0.1, 1.20, 12345678901234567890123456789012345678901234567890.5, 'ä', 'v', 'c',
        '\\x00ff', '6e1f2a30-0000-4000-8000-000000000001', '{"b": 1, "a": [1.0]}', '{"b": 1, "a": [1.0]}',
        '2026-01-02', '10:11:12.123456', '10:11:12+02', '2026-01-02 03:04:05.123456',
        '2026-01-02 03:04:05.123456+01', '1 month 2 days', 12.5, '10.0.0.1', 'glad', 5, '{1, NULL}',
        '{1.20, NULL}', '{x, NULL}', '{2026-01-01 00:00:00+00}', '{6e1f2a30-0000-4000-8000-000000000001}',
        '{10.0.0.1}', '(1, 2)', b'101', '<a/>', 4294967295, '[1, 3)');
    INSERT INTO wide (id) VALUES (2);
    INSERT INTO wide (id, single, twice, digits) VALUES (3, 'NaN', '-Infinity', 'NaN')"""

UTC = datetime.timezone.utc


def fill(connection: psycopg.Connection[Any], statements: str) -> None:
    connection.execute(statements.encode())


def test_every_type_of_postgres_comes_as_it_is(
    postgres_connection: psycopg.Connection[Any], table_rows: TableRows
) -> None:
    fill(postgres_connection, WIDE)
    rows = table_rows.postgres("wide")
    first = rows.table().to_pylist()[0]
    assert first["price"] == "1.20"
    assert first["digits"] == "12345678901234567890123456789012345678901234567890.5"
    assert (first["cents"], first["number"]) == ("12.50", 4294967295)
    assert (first["host"], first["hosts"], first["reach"]) == ("10.0.0.1/32", ["10.0.0.1/32"], "[1,3)")
    assert (first["lasts"], first["zoned"], first["place"]) == ("1 mon 2 days", "10:11:12+02", "(1,2)")
    assert (first["bits"], first["page"], first["feels"]) == ("101", "<a/>", "glad")
    assert first["instant"] == datetime.datetime(2026, 1, 2, 2, 4, 5, 123456, UTC)
    # All rows again, which Python reads by itself, and the same.
    assert_same_rows(rows, rows)
    assert_same_rows(rows, table_rows.postgres("SELECT * FROM wide ORDER BY id DESC"), "id")
    assert rows.find_key() == ("id",)


def test_each_column_of_a_wide_row_is_compared(
    postgres_connection: psycopg.Connection[Any], table_rows: TableRows
) -> None:
    fill(postgres_connection, WIDE)
    names = [name for name in table_rows.postgres("wide").schema.names if name != "id"]
    nothing = ", ".join(f"NULL AS {name}" for name in names)
    found = differences(table_rows.postgres("wide"), table_rows.postgres(f"SELECT 1 AS id, {nothing}"))
    assert found.missing == 2
    assert found.differing_by_column == dict.fromkeys(names, 1)


def test_arrays_that_the_driver_would_flatten_are_refused(
    postgres_connection: psycopg.Connection[Any], table_rows: TableRows
) -> None:
    fill(postgres_connection, "CREATE TABLE matrices (id int PRIMARY KEY, m int[], n int[])")
    fill(postgres_connection, "INSERT INTO matrices VALUES (1, '{{1,2},{3,4}}', '{1}')")
    with pytest.raises(RowsUnreadable, match="columns m hold arrays of several dimensions"):
        table_rows.postgres("matrices").table()
    rows = table_rows.postgres("SELECT id, m::text AS m FROM matrices").table()
    assert rows.to_pylist() == [{"id": 1, "m": "{{1,2},{3,4}}"}]


def test_the_key_of_a_table_is_found_in_the_order_of_the_key(
    postgres_connection: psycopg.Connection[Any], table_rows: TableRows
) -> None:
    fill(
        postgres_connection,
        'CREATE SCHEMA odd; CREATE TABLE odd."T 1" (a int, "B" int, PRIMARY KEY ("B", a))',
    )
    fill(postgres_connection, "CREATE TABLE keyless (a int)")
    assert table_rows.postgres('odd."T 1"').find_key() == ("B", "a")
    assert table_rows.postgres("keyless").find_key() == ()
    assert table_rows.postgres('SELECT * FROM odd."T 1"').find_key() == ()


def test_rows_are_read_anew_each_time_and_only_what_is_committed(
    postgres_connection: psycopg.Connection[Any], table_rows: TableRows
) -> None:
    fill(postgres_connection, "CREATE TABLE t (id int PRIMARY KEY)")
    rows = table_rows.postgres("t")
    assert rows.table().num_rows == 0
    with postgres_connection.transaction():
        fill(postgres_connection, "INSERT INTO t VALUES (1)")
        assert rows.table().num_rows == 0
    assert rows.table().num_rows == 1


def test_a_table_that_is_not_there_is_named_with_those_that_are(
    postgres_connection: psycopg.Connection[Any], table_rows: TableRows
) -> None:
    fill(postgres_connection, "CREATE TABLE orders (id int)")
    with pytest.raises(TableUnknown, match="it has: orders"):
        table_rows.postgres("order").table()
    with pytest.raises(RowsUnreadable, match="nonsense") as caught:
        table_rows.postgres("SELECT nonsense FROM orders").table()
    assert postgres_connection.info.password not in str(caught.value)
    assert postgres_connection.info.password not in repr(table_rows.postgres("orders"))


LAKE = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "price": pa.array([Decimal("1.20"), None, Decimal("-3.00")], pa.decimal128(18, 4)),
        "at": pa.array([datetime.datetime(2026, 1, 2, 3, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC")),
        "twice": pa.array([0.1, float("nan"), None]),
        "day": pa.array([datetime.date(2026, 1, 2)] * 3),
        "data": pa.array([b"\x00", b"", None]),
        "tags": pa.array([["a", None], [], None], pa.list_(pa.string())),
        "code": ["6e1f2a30-0000-4000-8000-000000000001"] * 3,
    }
)
SOURCE = """
    CREATE TABLE items (
        id int PRIMARY KEY, price numeric(10, 2), at timestamptz, twice float8, day date, data bytea,
        tags text[], code uuid);
    INSERT INTO items SELECT id, price, '2026-01-02 03:00:00Z', twice, '2026-01-02', data, tags,
        '6e1f2a30-0000-4000-8000-000000000001'
    FROM (VALUES (1, 1.20, 0.1, '\\x00'::bytea, '{a,NULL}'::text[]), (2, NULL, 'NaN'::float8, '', '{}'),
        (3, -3, NULL, NULL, NULL)) AS v (id, price, twice, data, tags)"""


def test_postgres_delta_iceberg_and_lists_hold_the_same_rows(
    postgres_connection: psycopg.Connection[Any],
    delta_table_path: str,
    iceberg_catalog: Catalog,
    iceberg_namespace: str,
    table_rows: TableRows,
    lakebed_stack: Any,
) -> None:
    fill(postgres_connection, SOURCE)
    path = delta_table_path.replace("s3a://", "s3://")
    options = storage_options(lakebed_stack.need("s3").s3_endpoint)
    write_deltalake(path, LAKE, storage_options=options)
    identifier = f"{iceberg_namespace}.items"
    table = iceberg_catalog.create_table(identifier, LAKE.schema)
    table.append(LAKE)
    first_snapshot = table.current_snapshot()
    source = table_rows.postgres("items")
    for target in (table_rows.delta(delta_table_path), table_rows.iceberg(identifier), LAKE.to_pylist()):
        assert_same_rows(source, target)
        assert_same_rows(target, source, columns=["price", "tags"])
    frame = LAKE.select(["id", "price", "day"]).to_pandas()
    assert_same_rows(source, frame, columns=["price", "day"])
    tuples = [tuple(row.values()) for row in LAKE.to_pylist()]
    assert_same_rows(table_rows.delta(delta_table_path), tuples)

    # Later versions are others; the first stays what it was.
    write_deltalake(path, LAKE.slice(1), storage_options=options, mode="overwrite")
    table.overwrite(LAKE.slice(1))
    for target in (table_rows.delta(delta_table_path), table_rows.iceberg(identifier)):
        assert differences(source, target).lines() == ["3 rows against 2", "1 rows missing"]
    assert_same_rows(source, table_rows.delta(delta_table_path, version=0))
    assert first_snapshot is not None
    assert_same_rows(source, table_rows.iceberg(identifier, first_snapshot.snapshot_id))
    with pytest.raises(VersionUnknown, match="its newest version is 1"):
        table_rows.delta(delta_table_path, version=2).table()
    with pytest.raises(VersionUnknown, match=f"oldest first: {first_snapshot.snapshot_id}"):
        table_rows.iceberg(identifier, 1).table()


def test_lake_tables_that_are_not_there_are_named(
    tmp_path: Path, delta_table_path: str, iceberg_namespace: str, table_rows: TableRows
) -> None:
    for path in (delta_table_path, str(tmp_path), str(tmp_path / "none")):
        with pytest.raises(TableUnknown, match="no Delta table is there"):
            table_rows.delta(path).table()
    with pytest.raises(TableUnknown, match=f"it has in {iceberg_namespace}: none"):
        table_rows.iceberg(f"{iceberg_namespace}.none").table()


def test_a_spark_frame_is_read_without_a_python_object_for_each_row(
    spark_session: SparkSession, delta_table_path: str, table_rows: TableRows
) -> None:
    frame = spark_session.range(1000).selectExpr(
        "id",
        "concat('row ', id) AS name",
        "timestamp_seconds(id) AS at",
        "cast(id / 4 AS decimal(9, 2)) AS price",
    )
    frame.write.format("delta").save(delta_table_path)
    assert_same_rows(frame, table_rows.delta(delta_table_path), "id")
    found = differences(frame, frame.where("id <> 7"), "id")
    assert [row.row["name"] for row in found.first_missing] == ["row 7"]
    assert rows_of(frame.limit(0)).schema.names == ["id", "name", "at", "price"]


def test_tables_that_become_the_same_are_waited_for(
    tmp_path: Path, postgres_connection: psycopg.Connection[Any], table_rows: TableRows
) -> None:
    fill(postgres_connection, "CREATE TABLE t (id int PRIMARY KEY)")
    fill(postgres_connection, "INSERT INTO t SELECT generate_series(1, 3)")
    path, steps = str(tmp_path / "table"), [1, 2, 3]

    def advance() -> None:
        write_deltalake(path, pa.table({"id": [steps.pop(0)]}), mode="append")

    assert_converges(table_rows.postgres("t"), table_rows.delta(path), deadline_seconds=60, advance=advance)
    assert steps == []


def test_tables_that_stay_different_are_told_with_what_differed_last(
    tmp_path: Path, postgres_connection: psycopg.Connection[Any], table_rows: TableRows
) -> None:
    fill(postgres_connection, "CREATE TABLE t (id int PRIMARY KEY)")
    fill(postgres_connection, "INSERT INTO t VALUES (1)")
    path = str(tmp_path / "table")
    options: dict[str, Any] = {"deadline_seconds": 0.1, "explain": lambda: "the pipeline is off"}
    with pytest.raises(NotConverged, match="no Delta table is there") as caught:
        assert_converges(table_rows.postgres("t"), table_rows.delta(path), **options)
    assert caught.value.differences is None
    write_deltalake(path, pa.table({"id": [2]}))
    with pytest.raises(NotConverged, match="the pipeline is off") as caught:
        assert_converges(table_rows.postgres("t"), table_rows.delta(path), **options)
    assert caught.value.differences is not None
    assert (caught.value.differences.missing, caught.value.differences.extra) == (1, 1)
    assert isinstance(caught.value, AssertionError)


def test_addresses_of_other_stacks_need_no_fixture(addresses: Addresses) -> None:
    from lakebed.cdc.rows import delta_rows

    with pytest.raises(TableUnknown):
        delta_rows(addresses.s3_endpoint, "s3a://delta/none").table()
