"""What the screen of a Delta table shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebed.cdc.change_feed import PROPERTY, change_feed
from lakebed.cdc.delta_log import commit_files, commit_times
from lakebed.cdc.lake_rows import open_delta
from lakebed.cdc.rows import delta_rows
from lakebed.errors import TableUnknown
from lakebed.ui.cells import cell
from lakebed.ui.looking import Look
from lakebed.ui.tables import Changes, Column, Commit, ShownRows, shown_changes, shown_properties, shown_rows

if TYPE_CHECKING:
    from deltalake import DeltaTable

HISTORY = 100


@dataclass(frozen=True)
class DeltaDetail:
    """A Delta table.

    Attributes:
        path: `s3a://bucket/key`.
        version: its newest.
        columns: of that version.
        partitioned_by: names of columns.
        properties: the table's own, in one line each.
        records_changes: whether there is a change feed.
        history: its commits, newest first, at most `HISTORY`.
        rows: the first of the newest version.
    """

    path: str
    version: int
    columns: tuple[Column, ...]
    partitioned_by: tuple[str, ...]
    properties: tuple[str, ...]
    records_changes: bool
    history: tuple[Commit, ...]
    rows: ShownRows


def delta_table(look: Look, path: str) -> DeltaDetail:
    """Return a Delta table of the stack's store.

    Raises:
        TableUnknown: there is none at the path, or the path is in no store.
        RowsUnreadable: it cannot be read.
    """
    endpoint = look.addresses.s3
    _check_path(path)
    table = open_delta(endpoint, path)
    metadata = table.metadata()
    fields = json.loads(table.schema().to_json())["fields"]
    return DeltaDetail(
        path=path,
        version=table.version(),
        columns=tuple(Column(one["name"], _type_name(one["type"]), one["nullable"]) for one in fields),
        partitioned_by=tuple(metadata.partition_columns),
        properties=shown_properties(metadata.configuration),
        records_changes=metadata.configuration.get(PROPERTY, "false").lower() == "true",
        history=_history(table, look, path),
        rows=shown_rows(delta_rows(endpoint, path)),
    )


def delta_changes(look: Look, path: str, begin: int | None, end: int | None) -> Changes:
    """Return the changes of a Delta table from one version to another, both included.

    Raises:
        ChangeFeedDisabled, ChangeFeedRangeInvalid, VersionUnknown, VersionExpired: see `change_feed`.
    """
    _check_path(path)
    feed = change_feed(path, from_version=begin, to_version=end, endpoint=look.addresses.s3)
    return shown_changes(feed, begin, end)


def newest_version(look: Look, path: str) -> int:
    """Return the newest version of a Delta table; raises as `delta_table`."""
    _check_path(path)
    return open_delta(look.addresses.s3, path).version()


def _check_path(path: str) -> None:
    """Refuse folders of this machine: the page shows the stack's store, and nothing else."""
    if not path.startswith(("s3a://", "s3://")):
        raise TableUnknown(
            f"open the Delta table at {path}", "the path is in no S3 store", "write s3a://bucket/key"
        )


def _history(table: DeltaTable, look: Look, path: str) -> tuple[Commit, ...]:
    times = commit_times(commit_files(look.addresses.s3, path), 0)
    commits = []
    for entry in table.history(HISTORY):
        version = int(entry["version"])
        at = times[version].isoformat() if version in times else ""
        commits.append(Commit(version, at, str(entry.get("operation", "")), _figures(entry)))
    return tuple(commits)


def _figures(entry: dict[str, Any]) -> str:
    """Return how many rows and files a commit brought and took, as its writer says it."""
    metrics = entry.get("operationMetrics") or {}
    told = {
        "numTargetRowsInserted": "inserted",
        "numTargetRowsUpdated": "updated",
        "numTargetRowsDeleted": "deleted",
        "num_target_rows_inserted": "inserted",
        "num_target_rows_updated": "updated",
        "num_target_rows_deleted": "deleted",
        "numOutputRows": "rows written",
        "num_added_rows": "rows written",
        "num_updated_rows": "updated",
        "num_deleted_rows": "deleted",
    }
    figures = [f"{words}: {metrics[key]}" for key, words in told.items() if str(metrics.get(key, "0")) != "0"]
    return ", ".join(figures)


def _type_name(kind: Any) -> str:
    """Return a type of Delta's schema as SQL writes it (Delta protocol, "Schema Serialization Format")."""
    if not isinstance(kind, dict):
        return str(kind)
    if kind.get("type") == "array":
        return f"array<{_type_name(kind['elementType'])}>"
    if kind.get("type") == "map":
        return f"map<{_type_name(kind['keyType'])}, {_type_name(kind['valueType'])}>"
    if kind.get("type") == "struct":
        fields = (f"{one['name']}: {_type_name(one['type'])}" for one in kind["fields"])
        return f"struct<{', '.join(fields)}>"
    return cell(kind)
