"""Why a connector does not do what was waited for: all that the servers know, in a few lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebed.errors import ConnectRefused, LakebedError
from lakebed.stack.folders import StackFolder
from lakebed.stack.not_running import not_running
from lakebed.stack.process import last_lines

if TYPE_CHECKING:
    import psycopg

    from lakebed.clients.debezium import DebeziumClient

_LOG_ENTRIES = 10
# A worker that has lost Kafka says so after 10 s (Kafka, `RestRequestTimeout`, health checks).
_HEALTH_SECONDS = 12.0
_STATUS_SECONDS = 3.0
_LOG_LINES_SEARCHED = 400
# Said of every topic that is made by being written to.
_NEW_TOPIC = "UNKNOWN_TOPIC_OR_PARTITION"
_WORKER = "Connect's worker"
_NOT_HEALTHY = "not healthy"
_NO_ANSWER = "no answer"
# An entry of such a level, or the first line of an exception.
_TELLING = re.compile(r"\d{4}-\S+ \S+ (WARN|ERROR)|Caused by: |[a-z]+(\.\w+)+(Exception|Error)\b")
# As JSON, because servers before PostgreSQL 17 have no `invalidation_reason` and no `inactive_since`.
_SLOT = (
    "SELECT to_jsonb(slot) || jsonb_build_object("
    "  'bytes_behind', CASE WHEN NOT pg_is_in_recovery()"
    "    THEN pg_wal_lsn_diff(pg_current_wal_lsn(), slot.confirmed_flush_lsn) END,"
    "  'sender', (SELECT state FROM pg_stat_replication WHERE pid = slot.active_pid))"
    " FROM pg_replication_slots slot WHERE slot_name = %s"
)
_PUBLICATION = (
    "SELECT puballtables, (SELECT array_agg(format('%%I.%%I', schemaname, tablename) ORDER BY 1)"
    " FROM pg_publication_tables tables WHERE tables.pubname = publication.pubname)"
    " FROM pg_publication publication WHERE pubname = %s"
)


def diagnose(
    client: DebeziumClient,
    name: str,
    postgres: psycopg.Connection[Any] | None = None,
    slot_name: str | None = None,
    *,
    log: bool = True,
) -> str:
    """Return what is known of a connector: states, tasks' traces, worker, slot, the end of Connect's log.

    It never raises: what a server does not answer is said in its place.

    Args:
        client: of Connect.
        name: of the connector.
        postgres: a connection to the database it captures, for slot and publication.
        slot_name: which slot; None for the one its configuration names.
        log: whether the end of Connect's log belongs to it.

    Source of the slot's columns: PostgreSQL documentation, "pg_replication_slots".
    """
    stopped = _not_running(client)
    parts = [f"{service}: {why}" for service, why in stopped.items()]
    # A worker that is not healthy would take a minute to refuse, and one that is paused would not even that.
    is_busy = "connect" in stopped
    if not is_busy:
        # Why it is not well is known then.
        seconds = _STATUS_SECONDS if stopped else _HEALTH_SECONDS
        worker = _said(_WORKER, lambda: _worker(client, seconds))
        is_busy = worker.startswith((f"{_WORKER}: {_NOT_HEALTHY}", f"{_WORKER}: {_NO_ANSWER}"))
        parts += [_said("connector", lambda: _connector(client, name)), worker]
    if postgres is not None and "postgres" not in stopped:
        config = {} if is_busy else _config(client, name)
        slot = slot_name or config.get("slot.name")
        publication = config.get("publication.name")
        if slot is not None:
            parts.append(_said(f"slot {slot!r}", lambda: slot_state(postgres, slot)))
        if publication is not None:
            parts.append(
                _said(f"publication {publication!r}", lambda: _publication_state(postgres, publication))
            )
    for title, file in _logs(client, name, is_busy=is_busy) if log else ():
        parts.append(f"{title}:\n{_end_of_log(file)}")
    return "\n".join(parts)


def stopped_servers(client: DebeziumClient) -> list[str]:
    """Return a line for each server of the worker's stack that has ended or is paused."""
    return [f"{service}: {why}" for service, why in _not_running(client).items()]


def _not_running(client: DebeziumClient) -> dict[str, str]:
    """Return which servers of the worker's stack do not run; none where it is not one of lakebed's own."""
    return {} if client.log is None else not_running(StackFolder(client.log.parent))


def _logs(client: DebeziumClient, name: str, *, is_busy: bool) -> list[tuple[str, Path]]:
    """Return the logs that may tell of a connector: of several workers those that have a part of it."""
    workers = set(client.logs)
    if not is_busy and workers:
        with suppress(LakebedError):
            status = client.status(name, within_seconds=_STATUS_SECONDS)
            workers = {status.connector.worker_id, *(task.worker_id for task in status.tasks)}
    logs = [
        (f"the end of the log of Connect's worker {worker}", client.logs[worker])
        for worker in sorted(workers & set(client.logs))
    ]
    return logs or ([] if client.log is None else [("the end of Connect's log", client.log)])


def _said(what: str, ask: Callable[[], str]) -> str:
    try:
        return ask()
    except Exception as error:  # a server that is gone must not hide what the others say
        seen = error.seen if isinstance(error, LakebedError) else str(error).strip()
        return f"{what}: {_NO_ANSWER} ({type(error).__name__}: {seen})"


def _end_of_log(log: Path) -> str:
    """Return the last warnings and errors with their causes, but not their whole stack traces."""
    lines = last_lines(log, _LOG_LINES_SEARCHED).splitlines()
    telling = [line for line in lines if _TELLING.match(line) and _NEW_TOPIC not in line]
    return "\n".join(f"  {line}" for line in (telling or lines)[-_LOG_ENTRIES:])


def _config(client: DebeziumClient, name: str) -> dict[str, str]:
    try:
        return client.config(name)
    except LakebedError:
        return {}


def _connector(client: DebeziumClient, name: str) -> str:
    status = client.status(name, within_seconds=_STATUS_SECONDS)
    lifecycle = client.lifecycle(name)
    lines = [f"state: {lifecycle.state.name}"]
    lines += [f"  {move.at:%H:%M:%S.%f} {move.to_state.name}: {move.reason}" for move in lifecycle.history]
    if status.connector.trace:
        lines.append(f"connector {status.connector.state}\n{status.connector.trace}")
    lines += [
        f"task {task.id} {task.state}" + (f"\n{task.trace}" if task.trace else "") for task in status.tasks
    ]
    return "\n".join(lines if status.tasks else [*lines, "no tasks"])


def _worker(client: DebeziumClient, within_seconds: float) -> str:
    """Return a line on the worker: when it has lost Kafka its tasks stay RUNNING, and only its health tells.

    Source: KIP-1017. A worker that is not healthy answers with an error, and says in it what it is busy with.
    """
    try:
        health = client.health(within_seconds=within_seconds)
    except ConnectRefused as error:
        if error.seen.startswith("HTTP 404"):
            return f"{_WORKER}: its health is not known (before Kafka 3.9)"
        if error.seen.startswith("HTTP "):
            return f"{_WORKER}: {_NOT_HEALTHY}: {error.seen}"
        raise
    return f"{_WORKER}: {health['status']}: {health['message']}"


def slot_state(postgres: psycopg.Connection[Any], slot_name: str) -> str:
    """Return one line on a replication slot: who uses it, how far it is behind, whether it is lost.

    Args:
        postgres: a connection to any database of the server.
        slot_name: which slot.
    """
    row = postgres.execute(_SLOT, [slot_name]).fetchone()
    if row is None:
        return f"slot {slot_name!r}: does not exist"
    slot: dict[str, Any] = row[0]
    words = [f"sender {slot['sender']}" if slot["active"] else f"inactive{_since(slot)}"]
    if slot["bytes_behind"] is not None:
        words.append(f"{slot['bytes_behind']} bytes behind")
    words += [f"{column}={slot[column]}" for column in ("restart_lsn", "confirmed_flush_lsn", "wal_status")]
    if slot.get("invalidation_reason"):
        words.append(f"INVALIDATED: {slot['invalidation_reason']}")
    return f"slot {slot_name!r}: {', '.join(words)}"


def _since(slot: dict[str, Any]) -> str:
    return f" since {slot['inactive_since']}" if slot.get("inactive_since") else ""


def _publication_state(postgres: psycopg.Connection[Any], name: str) -> str:
    row = postgres.execute(_PUBLICATION, [name]).fetchone()
    if row is None:
        return f"publication {name!r}: does not exist in database {postgres.info.dbname!r}"
    all_tables, tables = row
    return f"publication {name!r}: " + ("all tables" if all_tables else ", ".join(tables or ["no table"]))
