"""Rows of Python objects and pandas frames as Arrow. Use `lakebed.cdc.rows.rows_of`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakebed.errors import NotComparable

if TYPE_CHECKING:
    import pandas
    import pyarrow as pa


def read(rows: Sequence[Any], columns: Sequence[str] | None) -> pa.RecordBatchReader:
    """Open a stream of dicts, dataclasses, named tuples or tuples.

    Raises:
        NotComparable: a row is of another kind, has other fields than columns, or a column's values are of
            kinds that cannot stand in one column.
    """
    import pyarrow as pa

    named = [_fields(row, position, columns) for position, row in enumerate(rows)]
    names = (
        list(columns) if columns is not None else list(dict.fromkeys(name for row in named for name in row))
    )
    arrays = []
    for name in names:
        values = [row.get(name) for row in named]
        try:
            arrays.append(pa.array(values))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError) as error:
            raise NotComparable(
                f"read the column {name!r} of a list of {len(rows)} rows",
                f"its values have no common Arrow type: {error}",
                "give values of one type, or a pyarrow.Table with a schema",
            ) from error
    return pa.table(arrays, names=names).to_reader()


def _fields(row: Any, position: int, columns: Sequence[str] | None) -> Mapping[str, Any]:
    if isinstance(row, Mapping):
        return row
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    if isinstance(row, (tuple, list)):
        names = columns if columns is not None else getattr(row, "_fields", None)
        if names is None:
            raise NotComparable(
                "read a list of tuples as rows",
                "it is not known which columns their values stand for",
                'name them: rows_of(rows, columns=["id", "name"])',
            )
        if len(names) != len(row):
            raise NotComparable(
                f"read row {position} of a list of tuples",
                f"it has {len(row)} values for the {len(names)} columns {', '.join(names)}: {row!r}",
                "give each row a value for every column",
            )
        return dict(zip(names, row, strict=True))
    raise NotComparable(
        f"read row {position} of a list",
        f"it is a {type(row).__name__}",
        "give dicts, dataclasses, named tuples, or tuples with columns=[...]",
    )


def read_pandas(frame: pandas.DataFrame) -> pa.RecordBatchReader:
    """Open a stream of a pandas frame; its index is no column."""
    import pyarrow as pa

    try:
        return pa.Table.from_pandas(frame, preserve_index=False).to_reader()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise NotComparable(
            "read a pandas DataFrame as rows",
            f"a column's values have no common Arrow type: {error}",
            "bring the column to one type: `frame.astype({...})`",
        ) from error
