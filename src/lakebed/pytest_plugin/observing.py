"""What is seen of one test while it runs, for the report and for a failure; cheap, and asks no server."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from lakebed.report.records import (
    ConnectorRecord,
    FixtureRecord,
    PhaseRecord,
    StateChange,
    TableCommit,
    TestRecord,
)

if TYPE_CHECKING:
    from lakebed.cdc.events import ChangeEvent
    from lakebed.cdc.pipeline import Target
    from lakebed.cdc.progress import Progress
    from lakebed.clients.connector import Connector
    from lakebed.pytest_plugin.session import SessionStack

OBSERVED: pytest.StashKey[Observations] = pytest.StashKey()
# A fixture of the tests' own is told of only if it takes at least so long.
SLOW_SECONDS = 0.05
_LEAST_WAIT_SECONDS = 0.001


@dataclass
class Observations:
    """What one test did.

    Attributes:
        node: its node id.
        worker: of pytest-xdist.
        for_report: whether a report is asked for, which is told more than a failure.
        log_sizes: by service, how much was in its log when the test began; None where no stack was known.
        waits_before: how many waits the session had had by then.
        phases, fixtures, commits, leftovers, sections, notes: see `TestRecord`.
        tables: by topic, the tables that its pipelines bring it into.
        read: by topic, partition and offset, when the test was handed an event.
        outcome: so far.
    """

    node: str
    worker: str
    for_report: bool
    log_sizes: dict[str, int] | None = None
    waits_before: int = 0
    outcome: str = "passed"
    phases: list[PhaseRecord] = field(default_factory=list)
    fixtures: list[FixtureRecord] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)
    commits: list[TableCommit] = field(default_factory=list)
    read: dict[tuple[str, int, int], float] = field(default_factory=dict)
    leftovers: list[str] = field(default_factory=list)
    sections: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    of_report: dict[str, Any] = field(default_factory=dict)

    def noticing(self, events: Iterator[ChangeEvent]) -> Iterator[ChangeEvent]:
        """Return the events, noting when each is handed on; as they are where no report is asked for."""
        return self._noticed(events) if self.for_report else events

    def _noticed(self, events: Iterator[ChangeEvent]) -> Iterator[ChangeEvent]:
        for event in events:
            self.read.setdefault((event.topic, event.partition, event.offset), time.time())
            yield event

    def brings(self, targets: Sequence[Target]) -> None:
        """Note where a pipeline of the test brings its topics."""
        from lakebed.report.tables import shown_table

        for target in targets:
            known = self.tables.setdefault(target.topic, [])
            known += [name for table in target.tables if (name := shown_table(table)) not in known]

    def committed(self, table: str, progress: Progress) -> None:
        """Note a commit that a pipeline of the test tells of."""
        from lakebed.report.tables import commit_of, shown_table

        if self.for_report:
            self.commits.append(commit_of(shown_table(table), "", time.time(), progress))

    def ended(
        self, stack: SessionStack | None, connectors: list[Connector], *, uses_lakebed: bool
    ) -> TestRecord:
        """Return the record of the test, which is over."""
        waited: dict[str, float] = {}
        for service, seconds in [] if stack is None else stack.waits[self.waits_before :]:
            if seconds >= _LEAST_WAIT_SECONDS:
                waited[service] = round(waited.get(service, 0.0) + seconds, 4)
        slots: dict[str, str] = self.of_report.pop("slots", {})
        return TestRecord(
            node=self.node,
            worker=self.worker,
            outcome=self.outcome,
            phases=tuple(self.phases),
            uses_lakebed=uses_lakebed,
            waited=waited,
            fixtures=tuple(self.fixtures),
            connectors=tuple(_record(one, slots.get(one.name, "")) for one in connectors),
            tables=self.tables,
            leftovers=tuple(self.leftovers),
            sections=tuple(self.sections) if self.for_report else (),
            notes=tuple(self.notes),
            **self.of_report,
        )


def _record(connector: Connector, slot: str) -> ConnectorRecord:
    moves = connector.lifecycle.history
    states = (StateChange(move.at.timestamp(), move.to_state.value, move.reason) for move in moves)
    return ConnectorRecord(connector.name, slot, tuple(states))


def outcome_after(before: str, report: pytest.TestReport) -> str:
    """Return the outcome of a test after one more of its phases."""
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed:
        return "failed" if report.when == "call" else ("error" if before == "passed" else before)
    return "skipped" if report.skipped else before
