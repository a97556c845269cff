"""What the screen of an Iceberg table shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from lakebed.cdc.iceberg_changes import iceberg_changes
from lakebed.cdc.lake_rows import open_iceberg
from lakebed.cdc.rows import iceberg_rows
from lakebed.ui.looking import Look
from lakebed.ui.tables import (
    Changes,
    Column,
    Commit,
    ShownRows,
    catalog_of,
    shown_changes,
    shown_properties,
    shown_rows,
)

if TYPE_CHECKING:
    from pyiceberg.table import Table

HISTORY = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIGURES = {
    "added-records": "rows written",
    "deleted-records": "rows deleted",
    "total-records": "rows in all",
}


@dataclass(frozen=True)
class IcebergDetail:
    """An Iceberg table.

    Attributes:
        name: `namespace.table`.
        location: where its files are.
        snapshot_id: of the current snapshot; None for a table that nothing was written to.
        columns: of the current schema.
        key: the columns that identify a row: of the schema, else those that may not be NULL, else the first.
        partitioned_by: the partition's fields, each with its transform.
        properties: the table's own, in one line each.
        history: its snapshots, newest first, at most `HISTORY`.
        rows: the first of the current snapshot.
    """

    name: str
    location: str
    snapshot_id: int | None
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partitioned_by: tuple[str, ...]
    properties: tuple[str, ...]
    history: tuple[Commit, ...]
    rows: ShownRows


def iceberg_table(look: Look, name: str) -> IcebergDetail:
    """Return an Iceberg table of the stack's catalog.

    Raises:
        TableUnknown: there is none of that name.
        RowsUnreadable: it cannot be read.
    """
    catalog = catalog_of(look)
    table = open_iceberg(catalog, name)
    columns = tuple(Column(one.name, str(one.field_type), not one.required) for one in table.schema().fields)
    current = table.current_snapshot()
    return IcebergDetail(
        name=name,
        location=table.location(),
        snapshot_id=None if current is None else current.snapshot_id,
        columns=columns,
        key=_key(table, columns),
        partitioned_by=tuple(f"{one.name} ({one.transform})" for one in table.spec().fields),
        properties=shown_properties(table.properties),
        history=_history(table),
        rows=shown_rows(iceberg_rows(catalog, name)),
    )


def iceberg_table_changes(
    look: Look, name: str, key: tuple[str, ...], begin: int | None, end: int | None
) -> Changes:
    """Return what changed after one snapshot of an Iceberg table, up to another.

    Args:
        look: at the stack.
        name: `namespace.table`.
        key: the columns that identify a row.
        begin: a snapshot's id; None for the empty table.
        end: a snapshot's id, its changes included; None for the newest.

    Raises:
        ChangeFeedRangeInvalid, ChangeFeedUnavailable, VersionUnknown: see `iceberg_changes`.
    """
    return shown_changes(iceberg_changes(catalog_of(look), name, key, begin, end), begin, end)


def current_snapshot(look: Look, name: str) -> int | None:
    """Return the id of an Iceberg table's current snapshot; raises as `iceberg_table`."""
    current = open_iceberg(catalog_of(look), name).current_snapshot()
    return None if current is None else current.snapshot_id


def _key(table: Table, columns: tuple[Column, ...]) -> tuple[str, ...]:
    declared = tuple(sorted(table.schema().identifier_field_names()))
    required = tuple(column.name for column in columns if not column.is_nullable)
    return declared or required or tuple(column.name for column in columns[:1])


def _history(table: Table) -> tuple[Commit, ...]:
    commits = []
    for snapshot in reversed(table.metadata.snapshots[-HISTORY:]):
        summary = snapshot.summary
        told = {} if summary is None else dict(summary.additional_properties)
        figures = [f"{words}: {told[key]}" for key, words in _FIGURES.items() if told.get(key, "0") != "0"]
        commits.append(
            Commit(
                snapshot.snapshot_id,
                (_EPOCH + timedelta(milliseconds=snapshot.timestamp_ms)).isoformat(),
                "" if summary is None else summary.operation.value,
                ", ".join(figures),
            )
        )
    return tuple(commits)
