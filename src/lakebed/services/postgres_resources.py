"""What tests make in PostgreSQL: found, and removed for certain, whoever still uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lakebed.errors import DeadlinePassed
from lakebed.services.definition import Place, ResourceKind
from lakebed.services.postgres_connection import (
    ADMINISTRATION_DATABASE,
    DATABASE,
    USER,
    Server,
    administer,
    connect,
)
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]

T = TypeVar("T")

_OWN_DATABASES = (DATABASE, ADMINISTRATION_DATABASE, "template1", "template0")

_DESCRIBE_SLOT = (
    "SELECT active, wal_status, restart_lsn, confirmed_flush_lsn"
    " FROM pg_replication_slots WHERE slot_name = %s"
)
# How long one who streams from a slot has to leave by himself, as a connector does that was deleted.
_LEAVE_SECONDS = 3.0
_END_STREAMING = (
    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
    " WHERE slot_name = %s AND active_pid IS NOT NULL"
)
_SLOTS_IN_USE = "SELECT slot_name FROM pg_replication_slots WHERE database = %s AND active"
# A temporary slot goes with its connection.
_SLOTS = "SELECT slot_name FROM pg_replication_slots WHERE NOT temporary"
_DATABASES = "SELECT datname FROM pg_database"
# A connection to template1 would keep others from making databases.
_SEARCHED = "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1'"
_ROLES = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'"
_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
_PUBLICATIONS = "SELECT pubname FROM pg_publication"
# What belongs to a column, a partitioned table or an extension goes with that (PostgreSQL documentation,
# "pg_depend").
_TABLES = (
    "SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
    " WHERE relkind = ANY('{r,p,v,m,f,S}') AND nspname !~ '^pg_' AND nspname <> 'information_schema'"
    " AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid"
    " AND deptype IN ('a', 'i', 'e'))"
)
_TABLE = (
    "SELECT nspname, relname, relkind::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
    " WHERE pg_class.oid = to_regclass(%s)"
)
_LOCK_TIMEOUT = "SET lock_timeout = '5s'"
_CALLED = {"v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE", "S": "SEQUENCE"}


def describe_slot(postgres: Connection, slot_name: str) -> str:
    """Return what PostgreSQL knows of a slot, for an error."""
    row = postgres.execute(_DESCRIBE_SLOT, [slot_name]).fetchone()
    if row is None:
        return "does not exist"
    return f"active={row[0]} wal_status={row[1]} restart_lsn={row[2]} confirmed_flush_lsn={row[3]}"


def drop_slot(postgres: Connection, slot_name: str, *, deadline_seconds: float = 30.0) -> None:
    """Wait until nobody streams from a slot, then drop it. A slot that does not exist is no error.

    A slot in use cannot be dropped (PostgreSQL documentation, "Replication Slots"), and a connector that
    was deleted closes its connection a moment later.

    Args:
        postgres: a connection in autocommit mode, to any database.
        slot_name: which slot.
        deadline_seconds: how long to wait.

    Raises:
        DeadlinePassed: the slot stayed active.
    """
    import psycopg

    def dropped() -> bool:
        row = postgres.execute(
            "SELECT active FROM pg_replication_slots WHERE slot_name = %s", [slot_name]
        ).fetchone()
        if row is None:
            return True
        if row[0]:
            return False
        postgres.execute("SELECT pg_drop_replication_slot(%s)", [slot_name])
        return True

    wait_until(
        dropped,
        f"replication slot {slot_name!r} to be dropped",
        deadline_seconds=deadline_seconds,
        longest_pause_seconds=0.02,
        ignore=(psycopg.errors.ObjectInUse, psycopg.errors.UndefinedObject),
        explain=lambda: describe_slot(postgres, slot_name),
        remedy="a connector still streams from it; delete that first",
    )


def drop_database(postgres: Connection, database: str, *, deadline_seconds: float = 30.0) -> None:
    """Drop a database, ending the connections to it. One that does not exist is no error.

    While somebody streams from a slot of it, PostgreSQL refuses; a connector's task that was being started
    when its connector was deleted does so for a moment.

    Args:
        postgres: a connection in autocommit mode to another database.
        database: which to drop.
        deadline_seconds: how long to wait.

    Raises:
        DeadlinePassed: it stayed in use.
    """
    import psycopg
    from psycopg import sql

    def dropped() -> bool:
        name = sql.Identifier(database)
        try:
            postgres.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        except psycopg.errors.WrongObjectType:  # it was made a template
            postgres.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(name))
            return False
        return True

    wait_until(
        dropped,
        f"database {database!r} to be dropped",
        deadline_seconds=deadline_seconds,
        ignore=(psycopg.errors.ObjectInUse,),
        remedy="see who uses it in pg_stat_activity and pg_replication_slots",
    )


def _names(connection: Connection, query: str) -> list[str]:
    return [name for (name,) in connection.execute(query.encode()).fetchall()]


def _in_cluster(query: str, *, own: tuple[str, ...] = ()) -> Callable[[Place], Mapping[str, str]]:
    """Return the `present` of what belongs to no single database."""

    def present(place: Place) -> Mapping[str, str]:
        found = administer(place.endpoints.postgres, lambda connection: _names(connection, query))
        return dict.fromkeys((name for name in found if name not in own), "")

    return present


def in_database(
    server: Server,
    database: str,
    work: Callable[[Connection], T],
    *,
    gone: T,
    deadline_seconds: float = 10.0,
) -> T:
    """Return what `work` returns of a connection to a database, or `gone` where that is dropped meanwhile.

    A connection that breaks does not tell which of the two it is: PostgreSQL ends those to a database that is
    dropped by force before the list is without it (its documentation, "DROP DATABASE"). So `work` is done
    again with another one.

    Args:
        server: which has it.
        database: its name.
        work: what to do; may be called several times.
        gone: what stands for the answer of a database that is none any more.
        deadline_seconds: how long to try.

    Raises:
        DeadlinePassed: it is in the list, and connections to it break.
        psycopg.Error: of `work`, on a connection that is whole; or PostgreSQL cannot be reached at all.
    """
    import psycopg

    breaks: list[Exception] = []

    def answer() -> tuple[T] | None:
        try:
            connection = connect(server, database)
        except psycopg.OperationalError as error:
            breaks.append(error)
            is_listed = database in administer(server, lambda other: _names(other, _DATABASES))
            return None if is_listed else (gone,)
        with connection:
            try:
                return (work(connection),)
            except psycopg.OperationalError as error:
                if not connection.broken:
                    raise
                breaks.append(error)
        return None

    answered = wait_until(
        answer,
        f"database {database!r} to answer or to be gone",
        deadline_seconds=deadline_seconds,
        explain=lambda: str(breaks[-1]),
        remedy="`lakebed logs postgres` shows why connections to it end",
    )
    assert answered is not None
    return answered[0]


def _in_each_database(server: Server, work: Callable[[str, Connection], None]) -> None:
    """Do something in every database; one that is dropped meanwhile, as that of another test, is no error."""
    for database in administer(server, lambda connection: _names(connection, _SEARCHED)):
        in_database(server, database, partial(work, database), gone=None)


def _in_databases(query: str) -> Callable[[Place], Mapping[str, str]]:
    """Return the `present` of what is in a database: "database/name"."""

    def present(place: Place) -> Mapping[str, str]:
        found: list[str] = []

        def look(database: str, connection: Connection) -> None:
            found.extend([f"{database}/{name}" for name in _names(connection, query)])

        _in_each_database(place.endpoints.postgres, look)
        return dict.fromkeys(found, "")

    return present


def _drop_slot_for_certain(connection: Connection, slot_name: str) -> None:
    """Drop a slot, ending whoever still streams from it after a moment."""
    try:
        drop_slot(connection, slot_name, deadline_seconds=_LEAVE_SECONDS)
    except DeadlinePassed:
        connection.execute(_END_STREAMING, [slot_name])
        drop_slot(connection, slot_name)


def _drop_database_for_certain(connection: Connection, database: str) -> None:
    """Drop a database; one whose slots are in use cannot be dropped, not even by force."""
    for (slot_name,) in connection.execute(_SLOTS_IN_USE, [database]).fetchall():
        _drop_slot_for_certain(connection, slot_name)
    drop_database(connection, database)


def _remove_slot(place: Place, name: str) -> None:
    administer(place.endpoints.postgres, lambda connection: _drop_slot_for_certain(connection, name))


def _remove_database(place: Place, name: str) -> None:
    administer(place.endpoints.postgres, lambda connection: _drop_database_for_certain(connection, name))


def _remove_in_database(place: Place, name: str, remove: Callable[[Connection, str], None]) -> None:
    """Remove what is called "database/name"; where the database is gone, so is all that was in it."""
    server = place.endpoints.postgres
    database, _, own_name = name.partition("/")
    if database in administer(server, lambda connection: _names(connection, _DATABASES)):

        def in_time(connection: Connection) -> None:
            # Somebody's open transaction must not hold up all the rest.
            connection.execute(_LOCK_TIMEOUT)
            remove(connection, own_name)

        in_database(server, database, in_time, gone=None)


def _drop(connection: Connection, what: str, *name: str) -> None:
    from psycopg import sql

    statement = sql.SQL("DROP {} IF EXISTS {} CASCADE")
    connection.execute(statement.format(sql.SQL(what), sql.Identifier(*name)))


def _remove_publication(place: Place, name: str) -> None:
    _remove_in_database(place, name, lambda connection, own: _drop(connection, "PUBLICATION", own))


def _remove_schema(place: Place, name: str) -> None:
    _remove_in_database(place, name, lambda connection, own: _drop(connection, "SCHEMA", own))


def _remove_table(place: Place, name: str) -> None:
    def remove(connection: Connection, own: str) -> None:
        row = connection.execute(_TABLE, [own]).fetchone()
        if row is not None:
            schema, table, kind = row
            _drop(connection, _CALLED.get(kind, "TABLE"), schema, table)

    _remove_in_database(place, name, remove)


def _remove_role(place: Place, name: str) -> None:
    """Drop a role; what it may do and what it owns stands in the way, in every database."""
    from psycopg import sql

    server = place.endpoints.postgres
    role, heir = sql.Identifier(name), sql.Identifier(server.user)
    if name not in administer(server, lambda connection: _names(connection, _ROLES)):
        return

    def give_up(database: str, connection: Connection) -> None:
        connection.execute(_LOCK_TIMEOUT)
        connection.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(role, heir))
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))

    _in_each_database(server, give_up)
    administer(server, lambda connection: connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role)))


def _has(query: str) -> Callable[[Place, str], bool]:
    """Return the `exists` of what belongs to no single database."""

    def exists(place: Place, name: str) -> bool:
        return name in administer(place.endpoints.postgres, lambda connection: _names(connection, query))

    return exists


def _has_in_database(ask: Callable[[Connection, str], bool]) -> Callable[[Place, str], bool]:
    """Return the `exists` of what is called "database/name": `ask` is asked in the database, for the name."""

    def exists(place: Place, name: str) -> bool:
        server = place.endpoints.postgres
        database, _, own_name = name.partition("/")
        if database not in administer(server, lambda connection: _names(connection, _DATABASES)):
            return False
        return in_database(server, database, lambda connection: ask(connection, own_name), gone=False)

    return exists


def _listed_by(query: str) -> Callable[[Connection, str], bool]:
    return lambda connection, name: name in _names(connection, query)


def _is_table(connection: Connection, name: str) -> bool:
    return connection.execute(_TABLE, [name]).fetchone() is not None


RESOURCES = (
    ResourceKind("slot", _remove_slot, _in_cluster(_SLOTS), exists=_has(_SLOTS)),
    # Before what is in databases: with a test's own database goes all that is in it.
    ResourceKind(
        "database",
        _remove_database,
        _in_cluster(_DATABASES, own=_OWN_DATABASES),
        exists=_has(_DATABASES),
    ),
    ResourceKind(
        "publication",
        _remove_publication,
        _in_databases(_PUBLICATIONS),
        exists=_has_in_database(_listed_by(_PUBLICATIONS)),
    ),
    ResourceKind(
        "schema",
        _remove_schema,
        _in_databases(_SCHEMAS),
        exists=_has_in_database(_listed_by(_SCHEMAS)),
    ),
    ResourceKind("table", _remove_table, _in_databases(_TABLES), exists=_has_in_database(_is_table)),
    ResourceKind("role", _remove_role, _in_cluster(_ROLES, own=(USER,)), exists=_has(_ROLES)),
)
