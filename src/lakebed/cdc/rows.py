"""Rows of any kind of table, as a stream of Arrow batches that can be read again and again.

`rows_of` makes `Rows` of what it is given. `postgres_rows`, `delta_rows` and `iceberg_rows` read tables
without Spark, so that what they say does not depend on what wrote the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from lakebed.cdc import lake_rows, object_rows, spark_rows
from lakebed.cdc import postgres_rows as postgres_reading
from lakebed.errors import NotComparable, RowsUnreadable
from lakebed.services.endpoints import Store

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa
    from pyiceberg.catalog import Catalog

ACCEPTED = (
    "Rows, as `table_rows.postgres(...)`, `.delta(...)` and `.iceberg(...)` return them",
    "a table, batch, dataset or reader of PyArrow, and all that has `__arrow_c_stream__` (Polars, DuckDB)",
    "a DataFrame of pandas or Spark",
    "a DeltaTable of deltalake, a Table of PyIceberg",
    "a list of dicts, of dataclasses, of named tuples, or of tuples with columns=[...]",
)


def _no_key() -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Rows:
    """Where rows come from. Nothing is read before `batches` is called; each call reads anew.

    Attributes:
        name: for messages.
        read: opens a stream of the rows as they are then.
        find_key: returns the names of the columns that identify a row; none where that is not known.
    """

    name: str
    # Not shown: how to connect has a password in it.
    read: Callable[[], pa.RecordBatchReader] = field(repr=False)
    find_key: Callable[[], tuple[str, ...]] = field(default=_no_key, repr=False)

    def batches(self) -> pa.RecordBatchReader:
        """Return the rows as they are now; the order means nothing.

        Raises:
            TableUnknown: there is no such table.
            VersionUnknown: the table has no such version.
            RowsUnreadable: a value cannot be Arrow's, or the rows can be read only once and have been.
        """
        return self.read()

    @property
    def schema(self) -> pa.Schema:
        """The names and Arrow types of the columns, as they are now."""
        reader = self.read()
        try:
            return reader.schema
        finally:
            reader.close()

    def table(self) -> pa.Table:
        """Return all rows at once, in memory."""
        return self.read().read_all()


def postgres_rows(connection: psycopg.Connection[Any], table_or_query: str, name: str | None = None) -> Rows:
    """Return the committed rows of a PostgreSQL table or query, streamed by ADBC.

    What Arrow has no type for (inet, ranges, bit strings, points, intervals, time with a zone ...) comes as
    PostgreSQL writes it in text; money as numeric. numeric has all its digits.

    Args:
        connection: tells server, database and user. It is not used itself: each reading opens one of its own.
        table_or_query: a name as in SQL (`orders`, `public.orders`, `"Odd Name"`), or a statement that begins
            with SELECT, WITH, VALUES or TABLE.
        name: for messages.
    """
    conninfo = postgres_reading.conninfo_of(connection)
    return Rows(
        name or f"PostgreSQL {table_or_query}",
        partial(postgres_reading.read, conninfo, table_or_query),
        partial(postgres_reading.primary_key, conninfo, table_or_query),
    )


def delta_rows(
    endpoint: Store | None, path: str, version: int | None = None, name: str | None = None
) -> Rows:
    """Return a version of a Delta table, read by delta-rs; without `version`, the newest at each reading.

    Args:
        endpoint: of the stack's S3 store; None for a path of this machine.
        path: `s3a://bucket/key`, or a folder.
        version: of the table.
        name: for messages.
    """
    told = f"Delta {path}" if version is None else f"Delta {path} at version {version}"
    return Rows(name or told, partial(lake_rows.read_delta, endpoint, path, version))


def iceberg_rows(
    catalog: Catalog, identifier: str, snapshot_id: int | None = None, name: str | None = None
) -> Rows:
    """Return a snapshot of an Iceberg table, read by PyIceberg; without an id, the newest at each reading.

    Args:
        catalog: PyIceberg's.
        identifier: `namespace.table`.
        snapshot_id: of the table.
        name: for messages.
    """
    told = (
        f"Iceberg {identifier}" if snapshot_id is None else f"Iceberg {identifier} at snapshot {snapshot_id}"
    )
    return Rows(name or told, partial(lake_rows.read_iceberg, catalog, identifier, snapshot_id))


def rows_of(value: Any, name: str | None = None, *, columns: Sequence[str] | None = None) -> Rows:
    """Return `value` as rows.

    Args:
        value: see `ACCEPTED`.
        name: for messages; that of `value`, or what kind it is, without.
        columns: names for a list of tuples; with a list of dicts, the columns to take, in this order.

    Raises:
        NotComparable: `value` is of another kind.
    """
    if isinstance(value, Rows):
        return value if name is None else Rows(name, value.read, value.find_key)
    if isinstance(value, (list, tuple)):
        return Rows(name or "the list", partial(object_rows.read, value, columns))
    kind = type(value)
    package, told = kind.__module__.partition(".")[0], f"{kind.__module__.partition('.')[0]} {kind.__name__}"
    if package == "pyspark" and hasattr(value, "mapInArrow"):
        return Rows(name or "the Spark DataFrame", partial(spark_rows.read, value))
    if package == "pandas" and kind.__name__ == "DataFrame":
        return Rows(name or "the pandas DataFrame", partial(object_rows.read_pandas, value))
    if package == "deltalake" and hasattr(value, "scan"):
        return Rows(name or told, partial(lake_rows.read_delta_table, value))
    if package == "pyiceberg" and hasattr(value, "scan"):
        return Rows(name or told, partial(lake_rows.read_iceberg_table, value, None))
    # A Series of pandas has a stream, but is one column without a name.
    read = _arrow_reader(value, name or told) if package != "pandas" else None
    if read is None:
        raise NotComparable(
            f"read rows from a {kind.__module__}.{kind.__qualname__}",
            "lakebed knows no way to do that",
            "give one of: " + "; ".join(ACCEPTED),
        )
    return Rows(name or told, read)


def _arrow_reader(value: Any, name: str) -> Callable[[], pa.RecordBatchReader] | None:
    import pyarrow as pa

    if isinstance(value, pa.RecordBatch):
        value = pa.Table.from_batches([value])
    if isinstance(value, pa.Table):
        return partial(_reader_of_table, value)
    if hasattr(value, "scanner"):
        # A dataset of PyArrow; its module is not imported only to ask.
        return lambda: value.scanner().to_reader()
    if isinstance(value, pa.RecordBatchReader):
        return _once(value, name)
    if hasattr(value, "__arrow_c_stream__"):
        return lambda: pa.RecordBatchReader.from_stream(value)
    return None


def _reader_of_table(table: pa.Table) -> pa.RecordBatchReader:
    return table.to_reader()


def _once(reader: pa.RecordBatchReader, name: str) -> Callable[[], pa.RecordBatchReader]:
    left = [reader]

    def read() -> pa.RecordBatchReader:
        if not left:
            raise RowsUnreadable(
                f"read {name} again",
                "a RecordBatchReader can be read only once, and has been",
                "give what it was made from, or `reader.read_all()`",
            )
        return left.pop()

    return read
