"""Databases and replication slots of PostgreSQL: removed for certain, whoever still uses them."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from lakebed.waiting import wait_until

_DESCRIBE_SLOT = (
    "SELECT active, wal_status, restart_lsn, confirmed_flush_lsn"
    " FROM pg_replication_slots WHERE slot_name = %s"
)


def describe_slot(postgres: psycopg.Connection[Any], slot_name: str) -> str:
    """Return what PostgreSQL knows of a slot, for an error."""
    row = postgres.execute(_DESCRIBE_SLOT, [slot_name]).fetchone()
    if row is None:
        return "does not exist"
    return f"active={row[0]} wal_status={row[1]} restart_lsn={row[2]} confirmed_flush_lsn={row[3]}"


def drop_slot(postgres: psycopg.Connection[Any], slot_name: str, *, deadline_seconds: float = 30.0) -> None:
    """Wait until nobody streams from a slot, then drop it. A slot that does not exist is no error.

    A slot in use cannot be dropped (PostgreSQL documentation, "Replication Slots"), and a connector that
    was deleted closes its connection a moment later.

    Args:
        postgres: a connection in autocommit mode to the slot's database.
        slot_name: which slot.
        deadline_seconds: how long to wait.

    Raises:
        DeadlinePassed: the slot stayed active.
    """

    def dropped() -> bool:
        row = postgres.execute(
            "SELECT active FROM pg_replication_slots WHERE slot_name = %s", [slot_name]
        ).fetchone()
        if row is None:
            return True
        if not row[0]:
            postgres.execute("SELECT pg_drop_replication_slot(%s)", [slot_name])
        return False

    wait_until(
        dropped,
        f"replication slot {slot_name!r} to be dropped",
        deadline_seconds=deadline_seconds,
        longest_pause_seconds=0.02,
        ignore=(psycopg.errors.ObjectInUse,),
        explain=lambda: describe_slot(postgres, slot_name),
        remedy="a connector still streams from it; delete that first",
    )


def drop_database(
    postgres: psycopg.Connection[Any], database: str, *, deadline_seconds: float = 30.0
) -> None:
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

    def dropped() -> bool:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        postgres.execute(statement.format(sql.Identifier(database)))
        return True

    wait_until(
        dropped,
        f"database {database!r} to be dropped",
        deadline_seconds=deadline_seconds,
        ignore=(psycopg.errors.ObjectInUse,),
        remedy="see who uses it in pg_stat_activity and pg_replication_slots",
    )
