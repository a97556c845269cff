"""What is known of a run, as plain data: goes to JSON and back unchanged.

Every time is a number of seconds since 1970 in UTC, with fractions, by the clock of whoever noted it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

R = TypeVar("R")

_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


@dataclass(frozen=True)
class StateChange:
    """One move of a service or a connector.

    Attributes:
        at: when.
        state: the state after it.
        reason: why, in the words of whoever moved it.
    """

    at: float
    state: str
    reason: str = ""


@dataclass(frozen=True)
class ServiceRecord:
    """One service of the stack, at the end of the run.

    Attributes:
        name: of the service.
        state: now; "ATTACHED" where somebody else runs it.
        address: host and port, or what an attached one is reached at.
        seconds_to_start: until it was healthy; None where that is not known.
        states: its moves, oldest first; none for an attached one.
    """

    name: str
    state: str
    address: str = ""
    seconds_to_start: float | None = None
    states: tuple[StateChange, ...] = ()


@dataclass(frozen=True)
class FixtureRecord:
    """One fixture being made.

    Attributes:
        name: of the fixture.
        scope: "function", "module", "session", ...
        started: when.
        seconds: how long it took, without the fixtures it needs.
        is_own: whether it is one of lakebed's.
    """

    name: str
    scope: str
    started: float
    seconds: float
    is_own: bool = True


@dataclass(frozen=True)
class PhaseRecord:
    """One phase of a test.

    Attributes:
        name: "setup", "call" or "teardown".
        started: when.
        seconds: how long.
        outcome: "passed", "failed" or "skipped".
    """

    name: str
    started: float
    seconds: float
    outcome: str


@dataclass(frozen=True)
class ConnectorRecord:
    """One connector, as its test saw it.

    Attributes:
        name: of the connector.
        slot: its replication slot, described in one line; empty where it was not asked for.
        states: its moves, oldest first.
    """

    name: str
    slot: str = ""
    states: tuple[StateChange, ...] = ()


@dataclass(frozen=True)
class ChangeRecord:
    """One change, as it stands in its topic.

    Attributes:
        topic, partition, offset: where.
        operation: "CREATE", "UPDATE", "DELETE", "READ" (of a snapshot), ...
        key: of the row, shortened.
        position: in PostgreSQL's log, such as "0/16B3748"; None where the event does not say.
        transaction: the number of the transaction; None likewise.
        committed: when, by PostgreSQL's clock; None for a row that a snapshot has read.
        captured: when Debezium made the event, by Connect's clock.
        produced: when it was sent to Kafka, in whole milliseconds.
        read: when the test was handed it; None if the test did not ask.
        problem: why the message could not be decoded; empty where it could.
    """

    topic: str
    partition: int
    offset: int
    operation: str = ""
    key: str = ""
    position: str | None = None
    transaction: int | None = None
    committed: float | None = None
    captured: float | None = None
    produced: float | None = None
    read: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class TableCommit:
    """One version of a table of the lake that brought changes of a topic.

    Attributes:
        table: "delta ..." or "iceberg ...".
        version: Delta's version, or the id of Iceberg's snapshot; empty where only the commit was noticed.
        committed: when, by the writer's clock.
        topic: whose changes.
        offsets: by partition, the last offset that is in the table.
    """

    table: str
    version: str
    committed: float
    topic: str
    offsets: dict[int, int]


@dataclass(frozen=True)
class Acknowledgement:
    """A barrier that was passed: Kafka has everything up to a position in PostgreSQL's log.

    Attributes:
        topic_prefix: of the connector.
        position: such as "0/16B3748".
        at: when it was known.
    """

    topic_prefix: str
    position: str
    at: float


@dataclass(frozen=True)
class TestRecord:
    """One test.

    Attributes:
        node: its node id.
        worker: of pytest-xdist that ran it; empty without.
        outcome: "passed", "failed", "error", "skipped", "xfailed" or "xpassed"; "rerun" of a run that failed
            and was repeated (pytest-rerunfailures).
        phases: set-up, call and teardown, those that there were.
        uses_lakebed: whether it used the stack.
        waited: by service, the seconds it waited for that to be healthy.
        fixtures: those made for it, and those of a wider scope that were made when it asked.
        connectors: those it had.
        changes: the newest changes in its connectors' topics.
        changes_left_out: how many older ones there were.
        commits: versions of the tables its pipelines wrote.
        tables: by topic, the tables that its pipelines bring its changes into.
        acknowledgements: barriers it passed.
        notes: what could not be observed, and why.
        sections: title and text of what was found out when it failed.
        leftovers: what its clean-up could not remove, and why.
    """

    __test__ = False  # for pytest, which would take it for a class of tests

    node: str
    worker: str
    outcome: str
    phases: tuple[PhaseRecord, ...]
    uses_lakebed: bool = False
    waited: dict[str, float] | None = None
    fixtures: tuple[FixtureRecord, ...] = ()
    connectors: tuple[ConnectorRecord, ...] = ()
    changes: tuple[ChangeRecord, ...] = ()
    changes_left_out: int = 0
    commits: tuple[TableCommit, ...] = ()
    tables: dict[str, list[str]] | None = None
    acknowledgements: tuple[Acknowledgement, ...] = ()
    notes: tuple[str, ...] = ()
    sections: tuple[tuple[str, str], ...] = ()
    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True)
class MemorySample:
    """Resident memory at one time.

    Attributes:
        at: when.
        megabytes: by process, children included.
    """

    at: float
    megabytes: dict[str, int]


@dataclass(frozen=True)
class SessionRecord:
    """What one process that ran tests knows of the stack when its session ends.

    Attributes:
        worker: of pytest-xdist; empty without.
        services: of the stack.
        waited: by service, how long the first test that needed it had to wait.
        leftovers: what could not be removed, by name, and why.
        memory: samples, oldest first.
        notes: what is to be said of the session.
    """

    worker: str
    services: tuple[ServiceRecord, ...] = ()
    waited: dict[str, float] | None = None
    leftovers: tuple[str, ...] = ()
    memory: tuple[MemorySample, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """A whole run.

    Attributes:
        title: what ran.
        lakebed: its version.
        started, ended: when.
        tests: in the order in which they ended.
        sessions: one, or one for each worker of pytest-xdist.
        notes: what is to be said of the run.
    """

    title: str
    lakebed: str
    started: float
    ended: float
    tests: tuple[TestRecord, ...] = ()
    sessions: tuple[SessionRecord, ...] = ()
    notes: tuple[str, ...] = ()


def _adapter(kind: Any) -> TypeAdapter[Any]:
    # Here, because every test run imports this module, and few hand records over.
    from pydantic import TypeAdapter

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def to_json(record: object) -> Any:
    """Return a record as JSON values."""
    return _adapter(type(record)).dump_python(record, mode="json")


def from_json(kind: type[R], content: object) -> R:
    """Return the record that `to_json` made.

    Raises:
        pydantic.ValidationError: it is none of that kind.
    """
    record: R = _adapter(kind).validate_python(content)
    return record
