"""The comparison itself: two stored tables, `source` and `target`, by key or as whole rows, in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakebed.cdc.compared_columns import ComparedColumns
from lakebed.cdc.difference import Differences, DifferingRow, RepeatedRow
from lakebed.cdc.json_values import canonical_json
from lakebed.cdc.stored_rows import told, told_row

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_MATCHED = "s IS NOT NULL AND t IS NOT NULL"
_ROWS = "SELECT (SELECT count(*) FROM source), (SELECT count(*) FROM target)"


def compare_by_key(
    database: duckdb.DuckDBPyConnection, names: tuple[str, str], compared: ComparedColumns, shown_rows: int
) -> Differences:
    """Return what differs, rows belonging together by key.

    Rows whose key is there twice in one of the tables cannot belong to one row of the other: they are counted
    by themselves, and not compared.
    """
    _add_json(database, compared)
    keys = compared.forms("s", "t")[: len(compared.key)]
    repeated = _find_repeated(database, keys)
    differing_columns = _find_pairs(database, compared, keys, any(repeated))
    sums = "".join(f", count(*) FILTER ({_MATCHED} AND d{place})" for place in differing_columns)
    missing, extra, differing, *by_column = _row(
        database,
        f"SELECT count(*) FILTER (t IS NULL), count(*) FILTER (s IS NULL), count(*) FILTER ({_MATCHED}){sums}"
        " FROM pairs",
    )
    counts = dict(zip(differing_columns.values(), by_column, strict=True))
    counts = {name: count for name, count in counts.items() if count}
    rows = [
        _first_alone(database, *side, len(keys), shown_rows)
        for side in (("source", "s", compared.source), ("target", "t", compared.target))
    ]
    return Differences(
        names,
        compared.key,
        *_row(database, _ROWS),
        repeated_in_source=repeated[0],
        repeated_in_target=repeated[1],
        missing=missing,
        extra=extra,
        differing=differing,
        differing_by_column=counts,
        notes={
            name: note for name, note in compared.notes().items() if name in counts or name in compared.key
        },
        first_repeated_in_source=_first_repeated(database, "source", compared.source, len(keys), shown_rows),
        first_repeated_in_target=_first_repeated(database, "target", compared.target, len(keys), shown_rows),
        first_missing=rows[0],
        first_extra=rows[1],
        first_differing=_first_differing(database, compared, differing_columns, counts, shown_rows),
    )


def compare_whole_rows(
    database: duckdb.DuckDBPyConnection, names: tuple[str, str], compared: ComparedColumns, shown_rows: int
) -> Differences:
    """Return which rows one table has more often than the other."""
    _add_json(database, compared)
    forms = compared.forms("s", "t")
    sides = [", ".join(f"{pair[side]} AS n{place}" for place, pair in enumerate(forms)) for side in (0, 1)]
    grouped = ", ".join(f"n{place}" for place in range(len(forms)))
    database.execute(
        "CREATE TABLE pairs AS SELECT min(s) AS s, min(t) AS t, count(s) - count(t) AS more FROM ("
        f"SELECT s.rowid AS s, NULL AS t, {sides[0]} FROM source s"
        f" UNION ALL SELECT NULL, t.rowid, {sides[1]} FROM target t)"
        f" GROUP BY {grouped} HAVING count(s) <> count(t)"
    )
    missing, extra = _row(
        database,
        "SELECT coalesce(sum(more) FILTER (more > 0), 0)::BIGINT,"
        " coalesce(-sum(more) FILTER (more < 0), 0)::BIGINT FROM pairs",
    )
    first = []
    for table, side, kinds, which in (
        ("source", "s", compared.source, "more > 0"),
        ("target", "t", compared.target, "more < 0"),
    ):
        rows = database.execute(
            f"SELECT abs(more), {table}.* FROM pairs JOIN {table} ON {table}.rowid = pairs.{side}"
            f" WHERE {which} ORDER BY {_columns(table, len(kinds))} LIMIT {shown_rows}"
        ).fetchall()
        first.append(tuple(RepeatedRow(told_row(kinds, row[1:]), row[0]) for row in rows))
    counts = _row(database, _ROWS)
    notes = compared.notes() if missing or extra else {}
    return Differences(
        names,
        (),
        *counts,
        missing=missing,
        extra=extra,
        notes=notes,
        first_missing=first[0],
        first_extra=first[1],
    )


def _row(database: duckdb.DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    row = database.execute(statement).fetchone()
    assert row is not None
    return row


def _columns(table: str, count: int) -> str:
    return ", ".join(f"{table}.c{place}" for place in range(count))


def _add_json(database: duckdb.DuckDBPyConnection, compared: ComparedColumns) -> None:
    if any("lakebed_json" in left for left, _ in compared.forms("s", "t")):
        database.create_function("lakebed_json", canonical_json, ["VARCHAR"], "VARCHAR")  # type: ignore[list-item, arg-type]


def _find_repeated(database: duckdb.DuckDBPyConnection, keys: list[tuple[str, str]]) -> tuple[int, int]:
    """Make the table `repeated` of keys that are there more than once; return how many in each table."""
    parts = []
    for side, table in enumerate(("source s", "target t")):
        form = ", ".join(f"{pair[side]} AS k{place}" for place, pair in enumerate(keys))
        grouped = ", ".join(f"k{place}" for place in range(len(keys)))
        parts.append(
            f"SELECT '{table.split()[0]}' AS side, min(row) AS row, count(*) AS times, {grouped}"
            f" FROM (SELECT {table[-1]}.rowid AS row, {form} FROM {table})"
            f" GROUP BY {grouped} HAVING count(*) > 1"
        )
    database.execute("CREATE TABLE repeated AS " + " UNION ALL ".join(parts))
    counts = "SELECT count(*) FILTER (side = 'source'), count(*) FILTER (side = 'target') FROM repeated"
    source, target = _row(database, counts)
    return source, target


def _find_pairs(
    database: duckdb.DuckDBPyConnection,
    compared: ComparedColumns,
    keys: list[tuple[str, str]],
    has_repeated: bool,
) -> dict[int, str]:
    """Make the table `pairs` of rows that are alone (s or t is NULL) or differ (d0, d1 ... say where).

    Return which number of `d` is which column.
    """
    columns = {place: name for place, name in enumerate(compared.names) if place >= len(keys)}
    forms = compared.forms("s", "t")
    selected = "".join(f", {_differs(compared, place, forms[place])} AS d{place}" for place in columns)
    found = "".join(f" OR d{place}" for place in columns)
    same_key = " AND ".join(f"{left} IS NOT DISTINCT FROM {right}" for left, right in keys)
    joined = [
        _numbered(table, [pair[side] for pair in keys], has_repeated)
        for side, table in enumerate(("source s", "target t"))
    ]
    database.execute(
        f"CREATE TABLE pairs AS SELECT * FROM (SELECT s.row AS s, t.row AS t{selected}"
        f" FROM {joined[0]} FULL JOIN {joined[1]} ON {same_key}) WHERE s IS NULL OR t IS NULL{found}"
    )
    return columns


def _numbered(table: str, keys: list[str], has_repeated: bool) -> str:
    """Return SQL of the table with the number of each row, without those whose key is repeated anywhere."""
    alias = table[-1]
    rows = f"SELECT {alias}.rowid AS row, {alias}.* FROM {table}"
    if has_repeated:
        same = " AND ".join(f"r.k{place} IS NOT DISTINCT FROM {key}" for place, key in enumerate(keys))
        rows += f" WHERE NOT EXISTS (SELECT 1 FROM repeated r WHERE {same})"
    return f"({rows}) {alias}"


def _differs(compared: ComparedColumns, place: int, forms: tuple[str, str]) -> str:
    left, right = forms
    sql = f"{left} IS DISTINCT FROM {right}"
    if "lakebed_json" in left:
        # Most texts are the same as they are, and need no Python.
        as_they_are = f"s.c{place}::VARCHAR IS NOT DISTINCT FROM t.c{place}::VARCHAR"
        sql = f"CASE WHEN {as_they_are} THEN false ELSE {sql} END"
    if compared.tolerant(compared.names[place]):
        near = f"abs(s.c{place}::DOUBLE - t.c{place}::DOUBLE) <= {compared.tolerance!r}"
        sql = f"({sql} AND NOT coalesce({near}, false))"
    return sql


def _first_repeated(
    database: duckdb.DuckDBPyConnection, table: str, kinds: Mapping[str, pa.DataType], keys: int, shown: int
) -> tuple[RepeatedRow, ...]:
    columns = _columns(table, keys)
    rows = database.execute(
        f"SELECT times, {columns} FROM repeated JOIN {table} ON {table}.rowid = repeated.row"
        f" WHERE side = '{table}' ORDER BY {columns} LIMIT {shown}"
    ).fetchall()
    named = dict(list(kinds.items())[:keys])
    return tuple(RepeatedRow(told_row(named, row[1:]), row[0]) for row in rows)


def _first_alone(
    database: duckdb.DuckDBPyConnection,
    table: str,
    side: str,
    kinds: Mapping[str, pa.DataType],
    keys: int,
    shown: int,
) -> tuple[RepeatedRow, ...]:
    other = "t" if side == "s" else "s"
    rows = database.execute(
        f"SELECT {table}.* FROM pairs JOIN {table} ON {table}.rowid = pairs.{side}"
        f" WHERE pairs.{other} IS NULL ORDER BY {_columns(table, keys)} LIMIT {shown}"
    ).fetchall()
    return tuple(RepeatedRow(told_row(kinds, row), 1) for row in rows)


def _first_differing(
    database: duckdb.DuckDBPyConnection,
    compared: ComparedColumns,
    columns: Mapping[int, str],
    counts: Mapping[str, int],
    shown: int,
) -> tuple[DifferingRow, ...]:
    """Return the first rows that differ, and of every column that differs at least one."""
    if not counts or not shown:
        return ()
    flags = [f"pairs.d{place}" for place in columns]

    def first(which: str, limit: int) -> list[DifferingRow]:
        rows = database.execute(
            f"SELECT {', '.join(flags)}, source.*, target.* FROM pairs"
            " JOIN source ON source.rowid = pairs.s JOIN target ON target.rowid = pairs.t"
            f" WHERE {which} ORDER BY {_columns('source', len(compared.key))} LIMIT {limit}"
        ).fetchall()
        return [_differing(compared, columns, row) for row in rows]

    found = first("true", shown)
    for place, name in columns.items():
        if name in counts and not any(name in row.values for row in found):
            found += first(f"pairs.d{place}", 1)
    return tuple(found)


def _differing(compared: ComparedColumns, columns: Mapping[int, str], row: tuple[Any, ...]) -> DifferingRow:
    width = len(compared.names)
    flags, source, target = row[: len(columns)], row[-2 * width : -width], row[-width:]
    key = {name: compared.source[name] for name in compared.key}
    return DifferingRow(
        told_row(key, source[: len(key)]),
        {
            name: (told(source[place], compared.source[name]), told(target[place], compared.target[name]))
            for (place, name), differs in zip(columns.items(), flags, strict=True)
            if differs
        },
    )
