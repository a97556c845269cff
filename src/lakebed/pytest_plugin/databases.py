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
        # A server of lakebed's own is of a version that knows it, and writes nothing to the disk for certain.
        self._strategy = "" if "postgres" in addresses.attached else " STRATEGY file_copy"
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

        # Copying files is quicker than writing them to the log for a database that small
        # (PostgreSQL documentation, "CREATE DATABASE", STRATEGY).
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}{}")
        strategy = sql.SQL(self._strategy)
        named = statement.format(sql.Identifier(name), sql.Identifier(template), strategy)
        administer(self._server, lambda connection: connection.execute(named))

    def connect(self, name: str) -> psycopg.Connection[Any]:
        """Return a connection in autocommit mode."""
        return postgres.connect(self._server, name)

    def close(self) -> None:
        """Remove the template."""
        if self._template != _EMPTY:
            self._stack.remove(("database", self._template))
