"""The change data feed of a Delta table, with Spark and without, and the same.

A feed has the table's columns and the three of the contract (section 5): `_change_type` (STRING: insert,
update_preimage, update_postimage, delete), `_commit_version` (BIGINT), `_commit_timestamp` (TIMESTAMP).
Source: Delta Lake documentation, "Change data feed".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from lakebed.cdc import spark_rows
from lakebed.cdc.delta_log import commit_files, commit_times
from lakebed.cdc.lake_rows import open_delta
from lakebed.cdc.rows import Rows
from lakebed.errors import (
    ChangeFeedDisabled,
    ChangeFeedRangeInvalid,
    LakebedError,
    RowsUnreadable,
    VersionExpired,
    VersionUnknown,
)
from lakebed.services.endpoints import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

CHANGE_TYPE, COMMIT_VERSION, COMMIT_TIMESTAMP = "_change_type", "_commit_version", "_commit_timestamp"
PROPERTY = "delta.enableChangeDataFeed"
IN_COMMIT = "delta.enableInCommitTimestamps"


@dataclass(frozen=True)
class Asked:
    """Which changes of which table.

    Attributes:
        path: of the table.
        endpoint: of the S3 store, None for a folder.
        start: first version, or the time from which on; None for the first there is.
        end: last version, or the time until which; None for the newest.
    """

    path: str
    endpoint: Store | None
    start: int | datetime | None
    end: int | datetime | None

    @property
    def attempted(self) -> str:
        """What is being done, for errors."""
        return f"read the changes of the Delta table at {self.path}"


def change_feed(
    path: str,
    from_version: int | None = None,
    from_timestamp: datetime | None = None,
    to_version: int | None = None,
    to_timestamp: datetime | None = None,
    *,
    endpoint: Store | None = None,
    spark: SparkSession | None = None,
    name: str | None = None,
) -> Rows:
    """Return the changes of a Delta table, both ends included; the range is looked up at each reading.

    Args:
        path: `s3a://bucket/key`, or a folder.
        from_version: the first version; without it and `from_timestamp`, 0.
        from_timestamp: from the first version committed then or later on; with a time zone.
        to_version: the last version; without it and `to_timestamp`, the newest.
        to_timestamp: until the last version committed then or earlier; with a time zone.
        endpoint: of the stack's S3 store; None for a folder of this machine.
        spark: reads with this session; without it delta-rs reads.
        name: for messages.

    Raises:
        ChangeFeedRangeInvalid: version and time for one end, an end before the start, a time without a zone.

    Reading raises TableUnknown, VersionUnknown (beyond the newest), VersionExpired (cleaned up),
    ChangeFeedDisabled (the table does not record its changes).
    """
    told = name or f"changes of {path}"
    for what, version, timestamp in (
        ("from", from_version, from_timestamp),
        ("to", to_version, to_timestamp),
    ):
        if version is not None and timestamp is not None:
            seen = f"{what}_version={version} and {what}_timestamp={timestamp.isoformat()} say two things"
            raise _invalid(path, seen, f"give {what}_version or {what}_timestamp, not both")
        if timestamp is not None and timestamp.tzinfo is None:
            seen = f"{what}_timestamp={timestamp.isoformat()} has no time zone"
            raise _invalid(path, seen, "give `datetime(..., tzinfo=timezone.utc)`")
    ends = [
        timestamp if version is None else version
        for version, timestamp in ((from_version, from_timestamp), (to_version, to_timestamp))
    ]
    asked = Asked(path, endpoint, *ends)
    if isinstance(asked.start, int) and isinstance(asked.end, int) and asked.start > asked.end:
        raise _invalid(path, f"from_version={asked.start} is after to_version={asked.end}", "swap them")
    return Rows(told, partial(_read, asked, spark))


def _invalid(path: str, seen: str, remedy: str) -> ChangeFeedRangeInvalid:
    return ChangeFeedRangeInvalid(f"read the changes of the Delta table at {path}", seen, remedy)


def _read(asked: Asked, spark: SparkSession | None) -> pa.RecordBatchReader:
    import pyarrow as pa

    table = open_delta(asked.endpoint, asked.path)
    files = commit_files(asked.endpoint, asked.path)
    start, end = _versions(asked, files, table.version())
    _check_enabled(asked, start)
    try:
        if spark is not None:
            reader = spark.read.format("delta").option("readChangeFeed", "true")
            reader = reader.option("startingVersion", str(start)).option("endingVersion", str(end))
            stream = spark_rows.read(reader.load(asked.path))
            times = None
        else:
            stream = pa.RecordBatchReader.from_stream(
                table.load_cdf(starting_version=start, ending_version=end)
            )
            in_commit = table.metadata().configuration.get(IN_COMMIT, "false") == "true"
            # delta-rs hands on what the writer's clock said.
            times = None if in_commit else commit_times(files, start)
    except Exception as error:
        raise _reading_failed(asked, error) from error
    schema = pa.schema([_field(field) for field in stream.schema])

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in stream:
                yield _typed(batch, schema, times)
        except Exception as error:
            raise _reading_failed(asked, error) from error

    return pa.RecordBatchReader.from_batches(schema, batches())


def _versions(asked: Asked, files: dict[int, datetime], newest: int) -> tuple[int, int]:
    """Return the first and the last version asked for."""
    times = commit_times(files, 0)
    start, end = asked.start, asked.end
    if isinstance(start, datetime):
        after = [version for version, time in times.items() if time >= start]
        if not after:
            seen = f"nothing was committed at or after {start.isoformat()}; the newest version is {newest}"
            seen += f", of {times[newest].isoformat()}" if newest in times else ""
            raise VersionUnknown(asked.attempted, seen, "ask from an earlier time")
        start = after[0]
    if isinstance(end, datetime):
        before = [version for version, time in times.items() if time <= end]
        if not before:
            seen = f"nothing was committed at or before {end.isoformat()}"
            raise VersionUnknown(asked.attempted, seen, "ask until a later time")
        end = before[-1]
    start, end = start or 0, newest if end is None else end
    for version in (start, end):
        if not 0 <= version <= newest:
            raise VersionUnknown(
                f"{asked.attempted} at version {version}",
                f"its newest version is {newest}",
                f"ask for versions from 0 to {newest}",
            )
    if start > end:
        raise _invalid(
            asked.path, f"version {start}, the first one, is after {end}, the last", "swap the ends"
        )
    oldest = min(files, default=newest)
    if start < oldest:
        raise VersionExpired(
            f"{asked.attempted} from version {start}",
            f"its log begins with version {oldest}: the commits before it have been cleaned up",
            f"ask from_version={oldest}, or set delta.logRetentionDuration higher",
        )
    return start, end


def _check_enabled(asked: Asked, start: int) -> None:
    """Refuse a first version without a feed: delta-rs sees only those that turn it off or on."""
    table = open_delta(asked.endpoint, asked.path, start)
    if table.metadata().configuration.get(PROPERTY, "false").lower() != "true":
        raise _disabled(asked, f"its property {PROPERTY} is not true at version {start}")


def _disabled(asked: Asked, seen: str) -> ChangeFeedDisabled:
    return ChangeFeedDisabled(
        asked.attempted,
        seen,
        f"create it with TBLPROPERTIES ({PROPERTY} = true); or let it record changes from now on, and ask"
        f" from that version: ALTER TABLE delta.`{asked.path}` SET TBLPROPERTIES ({PROPERTY} = true)",
    )


def _reading_failed(asked: Asked, error: Exception) -> LakebedError:
    """Return what an error of Spark or delta-rs means."""
    if isinstance(error, LakebedError):
        return error
    text = str(error)
    lower = text.lower()
    if "change data enabled" in lower or "delta_missing_change_data" in lower:
        return _disabled(asked, f"a version in the range has no change data: {text.splitlines()[0]}")
    if any(words in lower for words in ("not found", "filenotfound", "no such file", "does not exist")):
        return VersionExpired(
            asked.attempted,
            f"files of these versions are gone, VACUUM removes them: {text.splitlines()[0]}",
            "ask from a later version; VACUUM keeps what is younger than delta.deletedFileRetentionDuration",
        )
    return RowsUnreadable(asked.attempted, text, "read it in Spark, or without it, to see whose error it is")


def _field(field: pa.Field) -> pa.Field:
    import pyarrow as pa

    types: dict[str, pa.DataType] = {
        CHANGE_TYPE: pa.string(),
        COMMIT_VERSION: pa.int64(),
        COMMIT_TIMESTAMP: pa.timestamp("us", "UTC"),
    }
    return pa.field(field.name, types.get(field.name, plain_type(field.type)))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of which delta-rs and Spark have variants."""
    import pyarrow as pa

    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp("us", "UTC")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    return kind


def _typed(batch: pa.RecordBatch, schema: pa.Schema, times: dict[int, datetime] | None) -> pa.RecordBatch:
    import pyarrow as pa

    columns: list[Any] = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    if times is not None:
        versions = columns[schema.get_field_index(COMMIT_VERSION)].dictionary_encode()
        told = pa.array(
            [times[version] for version in versions.dictionary.to_pylist()], pa.timestamp("us", "UTC")
        )
        columns[schema.get_field_index(COMMIT_TIMESTAMP)] = told.take(versions.indices)
    return pa.RecordBatch.from_arrays(columns, schema=schema)
