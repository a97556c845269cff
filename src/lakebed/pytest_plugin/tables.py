"""The fixtures that read tables of the stack: `table_rows` and `change_feed`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

    from lakebed.cdc.rows import Rows
    from lakebed.config.endpoints import S3Endpoint
    from lakebed.pytest_plugin.session import SessionStack


class TableRows:
    """Reads tables of the test; a service is asked for when its method is called, and not before."""

    def __init__(self, request: pytest.FixtureRequest, stack: SessionStack) -> None:
        self._request = request
        self._stack = stack

    def postgres(self, table_or_query: str, name: str | None = None) -> Rows:
        """Return the rows of a table or query of the test's own database; see `postgres_rows`."""
        from lakebed.cdc.rows import postgres_rows

        return postgres_rows(self._request.getfixturevalue("postgres_connection"), table_or_query, name)

    def delta(self, path: str, version: int | None = None, name: str | None = None) -> Rows:
        """Return the rows of a Delta table; see `delta_rows`."""
        from lakebed.cdc.rows import delta_rows

        return delta_rows(s3_endpoint(self._stack, path), path, version, name)

    def iceberg(self, identifier: str, snapshot_id: int | None = None, name: str | None = None) -> Rows:
        """Return the rows of an Iceberg table; see `iceberg_rows`."""
        from lakebed.cdc.rows import iceberg_rows

        return iceberg_rows(self._catalog(), identifier, snapshot_id, name)

    def _catalog(self) -> Catalog:
        catalog: Catalog = self._request.getfixturevalue("iceberg_catalog")
        return catalog


class ChangeFeeds:
    """Reads the changes of the test's tables: called, of a Delta table; `iceberg`, of an Iceberg table."""

    def __init__(self, request: pytest.FixtureRequest, stack: SessionStack) -> None:
        self._request = request
        self._stack = stack

    def __call__(
        self,
        path: str,
        from_version: int | None = None,
        from_timestamp: datetime | None = None,
        to_version: int | None = None,
        to_timestamp: datetime | None = None,
        *,
        spark: SparkSession | None = None,
    ) -> Rows:
        """Return the change feed of a Delta table; see `lakebed.cdc.change_feed.change_feed`."""
        from lakebed.cdc.change_feed import change_feed as feed

        return feed(
            path,
            from_version,
            from_timestamp,
            to_version,
            to_timestamp,
            endpoint=s3_endpoint(self._stack, path),
            spark=spark,
        )

    def iceberg(
        self,
        identifier: str,
        key: str | Sequence[str],
        from_snapshot_id: int | None = None,
        to_snapshot_id: int | None = None,
        *,
        spark: SparkSession | None = None,
    ) -> Rows:
        """Return the changes of an Iceberg table; see `lakebed.cdc.iceberg_changes.iceberg_changes`."""
        from lakebed.cdc.iceberg_changes import iceberg_changes

        catalog: Any = self._request.getfixturevalue("iceberg_catalog")
        return iceberg_changes(catalog, identifier, key, from_snapshot_id, to_snapshot_id, spark=spark)


def s3_endpoint(stack: SessionStack, path: str) -> S3Endpoint | None:
    """Return the stack's S3 store when the path is in one; a folder needs no server."""
    return stack.need("s3").s3 if path.startswith(("s3a://", "s3://")) else None


@pytest.fixture
def table_rows(request: pytest.FixtureRequest, lakebed_stack: SessionStack) -> TableRows:
    """Rows of the test's tables: `.postgres("orders")`, `.delta(path)`, `.iceberg("namespace.table")`."""
    return TableRows(request, lakebed_stack)


@pytest.fixture
def change_feed(request: pytest.FixtureRequest, lakebed_stack: SessionStack) -> ChangeFeeds:
    """Changes of the test's tables: `change_feed(path, from_version=1)`, `change_feed.iceberg(...)`."""
    return ChangeFeeds(request, lakebed_stack)
