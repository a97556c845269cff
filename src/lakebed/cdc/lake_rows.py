"""Rows of Delta and Iceberg tables as Arrow, read by delta-rs and PyIceberg. Use `lakebed.cdc.rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebed.errors import LakebedError, RowsUnreadable, TableUnknown, VersionExpired, VersionUnknown
from lakebed.services import s3
from lakebed.services.endpoints import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table


# A store that hangs is given up after the first answer that does not come, which is 30 s. By default it would
# be tried for 3 minutes (delta-rs documentation, "Configuring retries").
IN_TIME = {"retry_timeout": "20s"}


def open_delta(endpoint: Store | None, path: str, version: int | None = None) -> DeltaTable:
    """Open a Delta table; see `lakebed.cdc.rows.delta_rows`.

    Raises:
        TableUnknown: there is no Delta table at the path.
        VersionUnknown: it has not come to that version yet.
        VersionExpired: the log of that version has been cleaned up.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    options = None if endpoint is None else {**s3.storage_options(endpoint), **IN_TIME}
    attempted = f"open the Delta table at {path}"
    try:
        table = DeltaTable(path.replace("s3a://", "s3://", 1), storage_options=options)
    except (TableNotFoundError, OSError, DeltaError) as error:
        if isinstance(error, TableNotFoundError) or "no files in log segment" in str(error).lower():
            raise TableUnknown(
                attempted, f"no Delta table is there ({error})", "has it been written, and to this path?"
            ) from error
        raise RowsUnreadable(
            attempted, str(error), "does the S3 store run, and is the path right?"
        ) from error
    if version is not None:
        newest = table.version()
        if not 0 <= version <= newest:
            raise VersionUnknown(
                f"{attempted} at version {version}",
                f"its newest version is {newest}",
                f"ask for a version from 0 to {newest}, or for none to have the newest",
            )
        try:
            table.load_as_version(version)
        except (DeltaError, OSError) as error:
            raise VersionExpired(
                f"{attempted} at version {version}",
                f"the log of that version is gone ({error})",
                "ask for a later version, or set delta.logRetentionDuration higher before it is written",
            ) from error
    return table


def read_delta(endpoint: Store | None, path: str, version: int | None) -> pa.RecordBatchReader:
    """Open a stream of the rows of a Delta table."""
    return read_delta_table(open_delta(endpoint, path, version))


def read_delta_table(table: DeltaTable) -> pa.RecordBatchReader:
    """Open a stream of the rows of an opened Delta table."""
    import pyarrow as pa

    return pa.RecordBatchReader.from_stream(table.scan())


def open_iceberg(catalog: Catalog, identifier: str) -> Table:
    """Open an Iceberg table.

    Raises:
        TableUnknown: the catalog has none of that name.
    """
    from pyiceberg.exceptions import NoSuchTableError

    try:
        return catalog.load_table(identifier)
    except NoSuchTableError as error:
        namespace = identifier.rpartition(".")[0]
        try:
            known = ", ".join(".".join(name) for name in catalog.list_tables(namespace)) or "none"
        except Exception:
            known = "none"
        raise TableUnknown(
            f"open the Iceberg table {identifier}",
            f"the catalog has no such table; it has in {namespace}: {known}",
            "write it as namespace.table",
        ) from error


def read_iceberg(catalog: Catalog, identifier: str, snapshot_id: int | None) -> pa.RecordBatchReader:
    """Open a stream of the rows of an Iceberg table."""
    return read_iceberg_table(open_iceberg(catalog, identifier), snapshot_id)


def read_iceberg_table(table: Table, snapshot_id: int | None) -> pa.RecordBatchReader:
    """Open a stream of the rows of an opened Iceberg table."""
    if snapshot_id is not None:
        check_snapshot(table, snapshot_id)
    try:
        return table.scan(snapshot_id=snapshot_id).to_arrow_batch_reader()
    except LakebedError:
        raise
    except (ValueError, NotImplementedError) as error:
        raise RowsUnreadable(
            f"read the Iceberg table {'.'.join(table.name())}",
            f"PyIceberg cannot: {error}",
            "read it in Spark, and compare the DataFrame",
        ) from error


def check_snapshot(table: Table, snapshot_id: int) -> None:
    """Refuse a snapshot that the table does not have, naming those it has."""
    if table.metadata.snapshot_by_id(snapshot_id) is None:
        known = ", ".join(str(snapshot.snapshot_id) for snapshot in table.metadata.snapshots) or "none"
        raise VersionUnknown(
            f"read the Iceberg table {'.'.join(table.name())} at snapshot {snapshot_id}",
            f"it has these snapshots, oldest first: {known}",
            "take one of them; an expired snapshot cannot be read any more",
        )
