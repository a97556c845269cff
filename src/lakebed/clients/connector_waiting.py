"""Waiting for what a connector does: a state, or to stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import wait
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from lakebed.clients.diagnosis import diagnose, stopped_servers
from lakebed.clients.in_thread import begin
from lakebed.clients.models import ConnectorStatus
from lakebed.config.debezium import SnapshotMode
from lakebed.errors import ConnectorFailed, ConnectRefused, DeadlinePassed, NeverStreams
from lakebed.lifecycle import ConnectorState
from lakebed.waiting import wait_until, with_patience

if TYPE_CHECKING:
    import psycopg

    from lakebed.clients.debezium import DebeziumClient

T = TypeVar("T")

# A worker waits up to 5 s for an old task to end (`task.shutdown.graceful.timeout.ms`) before the new one.
STALE_SECONDS = 15.0

_SENDER = (
    "SELECT slots.active_pid FROM pg_replication_slots slots"
    " JOIN pg_stat_replication senders ON senders.pid = slots.active_pid"
    " WHERE slots.slot_name = %s AND senders.state = 'streaming'"
)
# As JSON, because servers before PostgreSQL 17 have no `invalidation_reason`.
_WHY_LOST = (
    "SELECT coalesce(to_jsonb(slot) ->> 'invalidation_reason', wal_status) FROM pg_replication_slots slot"
    " WHERE slot_name = %s AND wal_status = 'lost'"
)
# Nobody else's messages begin like this.
MESSAGE_PREFIX = "lakebed"
_FLUSHED_SINCE = 170000
_WRITE_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 0.2
# For one question: of the database, after the deadline; of Connect, at any time.
_ANSWER_SECONDS = 2.0
_STATUS_SECONDS = 5.0
_DIAGNOSIS_SECONDS = 30.0
_IS_CONFIRMED = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s"


def connector_failed(status: ConnectorStatus, client: DebeziumClient | None = None) -> ConnectorFailed:
    """Return the error for a FAILED status: which servers do not run, and the trace of every failed task.

    Args:
        status: of the connector.
        client: of its worker, through which its stack is known.
    """
    traces = [f"task {task.id}:\n{task.trace}" for task in status.tasks if task.state == "FAILED"]
    if status.connector.trace:
        traces.insert(0, status.connector.trace)
    if client is not None:
        # A task says that it was refused; by whom, and why, is known here.
        traces = [*stopped_servers(client), *traces]
    return ConnectorFailed(
        f"run connector {status.name!r}",
        "\n".join(traces) or f"the connector is {status.connector.state}",
        "the last `Caused by` names the cause; correct it and call `debezium_client.restart(name)`",
    )


def wait_for_state(
    client: DebeziumClient,
    name: str,
    state: ConnectorState,
    deadline_seconds: float,
    stale: ConnectorStatus | None = None,
) -> ConnectorStatus:
    """See `DebeziumClient.wait_for_state`.

    Connect goes on reporting what was before a restart for a moment; a FAILED that is still that of `stale`
    is no news until `STALE_SECONDS` have passed.
    """
    stale_until = time.monotonic() + STALE_SECONDS

    def reached() -> ConnectorStatus | None:
        status = client.status(name)
        seen = client.lifecycle(name).state
        if seen is ConnectorState.FAILED and state is not ConnectorState.FAILED:
            is_old = stale is not None and status.tasks == stale.tasks
            if is_old and time.monotonic() < stale_until:
                return None
            raise connector_failed(status, client)
        if seen is ConnectorState.STOPPED and status.tasks:
            return None
        return status if seen is state else None

    status: ConnectorStatus | None = wait_until(
        reached,
        f"connector {name!r} to be {state.name}",
        deadline_seconds=deadline_seconds,
        # A connector that was just created is not known to its own worker for a moment.
        ignore=(ConnectRefused,),
        explain=lambda: diagnose(client, name),
        remedy="`lakebed logs connect` shows what the worker says",
    )
    assert status is not None
    return status


def never_streams(name: str) -> NeverStreams:
    """Return the error for waiting for the stream of a connector that is `initial_only`."""
    return NeverStreams(
        f"wait for connector {name!r} to stream",
        "its snapshot.mode is initial_only: it takes its snapshot, and then does nothing",
        "wait for its snapshot: `lakebed.clients.notifications.wait_for_initial_snapshot`",
    )


def sender_of(postgres: psycopg.Connection[Any], slot_name: str) -> int | None:
    """Return the process id of the WAL sender that streams from a slot, None if none does."""
    row = postgres.execute(_SENDER, [slot_name]).fetchone()
    return None if row is None else int(row[0])


def why_lost(postgres: psycopg.Connection[Any], slot_name: str) -> str | None:
    """Return why a slot can never be used again; None if it can, or is not there.

    Source: PostgreSQL documentation, "pg_replication_slots" (`wal_status`, `invalidation_reason`).
    """
    row = postgres.execute(_WHY_LOST, [slot_name]).fetchone()
    return None if row is None else str(row[0])


class _Questions:
    """Questions to a database, asked in a thread that may be left behind with one that is never answered.

    A client of PostgreSQL waits for its server as long as that is there: one that is paused, or cut off,
    would hold up who waits for good, whatever the deadline.
    """

    def __init__(self, postgres: psycopg.Connection[Any]) -> None:
        self._postgres = postgres
        self._until: float | None = None

    def ask(self, work: Callable[[psycopg.Connection[Any]], T], patience_seconds: float) -> T:
        """Do `work` with the connection, which should take no longer than so many seconds."""
        self._until = time.monotonic() + patience_seconds
        try:
            return work(self._postgres)
        finally:
            self._until = None

    def is_overdue(self) -> bool:
        """Whether what is being done takes longer than it should."""
        until = self._until
        return until is not None and time.monotonic() > until


def _in_time(
    client: DebeziumClient,
    name: str,
    postgres: psycopg.Connection[Any],
    what: str,
    deadline_seconds: float,
    work: Callable[[_Questions], T],
) -> T:
    """Return what `work` returns, which keeps the deadline itself while the database answers.

    Args:
        client: of the worker.
        name: of the connector, for the diagnosis.
        postgres: what `work` asks.
        what: is waited for.
        deadline_seconds: of `work`.
        work: is called in a thread of its own.

    Raises:
        DeadlinePassed: the database does not answer.
        BaseException: whatever `work` raises.
    """
    questions = _Questions(postgres)
    answer = begin(lambda: work(questions), "lakebed-waits")
    seconds = with_patience(deadline_seconds)
    deadline = time.monotonic() + seconds
    while answer in wait([answer], _LOOK_SECONDS).not_done:
        if time.monotonic() > deadline and questions.is_overdue():
            raise DeadlinePassed(
                f"waited {seconds:g} s for {what}",
                f"the database {postgres.info.dbname!r} does not answer\n{diagnose(client, name)}",
                "see whether PostgreSQL runs: `lakebed status`, `lakebed logs postgres`",
            )
    return answer.result()


def wait_until_streaming(
    client: DebeziumClient,
    name: str,
    slot_name: str,
    postgres: psycopg.Connection[Any],
    deadline_seconds: float,
    old_sender: int | None = None,
) -> None:
    """See `DebeziumClient.wait_until_streaming`."""
    _in_time(
        client,
        name,
        postgres,
        _stream_of(name, slot_name),
        deadline_seconds,
        lambda questions: _streaming(client, name, slot_name, questions, deadline_seconds, old_sender),
    )


def _stream_of(name: str, slot_name: str) -> str:
    return f"connector {name!r} to stream from slot {slot_name!r}"


def _streaming(
    client: DebeziumClient,
    name: str,
    slot_name: str,
    questions: _Questions,
    deadline_seconds: float,
    old_sender: int | None,
) -> None:
    @cache
    def is_initial_only() -> bool:
        return client.config(name).get("snapshot.mode") == SnapshotMode.INITIAL_ONLY.value

    def streaming() -> bool:
        # Debezium goes on trying for half an hour, and Connect says nothing meanwhile.
        reason = questions.ask(lambda postgres: why_lost(postgres, slot_name), _ANSWER_SECONDS)
        if reason is not None:
            raise ConnectorFailed(
                f"stream with connector {name!r} from slot {slot_name!r}",
                f"PostgreSQL has given up the slot ({reason}): the changes behind it are gone",
                "stop the connector, `drop_slot`, `reset_offsets`, resume it: it begins anew with a snapshot",
            )
        status = client.status(name)
        state = client.lifecycle(name).state
        if state is ConnectorState.FAILED:
            raise connector_failed(status, client)
        if state is not ConnectorState.RUNNING:
            return False
        sender = questions.ask(lambda postgres: sender_of(postgres, slot_name), _ANSWER_SECONDS)
        if sender not in (None, old_sender):
            return True
        if is_initial_only():
            raise never_streams(name)
        return False

    wait_until(
        streaming,
        _stream_of(name, slot_name),
        deadline_seconds=deadline_seconds,
        longest_pause_seconds=0.05,
        ignore=(ConnectRefused,),
        explain=lambda: questions.ask(
            lambda postgres: diagnose(client, name, postgres, slot_name), _DIAGNOSIS_SECONDS
        ),
        remedy="`lakebed logs connect` shows what the task says",
    )


def wait_until_acknowledged(
    client: DebeziumClient,
    name: str,
    slot_name: str,
    postgres: psycopg.Connection[Any],
    deadline_seconds: float,
) -> str:
    """See `Connector.wait_until_acknowledged`."""
    return _in_time(
        client,
        name,
        postgres,
        f"Kafka to acknowledge what was committed (slot {slot_name!r})",
        deadline_seconds,
        lambda questions: _acknowledged(client, name, slot_name, questions, deadline_seconds),
    )


def _acknowledged(
    client: DebeziumClient,
    name: str,
    slot_name: str,
    questions: _Questions,
    deadline_seconds: float,
) -> str:
    position = questions.ask(_write_message, _ANSWER_SECONDS)
    written = time.monotonic()

    def is_acknowledged() -> bool:
        nonlocal written
        confirmed = questions.ask(
            lambda postgres: postgres.execute(_IS_CONFIRMED, [position, slot_name]).fetchone(),
            _ANSWER_SECONDS,
        )
        if confirmed is not None and confirmed[0]:
            return True
        if time.monotonic() - written > _WRITE_AGAIN_SECONDS:
            # A snapshot that began after the message passes over it: the next one is acknowledged.
            questions.ask(_write_message, _ANSWER_SECONDS)
            written = time.monotonic()
        try:
            status = client.status(name, within_seconds=_STATUS_SECONDS)
        except ConnectRefused as error:
            # A worker that is restarted comes back, a connector that was deleted does not.
            if error.seen.startswith("HTTP 404"):
                raise
            return False
        if client.lifecycle(name).state is ConnectorState.FAILED:
            raise connector_failed(status, client)
        return False

    wait_until(
        is_acknowledged,
        f"Kafka to acknowledge everything up to log position {position} of slot {slot_name!r}",
        deadline_seconds=deadline_seconds,
        longest_pause_seconds=0.02,
        explain=lambda: questions.ask(
            lambda postgres: diagnose(client, name, postgres, slot_name), _DIAGNOSIS_SECONDS
        ),
        remedy="see whether the connector still streams: `debezium_client.status(name)`",
    )
    return position


def _write_message(postgres: psycopg.Connection[Any]) -> str:
    """Write a message into the log, so that there is something to acknowledge, and return where it begins.

    It is flushed at once: a message that belongs to no transaction waits for `wal_writer_delay` otherwise,
    200 ms (PostgreSQL documentation, "System Administration Functions", `pg_logical_emit_message`).
    """
    row = postgres.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    flushed = postgres.info.server_version >= _FLUSHED_SINCE
    arguments = "false, %s, ''::bytea, true" if flushed else "true, %s, ''::bytea"
    postgres.execute(f"SELECT pg_logical_emit_message({arguments})".encode(), [MESSAGE_PREFIX])
    return str(row[0])
