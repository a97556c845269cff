"""Are two tables the same, row for row and column for column?

The rows go as streams into a temporary DuckDB database on disk, which compares them: a million rows need
neither a million Python objects nor the memory of both tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lakebed.cdc.compare_rows import compare_by_key, compare_whole_rows
from lakebed.cdc.compared_columns import ComparedColumns, columns_to_compare
from lakebed.cdc.difference import Differences
from lakebed.cdc.rows import Rows, rows_of
from lakebed.cdc.stored_rows import store, temporary_database
from lakebed.errors import DeadlinePassed, NotConverged, RowsDiffer, TableUnknown
from lakebed.waiting import wait_until

SHOWN_ROWS = 5
REMEDY = (
    "see whether all has arrived (`connector.wait_until_acknowledged`), then what the pipeline does with"
    " these rows"
)


def assert_same_rows(
    source: object,
    target: object,
    key: str | Sequence[str] | None = None,
    names: tuple[str, str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    tolerance: float = 0.0,
    shown_rows: int = SHOWN_ROWS,
) -> None:
    """Return when both tables hold the same rows; the order of rows and columns does not matter.

    Values compare by what they are, not by how a store keeps them: numbers by value, instants in UTC (one
    without a zone is in UTC), json without regard to order and spaces, uuid and its text. NaN equals itself,
    NULL only NULL, bytes never a text. A value that the source's type cannot hold is a difference.

    Args:
        source: what should be; anything that `rows_of` takes.
        target: what is; likewise. A list of plain tuples has the columns of the other.
        key: the column or columns that identify a row. Without it that of the PostgreSQL table; where there
            is none, whole rows are counted.
        names: of both, for the error.
        columns: compare only these, and the key.
        ignore: do not compare these.
        tolerance: by how much two floating-point numbers may differ, absolutely.
        shown_rows: how many rows of each kind the error shows.

    Raises:
        RowsDiffer: with counts of missing, extra and differing rows and the first of each; as data in its
            `differences`.
        NotComparable: a key or column that is not there, or a kind of value that has no rows.
        TableUnknown: there is no such table.
    """
    found = differences(
        source,
        target,
        key,
        names,
        columns=columns,
        ignore=ignore,
        tolerance=tolerance,
        shown_rows=shown_rows,
    )
    if found:
        raise RowsDiffer(f"compare {found.names[0]} with {found.names[1]}", str(found), REMEDY, found)


def differences(
    source: object,
    target: object,
    key: str | Sequence[str] | None = None,
    names: tuple[str, str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    tolerance: float = 0.0,
    shown_rows: int = SHOWN_ROWS,
) -> Differences:
    """Return what differs, for the same arguments as `assert_same_rows`; false when nothing does."""
    left, right = _both(source, target, names)
    keys = (key,) if isinstance(key, str) else tuple(key or left.find_key() or right.find_key())
    streams = left.batches(), right.batches()
    schemas = streams[0].schema, streams[1].schema
    told = left.name, right.name
    # An empty list has the columns of the other table.
    if _is_empty_list(target):
        streams = streams[0], schemas[0].empty_table().to_reader()
    if _is_empty_list(source):
        streams = schemas[1].empty_table().to_reader(), streams[1]
    if _is_empty_list(source) and _is_empty_list(target):
        return Differences(told)
    compared = columns_to_compare(
        (streams[0].schema, streams[1].schema),
        told,
        keys,
        columns=columns,
        ignore=ignore,
        tolerance=tolerance,
    )
    if isinstance(compared, Differences):
        for stream in streams:
            stream.close()
        return compared
    return _compare(streams, told, compared, shown_rows)


def _compare(streams: Any, names: tuple[str, str], compared: ComparedColumns, shown_rows: int) -> Differences:
    with temporary_database() as database:
        for table, stream, name in zip(("source", "target"), streams, names, strict=True):
            store(database, table, stream, compared.names, name)
        compare = compare_by_key if compared.key else compare_whole_rows
        return compare(database, names, compared, shown_rows)


def _both(source: object, target: object, names: tuple[str, str] | None) -> tuple[Rows, Rows]:
    told = (None, None) if names is None else names
    sides = []
    for side, other, name in ((source, target, told[0]), (target, source, told[1])):
        columns = None
        if _plain_tuples(side) and not _plain_tuples(other):
            columns = rows_of(other).schema.names
        sides.append(rows_of(side, name, columns=columns))
    if sides[0].name == sides[1].name:
        told = (f"source ({sides[0].name})", f"target ({sides[1].name})")
        sides = [rows_of(side, name) for side, name in zip(sides, told, strict=True)]
    return sides[0], sides[1]


def _is_empty_list(value: object) -> bool:
    return isinstance(value, (list, tuple)) and not value


def _plain_tuples(value: object) -> bool:
    return isinstance(value, list) and bool(value) and type(value[0]) is tuple


def assert_converges(
    source: object,
    target: object,
    key: str | Sequence[str] | None = None,
    names: tuple[str, str] | None = None,
    *,
    deadline_seconds: float,
    advance: Callable[[], object] | None = None,
    explain: Callable[[], str] | None = None,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    tolerance: float = 0.0,
    shown_rows: int = SHOWN_ROWS,
) -> None:
    """Compare again and again, and return when both tables hold the same rows.

    A table that is not there yet is waited for.

    Args:
        source: as in `assert_same_rows`; so are target, key, names, columns, ignore, tolerance, shown_rows.
        deadline_seconds: how long to go on, in seconds; the last comparison may end later.
        advance: called before each comparison, such as `pipeline.run_available`.
        explain: called when they did not become the same; its text goes into the error.

    Raises:
        NotConverged: an AssertionError, with what differed last and what `explain` says.
    """
    last: list[RowsDiffer | TableUnknown] = []

    def same() -> bool:
        if advance is not None:
            advance()
        try:
            assert_same_rows(
                source,
                target,
                key,
                names,
                columns=columns,
                ignore=ignore,
                tolerance=tolerance,
                shown_rows=shown_rows,
            )
        except (RowsDiffer, TableUnknown) as error:
            last[:] = [error]
            return False
        return True

    left, right = _both_names(source, target, names)
    try:
        wait_until(same, f"{right} to hold the rows of {left}", deadline_seconds=deadline_seconds)
    except DeadlinePassed as error:
        # Where `advance` waits itself, it is its deadline that passed.
        if not last:
            raise
        seen = last[0].seen if explain is None else f"{last[0].seen}\n{explain()}"
        found = last[0].differences if isinstance(last[0], RowsDiffer) else None
        raise NotConverged(error.attempted, seen, last[0].remedy, found) from None


def _both_names(source: object, target: object, names: tuple[str, str] | None) -> tuple[str, str]:
    return names if names is not None else (_name(source), _name(target))


def _name(value: object) -> str:
    return "the list" if isinstance(value, (list, tuple)) else rows_of(value).name
