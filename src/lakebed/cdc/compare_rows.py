"""The comparison itself: two stored tables, `source` and `target`, by key or as whole rows, in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebed.cdc.compared_columns import ComparedColumns
from lakebed.cdc.difference import Differences, DifferingRow, RepeatedRow
from lakebed.cdc.json_values import canonical_json
from lakebed.cdc.stored_rows import MUCH_MEMORY, told_row

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
    keys = len(compared.key)
    differing_columns = compared.values()
    repeated = pair_rows(database, compared)
    sums = "".join(f", count(*) FILTER ({_MATCHED} AND d{place})" for place in differing_columns)
    missing, extra, differing, *by_column = _row(
        database,
        f"SELECT count(*) FILTER (t IS NULL), count(*) FILTER (s IS NULL), count(*) FILTER ({_MATCHED}){sums}"
        " FROM pairs",
    )
    counts = dict(zip(differing_columns.values(), by_column, strict=True))
    counts = {name: count for name, count in counts.items() if count}
    source_rows, target_rows = _row(database, _ROWS)
    return Differences(
        names,
        compared.key,
        source_rows,
        target_rows,
        repeated_in_source=repeated[0],
        repeated_in_target=repeated[1],
        missing=missing,
        extra=extra,
        differing=differing,
        differing_by_column=counts,
        notes={
            name: note for name, note in compared.notes().items() if name in counts or name in compared.key
        },
        first_repeated_in_source=_first_repeated(database, "source", compared.source, keys, shown_rows),
        first_repeated_in_target=_first_repeated(database, "target", compared.target, keys, shown_rows),
        first_missing=_first_alone(database, "source", compared.source, keys, shown_rows),
        first_extra=_first_alone(database, "target", compared.target, keys, shown_rows),
        first_differing=_first_differing(database, compared, differing_columns, counts, shown_rows),
    )


def pair_rows(database: duckdb.DuckDBPyConnection, compared: ComparedColumns) -> tuple[int, int]:
    """Find what differs by key; return how many keys are there more than once in source and target.

    Makes the table `pairs`: the row numbers `s` and `t` of two rows of one key that differ, `d2` ... in which
    columns (by their place), or of a row that is alone, the other number being NULL.
    """
    _add_json(database, compared)
    repeated = _find_repeated(database, compared)
    _find_pairs(database, compared, any(repeated))
    return repeated


def compare_whole_rows(
    database: duckdb.DuckDBPyConnection, names: tuple[str, str], compared: ComparedColumns, shown_rows: int
) -> Differences:
    """Return which rows one table has more often than the other."""
    _add_json(database, compared)
    grouped = ", ".join(f"n{place}" for place in range(len(compared.names)))
    _execute(
        database,
        "CREATE TABLE pairs AS SELECT min(s) AS s, min(t) AS t, count(s) - count(t) AS more FROM ("
        f"SELECT row AS s, NULL AS t, {grouped} FROM {_forms(compared, 0)}"
        f" UNION ALL SELECT NULL, row, {grouped} FROM {_forms(compared, 1)})"
        f" GROUP BY {grouped} HAVING count(s) <> count(t)",
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
        picked = database.execute(
            f"SELECT pairs.{side}, abs(more) FROM pairs JOIN {table} ON {table}.rowid = pairs.{side}"
            f" WHERE {which} ORDER BY {_columns(table, len(kinds))} LIMIT {shown_rows}"
        ).fetchall()
        rows = _rows(database, table, kinds, [row for row, _ in picked])
        first.append(tuple(RepeatedRow(rows[row], times) for row, times in picked))
    source_rows, target_rows = _row(database, _ROWS)
    notes = compared.notes() if missing or extra else {}
    return Differences(
        names,
        (),
        source_rows,
        target_rows,
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


def _execute(database: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Execute a statement in little memory, and, where a few rows alone need more, once more in much."""
    import duckdb

    try:
        database.execute(statement)
    except duckdb.OutOfMemoryException:
        database.execute(f"SET memory_limit = '{MUCH_MEMORY}'")
        database.execute(statement)


def _add_json(database: duckdb.DuckDBPyConnection, compared: ComparedColumns) -> None:
    if compared.needs_json():
        database.create_function("lakebed_json", canonical_json, ["VARCHAR"], "VARCHAR")


def _find_repeated(database: duckdb.DuckDBPyConnection, compared: ComparedColumns) -> tuple[int, int]:
    """Make the table `repeated` of keys that are there more than once; return how many in each table."""
    grouped = ", ".join(f"n{place}" for place in range(len(compared.key)))
    parts = [
        f"SELECT '{table}' AS side, min(row) AS row, count(*) AS times, {grouped}"
        f" FROM {_forms(compared, side)} GROUP BY {grouped} HAVING count(*) > 1"
        for side, table in enumerate(("source", "target"))
    ]
    _execute(database, "CREATE TABLE repeated AS " + " UNION ALL ".join(parts))
    counts = "SELECT count(*) FILTER (side = 'source'), count(*) FILTER (side = 'target') FROM repeated"
    source, target = _row(database, counts)
    return source, target


def _forms(compared: ComparedColumns, side: int) -> str:
    """Return SQL of a stored table as what is compared of it: `row`, and for each column `n0`, `n1` ..."""
    table, alias = ("source", "target")[side], "st"[side]
    forms = [f"{pair[side]} AS n{place}" for place, pair in enumerate(compared.forms("s", "t"))]
    forms += [
        f"{alias}.c{place}::DOUBLE AS x{place}"
        for place, name in enumerate(compared.names)
        if compared.tolerant(name)
    ]
    return f"(SELECT {alias}.rowid AS row, {', '.join(forms)} FROM {table} {alias})"


def _find_pairs(database: duckdb.DuckDBPyConnection, compared: ComparedColumns, has_repeated: bool) -> None:
    keys = range(len(compared.key))
    columns = compared.values()
    selected = "".join(f", {_differs(compared, place)} AS d{place}" for place in columns)
    found = "".join(f" OR d{place}" for place in columns)
    same_key = " AND ".join(f"s.n{place} IS NOT DISTINCT FROM t.n{place}" for place in keys)
    sides = [_forms(compared, side) for side in (0, 1)]
    if has_repeated:
        same = " AND ".join(f"repeated.n{place} IS NOT DISTINCT FROM side.n{place}" for place in keys)
        once = f"WHERE NOT EXISTS (SELECT 1 FROM repeated WHERE {same})"
        sides = [f"(SELECT * FROM {side} side {once})" for side in sides]
    _execute(
        database,
        f"CREATE TABLE pairs AS SELECT * FROM (SELECT s.row AS s, t.row AS t{selected}"
        f" FROM {sides[0]} s FULL JOIN {sides[1]} t ON {same_key}) WHERE s IS NULL OR t IS NULL{found}",
    )
    _look_into_json(database, compared, list(columns))


def _differs(compared: ComparedColumns, place: int) -> str:
    sql = f"s.n{place} IS DISTINCT FROM t.n{place}"
    if compared.tolerant(compared.names[place]):
        near = f"abs(s.x{place} - t.x{place}) <= {compared.tolerance!r}"
        sql = f"({sql} AND NOT coalesce({near}, false))"
    return sql


def _look_into_json(
    database: duckdb.DuckDBPyConnection, compared: ComparedColumns, columns: Sequence[int]
) -> None:
    """Take back what differs as a text only: most are the same as they are, and so need no Python."""
    places = [place for place in columns if compared.is_json(compared.names[place])]
    if not places:
        return
    for place in places:
        source, target = (f"lakebed_json({table}.c{place}::VARCHAR)" for table in ("source", "target"))
        _execute(
            database,
            f"UPDATE pairs SET d{place} = {source} IS DISTINCT FROM {target} FROM source, target"
            f" WHERE pairs.s = source.rowid AND pairs.t = target.rowid AND d{place}",
        )
    none = " AND ".join(f"NOT d{place}" for place in columns)
    database.execute(f"DELETE FROM pairs WHERE {_MATCHED} AND {none}")


def _first_repeated(
    database: duckdb.DuckDBPyConnection, table: str, kinds: Mapping[str, pa.DataType], keys: int, shown: int
) -> tuple[RepeatedRow, ...]:
    picked = database.execute(
        f"SELECT row, times FROM repeated JOIN {table} ON {table}.rowid = repeated.row"
        f" WHERE side = '{table}' ORDER BY {_columns(table, keys)} LIMIT {shown}"
    ).fetchall()
    rows = _rows(database, table, dict(list(kinds.items())[:keys]), [row for row, _ in picked])
    return tuple(RepeatedRow(rows[row], times) for row, times in picked)


def _first_alone(
    database: duckdb.DuckDBPyConnection, table: str, kinds: Mapping[str, pa.DataType], keys: int, shown: int
) -> tuple[RepeatedRow, ...]:
    side, other = ("s", "t") if table == "source" else ("t", "s")
    picked = database.execute(
        f"SELECT pairs.{side} FROM pairs JOIN {table} ON {table}.rowid = pairs.{side}"
        f" WHERE pairs.{other} IS NULL ORDER BY {_columns(table, keys)} LIMIT {shown}"
    ).fetchall()
    rows = _rows(database, table, kinds, [row for (row,) in picked])
    return tuple(RepeatedRow(rows[row], 1) for (row,) in picked)


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
    flags = ", ".join(f"d{place}" for place in columns)

    def first(which: str, limit: int) -> list[DifferingRow]:
        picked = database.execute(
            f"SELECT s, t, {flags} FROM pairs JOIN source ON source.rowid = s WHERE {_MATCHED} AND {which}"
            f" ORDER BY {_columns('source', len(compared.key))} LIMIT {limit}"
        ).fetchall()
        source = _rows(database, "source", compared.source, [row[0] for row in picked])
        target = _rows(database, "target", compared.target, [row[1] for row in picked])
        return [
            _differing(compared.key, source[row[0]], target[row[1]], columns.values(), row[2:])
            for row in picked
        ]

    found = first("true", shown)
    for place, name in columns.items():
        if name in counts and not any(name in row.values for row in found):
            found += first(f"d{place}", 1)
    return tuple(found)


def _differing(
    key: Sequence[str],
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    columns: Iterable[str],
    flags: Sequence[bool],
) -> DifferingRow:
    values = {
        name: (source[name], target[name]) for name, differs in zip(columns, flags, strict=True) if differs
    }
    return DifferingRow({name: source[name] for name in key}, values)


def _rows(
    database: duckdb.DuckDBPyConnection, table: str, kinds: Mapping[str, pa.DataType], numbers: Sequence[int]
) -> dict[int, dict[str, Any]]:
    """Return whole rows by their number. Fetched by themselves: to sort documents takes much memory."""
    if not numbers:
        return {}
    listed = ", ".join(map(str, numbers))
    statement = f"SELECT rowid, {_columns(table, len(kinds))} FROM {table} WHERE rowid IN ({listed})"
    return {row[0]: told_row(kinds, row[1:]) for row in database.execute(statement).fetchall()}
