"""What the screens of Delta and Iceberg tables have in common, and the list of all tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from lakebed.cdc.change_feed import CHANGE_TYPE, COMMIT_TIMESTAMP, COMMIT_VERSION
from lakebed.cdc.rows import Rows
from lakebed.clients.catalog import open_catalog
from lakebed.clients.object_store import object_store
from lakebed.config.secrets import MASK, is_secret_name, mask_text
from lakebed.errors import LakebedError
from lakebed.services.s3 import DELTA_BUCKET, WAREHOUSE_BUCKET
from lakebed.ui.cells import cell
from lakebed.ui.looking import Look

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem
    from pyiceberg.catalog import Catalog

SHOWN_ROWS = 50
SHOWN_CHANGES = 200
# How deep below a bucket Delta tables are looked for, and how many folders are looked into.
_DEPTH = 4
_MOST_FOLDERS = 500
_LOG = "_delta_log"


@dataclass(frozen=True)
class TableList:
    """All tables: paths of Delta tables, names of Iceberg tables; and what could not be asked."""

    delta: tuple[str, ...]
    iceberg: tuple[str, ...]
    troubles: tuple[LakebedError, ...]


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its type in the table's own words, whether it may be NULL."""

    name: str
    type: str
    is_nullable: bool


@dataclass(frozen=True)
class Commit:
    """An entry of a table's history.

    Attributes:
        version: of Delta, or the snapshot's id.
        at: ISO 8601 in UTC.
        operation: as whoever wrote it calls it.
        details: figures, in one line.
    """

    version: int
    at: str
    operation: str
    details: str


@dataclass(frozen=True)
class ShownRows:
    """The first rows, each value as a text; `is_cut` when there are more."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_cut: bool


@dataclass(frozen=True)
class Change:
    """A change of a row: `kind` is insert, update_preimage, update_postimage or delete."""

    kind: str
    version: int
    at: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Changes:
    """The changes between two versions, oldest commit first; `is_cut` when there are more."""

    begin: int | None
    end: int | None
    columns: tuple[str, ...]
    changes: tuple[Change, ...]
    is_cut: bool


def tables(look: Look) -> TableList:
    """Return every table of the stack. A store or catalog that does not answer is a trouble in the list."""
    delta: tuple[str, ...] = ()
    iceberg: tuple[str, ...] = ()
    troubles: list[LakebedError] = []
    if look.has("s3"):
        try:
            delta = tuple(_delta_paths(look))
        except OSError as error:
            seen = mask_text(str(error))
            troubles.append(LakebedError("look for Delta tables", seen, "see `lakebed logs s3`"))
    if look.has("iceberg-rest"):
        try:
            iceberg = tuple(_iceberg_names(catalog_of(look)))
        except Exception as error:  # PyIceberg raises what its HTTP client, and the catalog, make of it
            seen = mask_text(f"{type(error).__name__}: {error}")
            troubles.append(LakebedError("list the Iceberg tables", seen, "see `lakebed logs iceberg-rest`"))
    return TableList(delta, iceberg, tuple(troubles))


def shown_properties(properties: Mapping[str, str]) -> tuple[str, ...]:
    """Return a table's properties, sorted, in one line each, without secrets."""
    return tuple(
        f"{name} = {MASK if is_secret_name(name) else mask_text(value)}"
        for name, value in sorted(properties.items())
    )


def catalog_of(look: Look) -> Catalog:
    """Open the stack's Iceberg catalog."""
    return open_catalog(
        look.addresses.iceberg_catalog_config(),
        more=look.addresses.iceberg_client_properties(),
        ca_file=look.addresses.iceberg_rest.ca_file,
    )


def shown_rows(rows: Rows) -> ShownRows:
    """Return the first rows of a table."""
    reader = rows.batches()
    names = tuple(reader.schema.names)
    found = list(islice(_values(reader), SHOWN_ROWS + 1))
    shown = tuple(tuple(cell(row[name]) for name in names) for row in found[:SHOWN_ROWS])
    return ShownRows(names, shown, len(found) > SHOWN_ROWS)


def shown_changes(rows: Rows, begin: int | None, end: int | None) -> Changes:
    """Return the first changes of a feed, by commit; within one, a change's old row before its new one."""
    reader = rows.batches()
    feed = (CHANGE_TYPE, COMMIT_VERSION, COMMIT_TIMESTAMP)
    names = tuple(name for name in reader.schema.names if name not in feed)
    found = list(islice(_values(reader), SHOWN_CHANGES + 1))
    changes = [
        Change(
            str(row[CHANGE_TYPE]),
            int(str(row[COMMIT_VERSION])),
            cell(row[COMMIT_TIMESTAMP]).strip('"'),
            tuple(cell(row[name]) for name in names),
        )
        for row in found[:SHOWN_CHANGES]
    ]
    return Changes(begin, end, names, tuple(ordered(changes)), len(found) > SHOWN_CHANGES)


def ordered(changes: list[Change]) -> list[Change]:
    """Return changes by the time of their commit, and within one by row, its old version first."""
    return sorted(changes, key=lambda one: (one.at, one.version, one.values[:1], _RANK.get(one.kind, 0)))


_RANK = {"delete": 0, "update_preimage": 1, "update_postimage": 2, "insert": 3}


def _values(reader: pa.RecordBatchReader) -> Iterator[dict[str, object]]:
    for batch in reader:
        yield from batch.to_pylist()


def _delta_paths(look: Look) -> Iterator[str]:
    store = object_store(look.addresses.s3)
    is_own = "s3" not in look.addresses.attached
    buckets = (DELTA_BUCKET, WAREHOUSE_BUCKET) if is_own else (look.addresses.s3.delta_bucket,)
    for path in sorted(found for bucket in buckets for found in _with_log(store, bucket)):
        yield f"s3a://{path}"


def _with_log(store: FileSystem, bucket: str) -> Iterator[str]:
    from pyarrow.fs import FileSelector, FileType

    folders, looked_into = [(bucket, 0)], 0
    while folders and looked_into < _MOST_FOLDERS:
        folder, depth = folders.pop(0)
        looked_into += 1
        inside = store.get_file_info(FileSelector(folder, allow_not_found=True))
        below = [one.path for one in inside if one.type is FileType.Directory]
        if any(path.endswith(f"/{_LOG}") for path in below):
            yield folder
        elif depth < _DEPTH:
            folders += [(path, depth + 1) for path in below]


def _iceberg_names(catalog: Catalog) -> Iterator[str]:
    for namespace in sorted(catalog.list_namespaces()):
        for table in sorted(catalog.list_tables(namespace)):
            yield ".".join(table)
