"""Rows on their way into a temporary DuckDB database on disk, and values on their way out of it."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakebed.cdc.comparable import MACROS, stored_type
from lakebed.errors import LakebedError, NotComparable, RowsUnreadable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MEMORY = "100MB"
MUCH_MEMORY = "1GB"
THREADS = 2

_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECONDS = {"s": 10**6, "ms": 10**3, "us": 1}


@contextmanager
def temporary_database() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty DuckDB database in a temporary folder, which is removed afterwards.

    It reads nothing but what it is given: no network, no extensions, no other files.
    """
    import duckdb

    folder = tempfile.mkdtemp(prefix="lakebed-compare-")
    try:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "threads": THREADS,
            "temp_directory": f"{folder}/spilled",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
        }
        with duckdb.connect(f"{folder}/rows.duckdb", config=settings) as database:
            # The folder must be known to it before it may not touch files any more.
            for statement in (
                "SET TimeZone = 'UTC'",
                "SET enable_progress_bar = false",
                "SET enable_external_access = false",
                *MACROS,
            ):
                database.execute(statement)
            yield database
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def store(
    database: duckdb.DuckDBPyConnection,
    table: str,
    reader: pa.RecordBatchReader,
    columns: Sequence[str],
    name: str,
) -> None:
    """Write the columns of a stream into a new table, as `c0`, `c1` ... in their order.

    Raises:
        LakebedError: what the stream raised.
        RowsUnreadable: another error of the stream.
        NotComparable: a type that cannot be stored.
    """
    import duckdb
    import pyarrow as pa

    places = [reader.schema.get_field_index(column) for column in columns]
    schema = pa.schema(
        [
            pa.field(f"c{number}", stored_type(reader.schema.field(at).type))
            for number, at in enumerate(places)
        ]
    )
    failures: list[Exception] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in reader:
                arrays = [
                    _stored(batch.column(at), field.type) for at, field in zip(places, schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except Exception as error:
            # DuckDB would tell only its text.
            failures.append(error)
            raise

    database.register("incoming", pa.RecordBatchReader.from_batches(schema, batches()))
    try:
        database.execute(f"CREATE TABLE {table} AS SELECT * FROM incoming")
    except duckdb.Error as error:
        if failures and isinstance(failures[0], LakebedError):
            raise failures[0] from None
        if failures:
            remedy = "does its server run, and are its files there?"
            raise RowsUnreadable(f"read {name}", str(failures[0]), remedy) from failures[0]
        remedy = "leave the column out with ignore=[...], or give a query that casts it"
        raise NotComparable(f"store {name} to compare it", str(error), remedy) from error
    finally:
        database.unregister("incoming")
        reader.close()
        # Arrow would keep it for the next table.
        pa.default_memory_pool().release_unused()


def _stored(values: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if values.type == kind:
        return values
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if pa.types.is_interval(values.type):
        return values.view(kind)
    return values if values.type == kind else values.cast(kind)


def restored(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a stored column in the type it had."""
    import pyarrow as pa

    if pa.types.is_interval(kind):
        return pa.chunked_array([chunk.view(kind) for chunk in column.chunks], kind)
    return column if column.type == kind else column.cast(kind)


def told(value: Any, kind: pa.DataType) -> Any:
    """Return a stored value as what it was before `stored_type`: dates, times and instants again."""
    import pyarrow as pa

    if value is None:
        return None
    if isinstance(kind, pa.BaseExtensionType):
        return value if stored_type(kind) == kind else told(value, kind.storage_type)
    if pa.types.is_dictionary(kind):
        return told(value, kind.value_type)
    if pa.types.is_struct(kind):
        return {field.name: told(value[field.name], field.type) for field in kind}
    if pa.types.is_map(kind):
        return {told(key, kind.key_type): told(item, kind.item_type) for key, item in dict(value).items()}
    if hasattr(kind, "value_type"):
        return [told(item, kind.value_type) for item in value]
    if pa.types.is_temporal(kind):
        return _temporal(value, kind)
    return value


def _temporal(value: Any, kind: pa.DataType) -> Any:
    """Return the Python object, or text where Python has none: nanoseconds, years beyond 9999."""
    import pyarrow as pa

    try:
        if pa.types.is_date(kind):
            days = value if pa.types.is_date32(kind) else value / 86_400_000
            return _EPOCH.date() + datetime.timedelta(days=days)
        if pa.types.is_interval(kind) or kind.unit == "ns":
            return str(pa.array([value], stored_type(kind)).view(kind)[0])
        passed = datetime.timedelta(microseconds=value * _MICROSECONDS[kind.unit])
        if pa.types.is_duration(kind):
            return passed
        instant = _EPOCH + passed
        if pa.types.is_time(kind):
            return instant.time()
        return instant if kind.tz is None else instant.replace(tzinfo=datetime.timezone.utc)
    except (OverflowError, ValueError):
        return f"{value} ({kind} beyond what Python can hold)"


def told_row(columns: Mapping[str, pa.DataType], values: Sequence[Any]) -> dict[str, Any]:
    """Return a stored row as column to value."""
    return {name: told(value, kind) for (name, kind), value in zip(columns.items(), values, strict=True)}
