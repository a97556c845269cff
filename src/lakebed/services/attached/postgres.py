"""A PostgreSQL of somebody else's: is it one, and may its role do what connectors and tests need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakebed.services.attached.definition import AttachedService, Missing
from lakebed.services.attached.probing import POSTGRES, refuse_unreachable, what_answers, wrong
from lakebed.services.attached.questions import refused
from lakebed.services.definition import Place
from lakebed.services.postgres_connection import administer, connect

if TYPE_CHECKING:
    import psycopg

_NAME = "postgres"
# Managed servers give the right to replicate by membership (Amazon RDS documentation, "Logical replication").
_ROLE = (
    "SELECT rolsuper, rolcreatedb, rolreplication OR EXISTS (SELECT FROM pg_roles granted"
    "  WHERE granted.rolname = 'rds_replication' AND pg_has_role(current_user, granted.oid, 'MEMBER')),"
    " pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
    " FROM pg_roles WHERE rolname = current_user"
)
_ROOM = (
    "SELECT current_setting('wal_level'),"
    " current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots),"
    " current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_replication),"
    " pg_is_in_recovery()"
)


def _examine(place: Place) -> None:
    import psycopg

    endpoint = place.endpoints.postgres
    refuse_unreachable(_NAME, endpoint)
    answering = what_answers(endpoint.host, endpoint.port)
    if answering != POSTGRES:
        raise wrong(_NAME, endpoint, f"{answering} answers there")
    try:
        connect(endpoint, endpoint.database).close()
    except psycopg.OperationalError as error:
        seen = str(error).strip().splitlines()[-1]
        if "SSL" in seen or "certificate" in seen:
            remedy = "correct attach.postgres.sslmode and ca_file"
            raise wrong(_NAME, endpoint, seen, remedy) from error
        raise refused(_NAME, endpoint, seen) from error


def _missing(place: Place) -> list[Missing]:
    return administer(place.endpoints.postgres, _missing_of)


def _missing_of(connection: psycopg.Connection[Any]) -> list[Missing]:
    from psycopg import sql

    user = sql.Identifier(connection.info.user).as_string(connection)
    is_super, may_create, may_replicate, may_watch = _row(connection, _ROLE)
    level, most_slots, slots, most_senders, senders, in_recovery = _row(connection, _ROOM)
    missing: list[Missing] = []
    if not (is_super or may_create):
        missing.append(Missing(f"role {user} may not create databases", f"ALTER ROLE {user} CREATEDB;"))
    if not (is_super or may_replicate):
        missing.append(
            Missing(
                f"role {user} may not replicate",
                f"ALTER ROLE {user} REPLICATION; (Amazon RDS: GRANT rds_replication TO {user};)",
            )
        )
    if not may_watch:
        # Else it is not told whether a connector streams (PostgreSQL documentation, `pg_stat_replication`).
        missing.append(
            Missing(f"role {user} may not see how senders do", f"GRANT pg_read_all_stats TO {user};")
        )
    if level != "logical":
        grant = "ALTER SYSTEM SET wal_level = 'logical'; and restart the server"
        missing.append(Missing(f"wal_level is {level}, not logical", grant))
    for setting, most, used in (
        ("max_replication_slots", most_slots, slots),
        ("max_wal_senders", most_senders, senders),
    ):
        if used >= most:
            grant = (
                f"ALTER SYSTEM SET {setting} = {used + 10}; and restart the server, or end those not needed"
            )
            missing.append(Missing(f"all {most} of {setting} are in use", grant))
    if in_recovery:
        missing.append(Missing("it is a standby, in which nothing can be written", "attach its primary"))
    return missing


def _row(connection: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return tuple(row)


POSTGRES_ELSEWHERE = AttachedService(_examine, _missing)
