"""The path of each change: commit, position in the log, offset in the topic, version of the tables. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lakebed.report.records import Acknowledgement, ChangeRecord, TableCommit, TestRecord

NOT_OBSERVED = "not observed"


@dataclass(frozen=True)
class Arrival:
    """A change in one table.

    Attributes:
        table: which.
        version: the first version that has it; None where that was not observed.
        at: when that was committed; None likewise.
    """

    table: str
    version: str | None
    at: float | None


@dataclass(frozen=True)
class Path:
    """One change and where it has come.

    Attributes:
        change: as it stands in its topic.
        acknowledged: when a barrier of the test had told that the change is in Kafka; None for no barrier.
        arrivals: one for each table that a pipeline of the test brings the topic into.
    """

    change: ChangeRecord
    acknowledged: float | None
    arrivals: tuple[Arrival, ...]

    @property
    def seconds(self) -> float | None:
        """From the commit to the last stage that was observed; None without a commit or a later stage."""
        if self.change.committed is None:
            return None
        stages = [self.change.captured, self.change.produced, *(one.at for one in self.arrivals)]
        seen = [at for at in stages if at is not None]
        return max(seen) - self.change.committed if seen else None


def paths_of(test: TestRecord) -> list[Path]:
    """Return the paths of a test's changes, in the order of the changes."""
    tables = test.tables or {}
    commits = sorted(test.commits, key=lambda commit: commit.committed)
    return [
        Path(
            change,
            _acknowledged(change, test.acknowledgements),
            tuple(_arrival(change, table, commits) for table in tables.get(change.topic, ())),
        )
        for change in test.changes
    ]


def as_number(position: str) -> int:
    """Return a position of PostgreSQL's log as a number (PostgreSQL documentation, "pg_lsn Type")."""
    high, _, low = position.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _acknowledged(change: ChangeRecord, barriers: tuple[Acknowledgement, ...]) -> float | None:
    if change.position is None:
        return None
    position = as_number(change.position)
    passed = [
        barrier.at
        for barrier in barriers
        # A prefix may begin with another one, and both stand before the same dot in no topic.
        if change.topic.startswith(f"{barrier.topic_prefix}.") and as_number(barrier.position) >= position
    ]
    return min(passed, default=None)


def _arrival(change: ChangeRecord, table: str, commits: list[TableCommit]) -> Arrival:
    for commit in commits:
        is_in = commit.offsets.get(change.partition, -1) >= change.offset
        if commit.table == table and commit.topic == change.topic and is_in:
            return Arrival(table, commit.version or None, commit.committed)
    return Arrival(table, None, None)


def shown_seconds(seconds: float | None) -> str:
    """Return a latency for a person. Less than a millisecond is not told apart: Kafka's clock has none."""
    if seconds is None:
        return NOT_OBSERVED
    if seconds <= -0.001:
        return f"{1000 * seconds:.0f} ms (the clocks differ)"
    if seconds < 0.001:
        return "< 1 ms"
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
