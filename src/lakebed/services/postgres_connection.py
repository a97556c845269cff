"""Connections to the PostgreSQL of a stack, as the contract's user."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from lakebed.config.debezium import DebeziumConnectorConfig
from lakebed.config.endpoints import PostgresEndpoint
from lakebed.services.endpoints import postgres_on

if TYPE_CHECKING:
    import psycopg

_CONTRACT = DebeziumConnectorConfig(name="contract")
USER = _CONTRACT.database_user
PASSWORD = _CONTRACT.database_password
DATABASE = _CONTRACT.database_dbname
ADMINISTRATION_DATABASE = "postgres"

T = TypeVar("T")

_idle: dict[PostgresEndpoint, list[psycopg.Connection[tuple[Any, ...]]]] = {}
_lock = Lock()


Server = int | PostgresEndpoint
"""A server of lakebed's own, by its port, or any by its endpoint."""


def endpoint_of(server: Server) -> PostgresEndpoint:
    """Return the endpoint of a server."""
    return postgres_on(server) if isinstance(server, int) else server


def connect(server: Server, database: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection in autocommit mode to a database of a server."""
    import psycopg

    parameters = endpoint_of(server).connection_parameters()
    return psycopg.connect(**parameters, dbname=database, autocommit=True, connect_timeout=5)


def administer(server: Server, work: Callable[[psycopg.Connection[tuple[Any, ...]]], T]) -> T:
    """Do `work` with a connection that is kept for the next time: to connect costs more than to drop a slot.

    It is to a database that is always there, so that no test's own database is held. May be called from any
    thread: each has a connection for itself meanwhile. One that a restart of the server has broken is
    replaced, and the work done again with the new one.
    """
    import psycopg

    endpoint = endpoint_of(server)
    while True:
        with _lock:
            idle = _idle.setdefault(endpoint, [])
            kept = idle.pop() if idle else None
        connection = connect(endpoint, endpoint.database) if kept is None else kept
        try:
            return work(connection)
        except psycopg.OperationalError:
            if kept is None or not connection.closed:
                raise
        except Exception:
            raise
        except BaseException:
            # In the middle of a command (the test's time was up), whose answer would be taken for the next's.
            connection.close()
            raise
        finally:
            if not connection.closed:
                with _lock:
                    idle.append(connection)
