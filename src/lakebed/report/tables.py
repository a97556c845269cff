"""Which version of a table of the lake brought which changes: told by the tables themselves.

A pipeline of lakebed's writes into each commit how far the table has come in its topic, so that what is told
here holds for pipelines in other processes and after crashes as well; see `lakebed.cdc.progress`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lakebed.cdc.progress import PROPERTY, Progress
from lakebed.report.records import TableCommit

if TYPE_CHECKING:
    from lakebed.stack.addresses import Addresses

_MOST_VERSIONS = 200
_DELTA, _ICEBERG = "delta.", "iceberg."


def shown_table(name: str) -> str:
    """Return how a table that Spark calls so is called in a report: "delta s3a://..." or "iceberg ns.t"."""
    if name.startswith(_DELTA):
        return f"delta {name.removeprefix(_DELTA).strip('`')}"
    return f"iceberg {name.removeprefix(_ICEBERG)}"


def table_commits(addresses: Addresses, tables: Iterable[str]) -> tuple[list[TableCommit], list[str]]:
    """Return the versions of tables that brought changes, and what could not be read, and why.

    Args:
        addresses: of the S3 store and the catalog.
        tables: as `shown_table` calls them.
    """
    commits: list[TableCommit] = []
    problems: list[str] = []
    for table in tables:
        kind, _, name = table.partition(" ")
        try:
            if kind == "delta":
                commits += _of_delta(table, name, addresses.delta_storage_options())
            else:
                commits += _of_iceberg(table, name, addresses)
        except ImportError as error:
            problems.append(f"versions of {table}: not observed, {error.name} is not installed")
        except Exception as error:  # a table that is gone, or a store that is, is no news of the report's
            told = str(error).splitlines()[0] if str(error) else ""
            problems.append(f"versions of {table}: not observed ({type(error).__name__}: {told})")
    return commits, problems


def commit_of(table: str, version: str, committed: float, progress: Progress) -> TableCommit:
    """Return a commit with how far it brought the table."""
    offsets = {number: one.offset for number, one in progress.partitions.items()}
    return TableCommit(table, version, committed, progress.topic, offsets)


def _of_delta(table: str, path: str, storage_options: Mapping[str, str]) -> Sequence[TableCommit]:
    from deltalake import DeltaTable

    opened = DeltaTable(path.replace("s3a://", "s3://", 1), storage_options=dict(storage_options))
    commits = []
    for commit in opened.history(_MOST_VERSIONS):
        progress = Progress.from_json(commit.get("userMetadata"))
        if progress is not None:
            commits.append(commit_of(table, str(commit["version"]), commit["timestamp"] / 1000, progress))
    return commits


def _of_iceberg(table: str, identifier: str, addresses: Addresses) -> Sequence[TableCommit]:
    from lakebed.clients.catalog import open_catalog

    catalog = open_catalog(
        addresses.iceberg_catalog_config(),
        more=addresses.iceberg_client_properties(),
        ca_file=addresses.iceberg_rest.ca_file,
    )
    commits = []
    for snapshot in catalog.load_table(identifier).snapshots()[-_MOST_VERSIONS:]:
        summary = snapshot.summary
        progress = Progress.from_json(
            None if summary is None else summary.additional_properties.get(PROPERTY)
        )
        if progress is not None:
            committed = snapshot.timestamp_ms / 1000
            commits.append(commit_of(table, str(snapshot.snapshot_id), committed, progress))
    return commits


def with_noticed(commits: Iterable[TableCommit], noticed: Iterable[TableCommit]) -> list[TableCommit]:
    """Return the commits of tables that told of theirs; of the others, those that a pipeline told of."""
    found = list(commits)
    told = {commit.table for commit in found}
    return found + [commit for commit in noticed if commit.table not in told]
