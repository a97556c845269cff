"""The rows of a table as Arrow, read without Spark: from PostgreSQL, Delta Lake and Iceberg."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from lakebed.services import postgres, s3
from lakebed.services.definition import LOOPBACK

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog


def postgres_rows(port: int, database: str, table: str) -> pa.Table:
    """Return a table of the stack's PostgreSQL, columns in table order."""
    from adbc_driver_postgresql import dbapi

    address = f"postgresql://{postgres.USER}:{quote(postgres.PASSWORD)}@{LOOPBACK}:{port}/{quote(database)}"
    with dbapi.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        return cursor.fetch_arrow_table()


def delta_rows(endpoint: str, path: str) -> pa.Table:
    """Return the newest version of a Delta table at an `s3a://` path, read by delta-rs."""
    import pyarrow as pa
    from deltalake import DeltaTable

    storage_options = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": s3.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": s3.SECRET_KEY,
        "AWS_REGION": s3.REGION,
        "AWS_ALLOW_HTTP": "true",
    }
    table = DeltaTable(path.replace("s3a://", "s3://", 1), storage_options=storage_options)
    return pa.table(table.to_pyarrow_table())


def iceberg_rows(catalog: Catalog, identifier: str) -> pa.Table:
    """Return the newest snapshot of an Iceberg table, read by PyIceberg."""
    return catalog.load_table(identifier).scan().to_arrow()
