"""Rows of PostgreSQL as Arrow, streamed by ADBC with COPY. Use `lakebed.cdc.rows.postgres_rows`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from lakebed.errors import RowsUnreadable, TableUnknown

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

BATCH_BYTES = 2**20

_QUERY = re.compile(r"\s*(\(|(select|with|values|table)\b)", re.IGNORECASE)
_TYPE = b"POSTGRESQL:type"
# What the driver would hand on as something else than it is: cents, signed integers, 30-day months.
_CASTS = {"money": "numeric", "oid": "bigint", "xid": "text", "cid": "text", "interval": "text"}

_PRIMARY_KEY = """
    SELECT attname::text FROM pg_index
    JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
    WHERE indisprimary AND indrelid = to_regclass($1)
    ORDER BY array_position(indkey::int2[], attnum)"""


def conninfo_of(connection: psycopg.Connection[Any]) -> str:
    """Return how to connect as `connection` did. Holds the password: for no log and no message."""
    from psycopg.conninfo import make_conninfo

    info = connection.info
    parameters: dict[str, Any] = {**info.get_parameters(), "host": info.host, "port": info.port}
    return make_conninfo(**parameters, password=info.password)


def primary_key(conninfo: str, table_or_query: str) -> tuple[str, ...]:
    """Return the columns of the table's primary key, in its order; none for a query."""
    if _QUERY.match(table_or_query):
        return ()
    with _cursor(conninfo, table_or_query) as cursor:
        cursor.execute(_PRIMARY_KEY, [table_or_query])
        return tuple(row[0] for row in cursor.fetchall())


def read(conninfo: str, table_or_query: str) -> pa.RecordBatchReader:
    """Open a stream of the rows.

    Raises:
        TableUnknown: there is no such table.
        RowsUnreadable: PostgreSQL refuses the query, or a column holds what Arrow cannot.
    """
    import pyarrow as pa

    with ExitStack() as opening:
        cursor = opening.enter_context(_cursor(conninfo, table_or_query))
        rows = _source(cursor, table_or_query)
        cursor.execute(_select(cursor, rows, table_or_query))
        reader = cursor.fetch_record_batch()
        exits = opening.pop_all()

    def batches() -> Iterator[pa.RecordBatch]:
        with exits:
            yield from reader

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


@contextmanager
def _cursor(conninfo: str, told: str) -> Iterator[Any]:
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    try:
        with (
            dbapi.connect(conninfo, autocommit=True) as connection,
            connection.cursor(
                adbc_stmt_kwargs={"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)}
            ) as cursor,
        ):
            yield cursor
    except Error as error:
        raise RowsUnreadable(
            f"read {told} from PostgreSQL", str(error), "try the statement with psycopg; is the server up?"
        ) from error


def _source(cursor: Any, table_or_query: str) -> str:
    """Return what to select from: the table as PostgreSQL writes it, or the query in parentheses."""
    if _QUERY.match(table_or_query):
        return f"({table_or_query.strip().rstrip(';')}) AS rows"
    cursor.execute("SELECT to_regclass($1)::text", [table_or_query])
    (table,) = cursor.fetchone()
    if table is None:
        cursor.execute(
            "SELECT string_agg(oid::regclass::text, ', ' ORDER BY oid) FROM pg_class"
            " WHERE relkind IN ('r', 'p', 'v', 'm')"
            " AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
            " AND relnamespace::regnamespace::text NOT LIKE 'pg!_%' ESCAPE '!'"
        )
        (tables,) = cursor.fetchone()
        raise TableUnknown(
            f"read table {table_or_query} from PostgreSQL",
            f"the database has no such table; it has: {tables or 'none at all'}",
            'write it as in SQL, with its schema (`sales.orders`) and quoted where it is odd (`"Odd Name"`)',
        )
    return str(table)


def _select(cursor: Any, rows: str, told: str) -> str:
    schema = cursor.adbc_execute_schema(f"SELECT * FROM {rows}")
    columns, arrays = [], []
    for field in schema:
        quoted = '"' + field.name.replace('"', '""') + '"'
        cast, is_array = _cast(field)
        columns.append(quoted if cast is None else f"{quoted}::{cast} AS {quoted}")
        if is_array:
            arrays.append((field.name, quoted))
    _refuse_matrices(cursor, rows, arrays, told)
    return f"SELECT {', '.join(columns)} FROM {rows}"


def _cast(field: pa.Field) -> tuple[str | None, bool]:
    """Return the type to cast a column to, None where the driver has it right; and whether it is an array."""
    import pyarrow as pa

    # An array is a list, and a list is the only type with one child here; composite types are structs.
    is_array = pa.types.is_list(field.type)
    element = field.type.value_field if is_array else field
    kind = (element.metadata or {}).get(_TYPE, b"").decode()
    cast = _CASTS.get(kind)
    opaque = isinstance(element.type, pa.OpaqueType) and element.type.type_name != "numeric"
    if cast is None and (opaque or pa.types.is_interval(element.type)):
        cast = "text"
    return (f"{cast}[]" if cast is not None and is_array else cast), is_array


def _refuse_matrices(cursor: Any, rows: str, arrays: list[tuple[str, str]], told: str) -> None:
    """The driver hands on {{1,2},{3,4}} as [1,2,3,4], which is another value."""
    if not arrays:
        return
    asked = ", ".join(f"coalesce(bool_or(array_ndims({quoted}) > 1), false)" for _, quoted in arrays)
    cursor.execute(f"SELECT {asked} FROM {rows}")
    found = [name for (name, _), matrix in zip(arrays, cursor.fetchone(), strict=True) if matrix]
    if found:
        raise RowsUnreadable(
            f"read {told} from PostgreSQL",
            f"columns {', '.join(found)} hold arrays of several dimensions, which the ADBC driver flattens",
            f"give a query that casts them: `SELECT {found[0]}::text ...`",
        )
