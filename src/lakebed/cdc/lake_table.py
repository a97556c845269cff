"""One table of a lake, Delta or Iceberg: made and widened as its source is, and written by key.

Every write carries the record of how far the table has come: see `lakebed.cdc.progress`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakebed.cdc.change_batch import UNAVAILABLE, Rows, names
from lakebed.cdc.progress import PROPERTY, Progress
from lakebed.cdc.replays import OPERATION
from lakebed.errors import PipelineFailed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_WIDER = (("tinyint", "smallint", "int", "bigint"), ("float", "double"))
_NOT_THERE = (
    "TABLE_OR_VIEW_NOT_FOUND",
    "PATH_NOT_FOUND",
    "DELTA_PATH_DOES_NOT_EXIST",
    "DELTA_MISSING_DELTA_TABLE",
)
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def is_delta(table: str) -> bool:
    """Whether a table, as Spark names it, is Delta Lake's; else it is Iceberg's."""
    return table.startswith("delta.")


def table_exists(spark: SparkSession, table: str) -> bool:
    """Whether the table is there."""
    from pyspark.errors import AnalysisException

    try:
        spark.table(table)
    except AnalysisException as error:
        # Its name since Spark 4, which calls the former one deprecated.
        condition = getattr(error, "getCondition", error.getErrorClass)
        if condition() in _NOT_THERE:
            return False
        raise
    return True


def write(spark: SparkSession, table: str, change: Rows, progress: Progress | None) -> None:
    """Bring a batch into a table, in one commit that records how far it has come with it.

    Args:
        spark: the session of the batch; its settings are changed for the commit.
        table: as Spark names it.
        change: what the batch does.
        progress: how far the table has come before; None for one that no pipeline has written.

    Raises:
        PipelineFailed: a column of the source does not fit its column in the table.
    """
    columns = {
        field.name: field.dataType.simpleString()
        for field in change.rows.schema.fields
        if field.name != OPERATION
    }
    is_new = progress is None and not _ensure(spark, table, columns)
    _grow(spark, table, columns)
    with _recording(spark, table, change.progress):
        if is_new and not change.is_truncated:
            rows = change.rows.where(f"{OPERATION} != 'd'").drop(OPERATION)
            rows.writeTo(table).append()
        else:
            _merge(spark, table, change)
    _record_if_nothing_was_written(spark, table, change.progress)


def write_progress(spark: SparkSession, table: str, progress: Progress) -> None:
    """Record how far a table has come where nothing is to be written."""
    if is_delta(table):
        with _recording(spark, table, progress):
            spark.table(table).limit(0).writeTo(table).append()
    else:
        _commit_iceberg_progress(spark, table, progress)


def _ensure(spark: SparkSession, table: str, columns: Mapping[str, str]) -> bool:
    """Make the table if it is not there; return whether it was, with rows."""
    if table_exists(spark, table):
        return not spark.table(table).isEmpty()
    definition = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
    provider = "delta" if is_delta(table) else "iceberg"
    spark.sql(f"CREATE TABLE IF NOT EXISTS {table} ({definition}) USING {provider}")
    return False


def _grow(spark: SparkSession, table: str, columns: Mapping[str, str]) -> None:
    """Give the table the columns that the source has got since, and wider types where they can be."""
    present = {field.name: field.dataType.simpleString() for field in spark.table(table).schema.fields}
    added = ", ".join(f"`{name}` {kind}" for name, kind in columns.items() if name not in present)
    if added:
        spark.sql(f"ALTER TABLE {table} ADD COLUMNS ({added})")
    for name, kind in columns.items():
        is_ = present.get(name, kind)
        if is_ == kind or is_wider(is_, kind):
            continue
        if is_delta(table) or not is_wider(kind, is_):
            raise PipelineFailed(
                f"bring column {name!r} into {table}",
                f"the source has made it {kind}; in the table it is {is_}, which cannot become that",
                "change the type back, or delete the table and the checkpoint and let it be filled anew;"
                " a table that you make yourself may have the wider type from the beginning",
            )
        spark.sql(f"ALTER TABLE {table} ALTER COLUMN `{name}` TYPE {kind}")


def is_wider(kind: str, than: str) -> bool:
    """Whether every value of Spark type `than` is one of type `kind`, and Iceberg lets a column become that.

    Delta Lake 3.3 widens no type that a change event can have (its documentation, "Delta type widening": only
    whole numbers up to `int`). Source for Iceberg: its specification, "Schema Evolution".
    """
    for family in _WIDER:
        if kind in family and than in family:
            return family.index(kind) > family.index(than)
    new, old = _DECIMAL.fullmatch(kind), _DECIMAL.fullmatch(than)
    return bool(new and old and new[2] == old[2] and int(new[1]) > int(old[1]))


@contextmanager
def _recording(spark: SparkSession, table: str, progress: Progress) -> Iterator[None]:
    """Let the next commit of this session carry the record, and no other."""
    settings = {f"spark.sql.iceberg.snapshot-property.{PROPERTY}": progress.to_json()}
    if is_delta(table):
        settings = {
            "spark.databricks.delta.commitInfo.userMetadata": progress.to_json(),
            # Makes a commit of one that would change nothing, and refuses one that a second pipeline makes.
            "spark.databricks.delta.write.txnAppId": f"{PROPERTY} {progress.topic}",
            "spark.databricks.delta.write.txnVersion": str(progress.records),
        }
    for name, value in settings.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name in settings:
            spark.conf.unset(name)


def _merge(spark: SparkSession, table: str, change: Rows) -> None:
    columns = [name for name in change.rows.columns if name != OPERATION]
    same_key = " AND ".join(f"target.`{key}` = change.`{key}`" for key in change.keys) or "false"
    same_row = " AND ".join(f"target.`{name}` <=> change.`{name}`" for name in columns)
    assigned = ", ".join(f"`{name}` = {_value(change, name)}" for name in columns)
    # The view belongs to the session of the batch, which is not the one the query was started in.
    view = f"_lakebed_changes_{uuid.uuid4().hex}"
    change.rows.createOrReplaceTempView(view)
    try:
        spark.sql(
            f"MERGE INTO {table} AS target USING {view} AS change ON {same_key}"
            f" WHEN MATCHED AND change.{OPERATION} = 'd' THEN DELETE"
            # A snapshot that is taken again sends rows that are there already.
            f" WHEN MATCHED AND (change.{OPERATION} != 'r' OR NOT ({same_row})) THEN UPDATE SET {assigned}"
            f" WHEN NOT MATCHED AND change.{OPERATION} != 'd' THEN"
            f" INSERT ({names(columns)}) VALUES ({names(columns, 'change.')})"
            + (" WHEN NOT MATCHED BY SOURCE THEN DELETE" if change.is_truncated else "")
        )
    finally:
        spark.catalog.dropTempView(view)


def _value(change: Rows, name: str) -> str:
    """Return what a matched row gets: its own value where Debezium did not send it again."""
    unavailable = UNAVAILABLE.get(change.rows.schema[name].dataType.simpleString())
    if not change.has_unavailable or unavailable is None:
        return f"change.`{name}`"
    return f"CASE WHEN change.`{name}` = {unavailable} THEN target.`{name}` ELSE change.`{name}` END"


def _record_if_nothing_was_written(spark: SparkSession, table: str, progress: Progress) -> None:
    """Iceberg makes no snapshot of a MERGE that changes nothing."""
    if not is_delta(table):
        current = _iceberg_table(spark, table).currentSnapshot()
        if current is None or current.summary().get(PROPERTY) != progress.to_json():
            _commit_iceberg_progress(spark, table, progress)


def _commit_iceberg_progress(spark: SparkSession, table: str, progress: Progress) -> None:
    _iceberg_table(spark, table).newAppend().set(PROPERTY, progress.to_json()).commit()


def _iceberg_table(spark: SparkSession, table: str):  # type: ignore[no-untyped-def]
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    return jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, table)
