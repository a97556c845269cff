"""The changes of an Iceberg table between two snapshots, in the form of Delta's change data feed.

Each change has the table's columns and `_change_type` (insert, update_preimage, update_postimage, delete),
`_commit_version` (BIGINT, here the snapshot's id) and `_commit_timestamp` (TIMESTAMP, the snapshot's time).

Iceberg keeps files, not changes. What happened within one commit is told from the rows before and after it,
by the key: a row that was changed twice in one commit, or changed and changed back, is seen as what came out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from lakebed.cdc import spark_rows
from lakebed.cdc.change_feed import CHANGE_TYPE, COMMIT_TIMESTAMP, COMMIT_VERSION, plain_type
from lakebed.cdc.lake_rows import check_snapshot, open_iceberg, read_iceberg_table
from lakebed.cdc.rows import Rows
from lakebed.cdc.snapshot_changes import changes_between
from lakebed.config.change_feed import ChangeType
from lakebed.errors import ChangeFeedRangeInvalid, ChangeFeedUnavailable, VersionUnknown
from lakebed.services.spark import ICEBERG_CATALOG

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot
    from pyspark.sql import SparkSession

# What Spark's procedure calls them (Iceberg documentation, "Spark Procedures", create_changelog_view).
_SPARK_TYPES = {
    "INSERT": ChangeType.INSERT,
    "UPDATE_BEFORE": ChangeType.UPDATE_PREIMAGE,
    "UPDATE_AFTER": ChangeType.UPDATE_POSTIMAGE,
    "DELETE": ChangeType.DELETE,
}


def iceberg_changes(
    catalog: Catalog,
    identifier: str,
    key: str | Sequence[str],
    from_snapshot_id: int | None = None,
    to_snapshot_id: int | None = None,
    *,
    spark: SparkSession | None = None,
    name: str | None = None,
) -> Rows:
    """Return the changes that led from one snapshot of an Iceberg table to another.

    Args:
        catalog: PyIceberg's.
        identifier: `namespace.table`.
        key: the column or columns that identify a row, in every snapshot.
        from_snapshot_id: changes after this one; without it, from the empty table on.
        to_snapshot_id: changes up to this one, included; without it, the newest.
        spark: reads with this session's procedure `create_changelog_view`; without it PyIceberg reads both
            snapshots of each commit, and DuckDB compares them.
        name: for messages.

    Reading raises TableUnknown, VersionUnknown (no such snapshot, or expired), ChangeFeedRangeInvalid (the
    one is no ancestor of the other), ChangeFeedUnavailable (a key that is there twice, a column that came or
    went).
    """
    keys = (key,) if isinstance(key, str) else tuple(key)
    ends = from_snapshot_id, to_snapshot_id
    return Rows(name or f"changes of {identifier}", partial(_read, catalog, identifier, keys, ends, spark))


def _read(
    catalog: Catalog,
    identifier: str,
    key: tuple[str, ...],
    ends: tuple[int | None, int | None],
    spark: SparkSession | None,
) -> pa.RecordBatchReader:
    import pyarrow as pa

    table = open_iceberg(catalog, identifier)
    snapshots = _snapshots(table, identifier, *ends)
    rows = table.scan().to_arrow_batch_reader().schema
    missing = [column for column in key if column not in rows.names]
    if missing or not key:
        raise ChangeFeedUnavailable(
            f"read the changes of the Iceberg table {identifier}",
            f"it has no column {', '.join(missing)}" if missing else "no key is given",
            f"give a key of its columns: {', '.join(rows.names)}",
        )
    schema = pa.schema(
        [
            *(pa.field(field.name, plain_type(field.type)) for field in rows),
            pa.field(CHANGE_TYPE, pa.string()),
            pa.field(COMMIT_VERSION, pa.int64()),
            pa.field(COMMIT_TIMESTAMP, pa.timestamp("us", "UTC")),
        ]
    )
    read = _with_pyiceberg if spark is None else partial(_with_spark, spark)

    def batches() -> Iterator[pa.RecordBatch]:
        for changes in read(table, identifier, key, snapshots):
            yield from changes.select(schema.names).cast(schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def _snapshots(table: Table, identifier: str, start: int | None, end: int | None) -> list[Snapshot | None]:
    """Return the snapshots from the first end to the last, oldest first; None is the empty table."""
    for snapshot_id in (start, end):
        if snapshot_id is not None:
            check_snapshot(table, snapshot_id)
    newest = table.current_snapshot()
    last = table.metadata.snapshot_by_id(end) if end is not None else newest
    found: list[Snapshot | None] = []
    at = last
    while at is not None and at.snapshot_id != start:
        found.append(at)
        parent = at.parent_snapshot_id
        at = table.metadata.snapshot_by_id(parent) if parent is not None else None
        if parent is not None and at is None:
            raise VersionUnknown(
                f"read the changes of the Iceberg table {identifier}",
                f"snapshot {parent} is before the range's first change and has been expired",
                f"give from_snapshot_id={found[-1].snapshot_id if found[-1] else None} or a later one",
            )
    if start is not None and at is None:
        raise ChangeFeedRangeInvalid(
            f"read the changes of the Iceberg table {identifier}",
            f"snapshot {start} is no ancestor of {last.snapshot_id if last is not None else 'no snapshot'}",
            "swap them, or take snapshots of one branch: `table.history()`",
        )
    return [at, *reversed(found)]


def _with_pyiceberg(
    table: Table, identifier: str, key: tuple[str, ...], snapshots: list[Snapshot | None]
) -> Iterator[pa.Table]:
    import pyarrow as pa

    now = table.scan().to_arrow_batch_reader().schema
    for before, after in pairwise(snapshots):
        assert after is not None
        streams = [
            now.empty_table().to_reader()
            if snapshot is None
            else read_iceberg_table(table, snapshot.snapshot_id)
            for snapshot in (before, after)
        ]
        names = [set(stream.schema.names) for stream in streams]
        if before is None:
            streams[0] = streams[1].schema.empty_table().to_reader()
        elif names[0] != names[1]:
            raise ChangeFeedUnavailable(
                f"read the changes of the Iceberg table {identifier} without Spark",
                f"its columns changed before snapshot {after.snapshot_id}",
                "ask up to, or from, that snapshot",
            )
        changes = changes_between(streams, key, identifier, after.snapshot_id)
        for name in now.names:
            if name not in changes.column_names:
                changes = changes.append_column(name, pa.nulls(len(changes), now.field(name).type))
        yield _stamped(changes, after)


def _stamped(changes: pa.Table, snapshot: Snapshot) -> pa.Table:
    import pyarrow as pa

    rows = len(changes)
    version = pa.array([snapshot.snapshot_id] * rows, pa.int64())
    milliseconds = pa.array([snapshot.timestamp_ms] * rows, pa.int64())
    time = milliseconds.cast(pa.timestamp("ms")).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    return changes.append_column(COMMIT_VERSION, version).append_column(COMMIT_TIMESTAMP, time)


def _with_spark(
    spark: SparkSession, table: Table, identifier: str, key: tuple[str, ...], snapshots: list[Snapshot | None]
) -> Iterator[pa.Table]:
    first, *later = snapshots
    if not later or later[-1] is None:
        return
    options = {"end-snapshot-id": str(later[-1].snapshot_id)}
    if first is not None:
        options["start-snapshot-id"] = str(first.snapshot_id)
    view = f"_lakebed_changes_{uuid.uuid4().hex}"
    listed = ", ".join(f"'{name}', '{value}'" for name, value in options.items())
    keys = ", ".join(f"'{column}'" for column in key)
    try:
        spark.sql(
            f"CALL {ICEBERG_CATALOG}.system.create_changelog_view(table => '{identifier}',"
            f" options => map({listed}), changelog_view => '{view}', identifier_columns => array({keys}))"
        )
        kinds = " ".join(f"WHEN '{theirs}' THEN '{ours.value}'" for theirs, ours in _SPARK_TYPES.items())
        times = " ".join(
            f"WHEN {snapshot.snapshot_id} THEN {snapshot.timestamp_ms}"
            for snapshot in later
            if snapshot is not None
        )
        columns = [
            f"`{name}`" for name in spark.table(view).columns if not name.startswith(("_change", "_commit"))
        ]
        frame = spark.table(view).selectExpr(
            *columns,
            f"CASE _change_type {kinds} END AS {CHANGE_TYPE}",
            f"_commit_snapshot_id AS {COMMIT_VERSION}",
            f"timestamp_millis(CASE _commit_snapshot_id {times} END) AS {COMMIT_TIMESTAMP}",
        )
        yield spark_rows.read(frame).read_all()
    except Exception as error:
        raise ChangeFeedUnavailable(
            f"read the changes of the Iceberg table {identifier} with Spark",
            str(error).splitlines()[0],
            "a table with delete files (merge-on-read) has no changelog view: read it without spark=",
        ) from error
    finally:
        spark.catalog.dropTempView(view)
