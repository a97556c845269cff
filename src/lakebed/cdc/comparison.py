"""Are two tables the same, row for row and column for column? Arrow in, no Python object per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakebed.errors import RowsDiffer

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_ROWS = 5


def assert_same_rows(source: pa.Table, target: pa.Table, key: Sequence[str], names: tuple[str, str]) -> None:
    """Return when both tables hold the same rows; the order of rows and columns does not matter.

    Types are brought to those of `source` first (a time stamp with a zone and one without it in UTC are the
    same instant); a value that does not fit its type there is a difference.

    Args:
        source: what should be.
        target: what is.
        key: the columns that identify a row.
        names: of both, for the error.

    Raises:
        RowsDiffer: with counts of missing, extra and differing rows and the first of each.
    """
    problems = differences(source, target, key)
    if problems:
        raise RowsDiffer(
            f"compare {names[0]} with {names[1]}",
            "\n".join(problems),
            "see whether all has arrived (`wait_for_barrier`), then what the pipeline does with these rows",
        )


def differences(source: pa.Table, target: pa.Table, key: Sequence[str]) -> list[str]:
    """Return what differs, a line each; nothing when the tables are the same."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if set(source.column_names) != set(target.column_names):
        missing = sorted(set(source.column_names) - set(target.column_names))
        extra = sorted(set(target.column_names) - set(source.column_names))
        return [f"columns missing: {missing}, extra: {extra}"]
    source = _plain(source)
    try:
        target = _plain(target).select(source.column_names).cast(source.schema)
    except pa.ArrowInvalid as error:
        return [f"a value does not fit its column's type in the source: {error}"]
    order = [(name, "ascending") for name in key]
    source, target = source.sort_by(order), target.sort_by(order)
    problems = []
    for text, left, right in (("missing", source, target), ("extra", target, source)):
        alone = left.select(list(key)).join(right.select(list(key)), keys=list(key), join_type="left anti")
        if alone.num_rows:
            problems.append(
                f"{alone.num_rows} rows {text}, the first: {alone.slice(0, SHOWN_ROWS).to_pylist()}"
            )
    if problems or source.num_rows != target.num_rows:
        return problems or [f"{source.num_rows} rows against {target.num_rows}: a key stands there twice"]
    for name in source.column_names:
        left, right = source[name], target[name]
        same = pc.or_(pc.fill_null(pc.equal(left, right), False), pc.and_(left.is_null(), right.is_null()))
        if pa.types.is_floating(left.type):
            # In SQL as in Java NaN equals itself, and is not NULL.
            both_nan = pc.fill_null(pc.and_(pc.is_nan(left), pc.is_nan(right)), False)
            same = pc.or_(same, both_nan)
        differing = pc.invert(same)
        count = pc.sum(differing).as_py() or 0
        if count:
            rows = pc.indices_nonzero(differing).slice(0, SHOWN_ROWS)
            shown = zip(
                source.select(list(key)).take(rows).to_pylist(),
                left.take(rows).to_pylist(),
                right.take(rows).to_pylist(),
                strict=True,
            )
            lines = "; ".join(f"{at}: {should!r} is {is_!r}" for at, should, is_ in shown)
            problems.append(f"column {name}: {count} rows differ, the first: {lines}")
    return problems


def _plain(table: pa.Table) -> pa.Table:
    """Return the table with instants as microseconds in UTC and strings of one kind: stores differ here."""
    import pyarrow as pa

    def plain(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_timestamp(kind):
            return pa.timestamp("us", "UTC")
        if pa.types.is_large_string(kind) or kind == pa.string_view():
            return pa.string()
        return kind

    for position, field in enumerate(table.schema):
        kind = plain(field.type)
        if kind != field.type:
            table = table.set_column(position, field.name, table[field.name].cast(kind))
    fields = [pa.field(field.name, field.type) for field in table.schema]
    return table.cast(pa.schema(fields))
