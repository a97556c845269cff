"""The databases of tests: clones of one template."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebed.services import postgres
from lakebed.services.postgres_connection import administer

if TYPE_CHECKING:
    import psycopg

    from lakebed.pytest_plugin.session import SessionStack

_EMPTY = "template1"
_STRATEGIES_SINCE = 150000


class OwnDatabases:
    """Makes a database for each test.

    Args:
        stack: of the session.
        template_sql: a file of SQL to fill a template with, if there is one.
    """

    def __init__(self, stack: SessionStack, template_sql: Path | None) -> None:
        self._stack = stack
        addresses = stack.need("postgres")
        self._server = addresses.postgres
        self._is_own = "postgres" not in addresses.attached
        self._template = _EMPTY
        if template_sql is not None:
            self._template = f"template_{uuid.uuid4().hex[:8]}"
            stack.record("database", self._template)
            self._clone(_EMPTY, self._template)
            with self.connect(self._template) as connection:
                connection.execute(template_sql.read_text().encode())

    def make(self, name: str) -> None:
        """Make a database with all that the template holds."""
        self._clone(self._template, name)

    def _clone(self, template: str, name: str) -> None:
        from psycopg import sql

        def clone(connection: psycopg.Connection[Any]) -> None:
            # Copying files is quicker than writing them to the log for a database that small, and the only
            # way before version 15 (PostgreSQL documentation, "CREATE DATABASE", STRATEGY). But it writes
            # to the disk for certain, on servers that do so.
            strategic = self._is_own and connection.info.server_version >= _STRATEGIES_SINCE
            strategy = sql.SQL(" STRATEGY file_copy" if strategic else "")
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}{}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template), strategy))

        administer(self._server, clone)

    def connect(self, name: str) -> psycopg.Connection[Any]:
        """Return a connection in autocommit mode."""
        return postgres.connect(self._server, name)

    def close(self) -> None:
        """Remove the template."""
        if self._template != _EMPTY:
            self._stack.remove(("database", self._template))
