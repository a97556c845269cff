"""What changed from one state of a table to the next, by key, as the rows of a change data feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakebed.cdc.change_feed import CHANGE_TYPE
from lakebed.cdc.compare_rows import pair_rows
from lakebed.cdc.compared_columns import ComparedColumns, columns_to_compare
from lakebed.cdc.difference import Differences
from lakebed.cdc.stored_rows import restored, store, temporary_database
from lakebed.config.change_feed import ChangeType
from lakebed.errors import ChangeFeedUnavailable

if TYPE_CHECKING:
    import pyarrow as pa

# Which table a change's row is taken from, and which rows of `pairs` it stands for.
_CHANGES = (
    (ChangeType.DELETE, "source", "t IS NULL"),
    (ChangeType.UPDATE_PREIMAGE, "source", "s IS NOT NULL AND t IS NOT NULL"),
    (ChangeType.UPDATE_POSTIMAGE, "target", "s IS NOT NULL AND t IS NOT NULL"),
    (ChangeType.INSERT, "target", "s IS NULL"),
)


def changes_between(
    states: Sequence[pa.RecordBatchReader], key: Sequence[str], name: str, version: int
) -> pa.Table:
    """Return the changes from the first state to the second: the table's columns, then `_change_type`.

    Raises:
        ChangeFeedUnavailable: a key is there twice.
    """
    import pyarrow as pa

    before, after = states
    names = (f"{name} before {version}", f"{name} at {version}")
    schemas = before.schema, after.schema
    compared = columns_to_compare(schemas, names, key, columns=None, ignore=(), tolerance=0.0)
    assert not isinstance(compared, Differences)
    with temporary_database() as database:
        store(database, "source", before, compared.names, names[0])
        store(database, "target", after, compared.names, names[1])
        repeated = pair_rows(database, compared)
        if any(repeated):
            raise ChangeFeedUnavailable(
                f"read the changes of {name}",
                f"{max(repeated):,} keys of {', '.join(key)} are there more than once at or before {version}",
                "give the columns that identify a row",
            )
        parts = []
        for kind, table, which in _CHANGES:
            side = table[0]
            rows = database.sql(
                f"SELECT {table}.* FROM pairs JOIN {table} ON {table}.rowid = pairs.{side} WHERE {which}"
            ).to_arrow_table()
            parts.append(
                _as_it_was(rows, compared, table).append_column(CHANGE_TYPE, [[kind.value] * len(rows)])
            )
    return pa.concat_tables(parts, promote_options="permissive")


def _as_it_was(rows: pa.Table, compared: ComparedColumns, table: str) -> pa.Table:
    import pyarrow as pa

    kinds = compared.source if table == "source" else compared.target
    columns = [restored(column, kind) for column, kind in zip(rows.columns, kinds.values(), strict=True)]
    return pa.table(columns, names=list(kinds))
