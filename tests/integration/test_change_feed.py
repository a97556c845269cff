"""Changes of Delta and Iceberg tables, with Spark and without, and the errors of asking wrongly."""

from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakebed.cdc.change_feed import change_feed as feed_of
from lakebed.cdc.comparison import assert_same_rows
from lakebed.cdc.rows import Rows
from lakebed.config.change_feed import ChangeType
from lakebed.errors import (
    ChangeFeedDisabled,
    ChangeFeedRangeInvalid,
    ChangeFeedUnavailable,
    TableUnknown,
    VersionExpired,
    VersionUnknown,
)
from lakebed.pytest_plugin.tables import ChangeFeeds

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

ENABLED = {"delta.enableChangeDataFeed": "true"}
ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["a", "b", "c"]})
SECOND = datetime.timedelta(seconds=1)
UTC = datetime.timezone.utc


def counts(rows: Rows) -> Counter[tuple[int, str]]:
    table = rows.table()
    return Counter(zip(table["_commit_version"].to_pylist(), table["_change_type"].to_pylist(), strict=True))


ALL = Counter(
    {
        (0, "insert"): 3,
        (1, "update_preimage"): 1,
        (1, "update_postimage"): 1,
        (2, "delete"): 1,
        (3, "insert"): 3,
    }
)


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A table in a folder, changed by delta-rs: inserts, an update, a delete, inserts."""
    path = str(tmp_path / "table")
    write_deltalake(path, ROWS, configuration=ENABLED)
    DeltaTable(path).update(updates={"name": "'z'"}, predicate="id = 2")
    DeltaTable(path).delete("id = 3")
    write_deltalake(path, ROWS, mode="append")
    return path


def test_spark_and_delta_rs_tell_the_same_changes_row_for_row(
    spark_session: SparkSession, delta_table_path: str, change_feed: ChangeFeeds
) -> None:
    rows = spark_session.range(1, 101).selectExpr(
        "id",
        "concat('row ', id) AS name",
        "timestamp_seconds(id) AS at",
        "cast(id AS decimal(9, 2)) AS price",
        "array(id, null) AS many",
        "struct(id AS x, timestamp_seconds(id) AS at) AS both",
        "map('a', id) AS named",
        "encode(cast(id AS string), 'utf-8') AS data",
        "date_from_unix_date(cast(id AS int)) AS day",
    )
    rows.write.format("delta").save(delta_table_path)
    table = f"delta.`{delta_table_path}`"
    spark_session.sql(f"UPDATE {table} SET name = 'changed' WHERE id <= 10")
    spark_session.sql(f"DELETE FROM {table} WHERE id > 90")
    spark_session.sql(
        f"MERGE INTO {table} t USING (SELECT * FROM {table} WHERE id = 5) s ON t.id = s.id + 1"
        " WHEN MATCHED THEN UPDATE SET name = 'merged'"
    )
    plain = change_feed(delta_table_path)
    with_spark = change_feed(delta_table_path, spark=spark_session)
    assert counts(plain) == {
        (0, "insert"): 100,
        (1, "update_preimage"): 10,
        (1, "update_postimage"): 10,
        (2, "delete"): 10,
        (3, "update_preimage"): 1,
        (3, "update_postimage"): 1,
    }
    assert {kind for _, kind in counts(plain)} == {kind.value for kind in ChangeType}
    assert_same_rows(with_spark, plain)
    assert_same_rows(with_spark, plain, ["id", "_commit_version", "_change_type"])
    assert plain.schema == with_spark.schema
    contract = {"_change_type": pa.string(), "_commit_version": pa.int64()}
    contract["_commit_timestamp"] = pa.timestamp("us", "UTC")
    for name, kind in contract.items():
        assert plain.schema.field(name).type == kind
    # And from a time on, of which both have the same understanding.
    times = {row["_commit_version"]: row["_commit_timestamp"] for row in plain.table().to_pylist()}
    from_second = {"from_timestamp": times[2]}
    assert counts(change_feed(delta_table_path, **from_second)) == {
        key: count for key, count in counts(plain).items() if key[0] >= 2
    }
    assert_same_rows(
        change_feed(delta_table_path, **from_second, spark=spark_session),
        change_feed(delta_table_path, **from_second),
    )


@pytest.mark.parametrize(("start", "end"), [(None, None), (0, 3), (1, None), (None, 1), (2, 2), (3, 3)])
def test_a_range_of_versions_has_both_its_ends(table: str, start: int | None, end: int | None) -> None:
    low, high = start or 0, 3 if end is None else end
    expected = {key: count for key, count in ALL.items() if low <= key[0] <= high}
    assert counts(feed_of(table, from_version=start, to_version=end)) == expected


def test_a_range_of_times_has_what_was_committed_in_it(table: str) -> None:
    feed = feed_of(table).table()
    times = dict(zip(feed["_commit_version"].to_pylist(), feed["_commit_timestamp"].to_pylist(), strict=True))
    assert sorted(times.values()) == [times[version] for version in range(4)]
    assert counts(feed_of(table, from_timestamp=times[1], to_timestamp=times[2])) == {
        key: count for key, count in ALL.items() if 1 <= key[0] <= 2
    }
    assert counts(feed_of(table, from_timestamp=times[0] - SECOND, to_timestamp=times[3] + SECOND)) == ALL
    with pytest.raises(VersionUnknown, match="nothing was committed at or after"):
        feed_of(table, from_timestamp=times[3] + SECOND).table()
    with pytest.raises(VersionUnknown, match="nothing was committed at or before"):
        feed_of(table, to_timestamp=times[0] - SECOND).table()
    with pytest.raises(ChangeFeedRangeInvalid, match="is after"):
        feed_of(table, from_timestamp=times[2], to_timestamp=times[1]).table()


def test_a_range_that_contradicts_itself_is_refused_before_the_table_is_opened() -> None:
    now = datetime.datetime.now(UTC)
    with pytest.raises(ChangeFeedRangeInvalid, match="not both"):
        feed_of("nowhere", from_version=1, from_timestamp=now)
    with pytest.raises(ChangeFeedRangeInvalid, match="not both"):
        feed_of("nowhere", to_version=1, to_timestamp=now)
    with pytest.raises(ChangeFeedRangeInvalid, match="swap"):
        feed_of("nowhere", from_version=2, to_version=1)
    with pytest.raises(ChangeFeedRangeInvalid, match="no time zone"):
        feed_of("nowhere", from_timestamp=now.replace(tzinfo=None))


@pytest.mark.parametrize("asked", [{"from_version": 4}, {"to_version": 4}, {"from_version": -1}])
def test_a_version_that_is_not_there_yet_is_told_with_the_newest(table: str, asked: dict[str, Any]) -> None:
    with pytest.raises(VersionUnknown, match="its newest version is 3"):
        feed_of(table, **asked).table()


def test_no_table_at_the_path(tmp_path: Path) -> None:
    with pytest.raises(TableUnknown, match="no Delta table is there"):
        feed_of(str(tmp_path)).table()


@pytest.mark.parametrize("version", [0, 1])
def test_a_table_without_a_feed_is_told_how_to_get_one(tmp_path: Path, version: int) -> None:
    path = str(tmp_path / "table")
    write_deltalake(path, ROWS)
    write_deltalake(path, ROWS, mode="append")
    with pytest.raises(ChangeFeedDisabled, match=r"SET TBLPROPERTIES \(delta.enableChangeDataFeed = true\)"):
        feed_of(path, from_version=version).table()


def test_a_feed_that_began_later_is_read_from_there(tmp_path: Path) -> None:
    path = str(tmp_path / "table")
    write_deltalake(path, ROWS)
    DeltaTable(path).alter.set_table_properties(ENABLED)
    write_deltalake(path, ROWS, mode="append")
    assert counts(feed_of(path, from_version=1)) == {(2, "insert"): 3}
    with pytest.raises(ChangeFeedDisabled, match="at version 0"):
        feed_of(path).table()


def test_changes_that_were_vacuumed_are_told_so(table: str) -> None:
    DeltaTable(table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    for file in (Path(table) / "_change_data").glob("*"):
        file.unlink()
    with pytest.raises(VersionExpired, match="VACUUM"):
        feed_of(table).table()
    assert counts(feed_of(table, from_version=3)) == {(3, "insert"): 3}


def test_versions_whose_log_was_cleaned_up_are_told_so(table: str) -> None:
    DeltaTable(table).create_checkpoint()
    for version in range(2):
        (Path(table) / "_delta_log" / f"{version:020}.json").unlink()
    with pytest.raises(VersionExpired, match="its log begins with version 2"):
        feed_of(table).table()


def test_spark_tells_the_same_errors(
    spark_session: SparkSession, delta_table_path: str, change_feed: ChangeFeeds
) -> None:
    with pytest.raises(TableUnknown):
        change_feed(delta_table_path, spark=spark_session).table()
    spark_session.range(3).write.format("delta").option("delta.enableChangeDataFeed", "false").save(
        delta_table_path
    )
    with pytest.raises(ChangeFeedDisabled):
        change_feed(delta_table_path, spark=spark_session).table()
    with pytest.raises(VersionUnknown):
        change_feed(delta_table_path, from_version=1, spark=spark_session).table()


@pytest.mark.lakebed("iceberg-rest")
def test_spark_and_pyiceberg_tell_the_same_changes_of_an_iceberg_table(
    spark_session: SparkSession, iceberg_catalog: Catalog, iceberg_namespace: str, change_feed: ChangeFeeds
) -> None:
    identifier = f"{iceberg_namespace}.items"
    name = f"iceberg.{identifier}"
    spark_session.sql(
        f"CREATE TABLE {name} (id bigint, name string, at timestamp, price decimal(9, 2), day date)"
        " USING iceberg"
    )
    spark_session.sql(
        f"INSERT INTO {name} SELECT id, concat('row ', id), timestamp_seconds(id), id, date_from_unix_date(0)"
        " FROM range(1, 21)"
    )
    spark_session.sql(f"UPDATE {name} SET name = 'changed' WHERE id <= 3")
    spark_session.sql(f"DELETE FROM {name} WHERE id > 18")
    spark_session.sql(f"INSERT INTO {name} VALUES (30, NULL, NULL, NULL, NULL)")
    table = iceberg_catalog.load_table(identifier)
    snapshots = [entry.snapshot_id for entry in table.history()]
    plain = change_feed.iceberg(identifier, "id")
    assert counts(plain) == {
        (snapshots[0], "insert"): 20,
        (snapshots[1], "update_preimage"): 3,
        (snapshots[1], "update_postimage"): 3,
        (snapshots[2], "delete"): 2,
        (snapshots[3], "insert"): 1,
    }
    with_spark = change_feed.iceberg(identifier, "id", spark=spark_session)
    assert_same_rows(with_spark, plain)
    assert with_spark.schema == plain.schema
    ends = snapshots[0], snapshots[2]
    some = change_feed.iceberg(identifier, "id", *ends)
    assert {version for version, _ in counts(some)} == set(snapshots[1:3])
    assert_same_rows(change_feed.iceberg(identifier, "id", *ends, spark=spark_session), some)


def test_bad_ranges_and_keys_of_an_iceberg_table(
    iceberg_catalog: Catalog, iceberg_namespace: str, change_feed: ChangeFeeds
) -> None:
    identifier = f"{iceberg_namespace}.items"
    with pytest.raises(TableUnknown):
        change_feed.iceberg(identifier, "id").table()
    table = iceberg_catalog.create_table(identifier, ROWS.schema)
    assert change_feed.iceberg(identifier, "id").table().num_rows == 0
    table.append(ROWS)
    table.append(ROWS)
    snapshots = [entry.snapshot_id for entry in table.history()]
    assert counts(change_feed.iceberg(identifier, "id", to_snapshot_id=snapshots[0])) == {
        (snapshots[0], "insert"): 3
    }
    with pytest.raises(VersionUnknown):
        change_feed.iceberg(identifier, "id", 1).table()
    with pytest.raises(ChangeFeedRangeInvalid, match="no ancestor"):
        change_feed.iceberg(identifier, "id", snapshots[1], snapshots[0]).table()
    with pytest.raises(ChangeFeedUnavailable, match="no column no"):
        change_feed.iceberg(identifier, "no").table()
    with pytest.raises(ChangeFeedUnavailable, match="3 keys of id are there more than once"):
        change_feed.iceberg(identifier, "id").table()
