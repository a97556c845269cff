"""The report of `lakebed demo`: its steps, its services, and the path of its newest changes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lakebed import __version__
from lakebed.cdc.pipeline import Target
from lakebed.cli.output import err
from lakebed.clients.connector import Connector
from lakebed.errors import LakebedError
from lakebed.report.changes import newest_of
from lakebed.report.output import check_writable, write
from lakebed.report.page import check_extra, render
from lakebed.report.records import (
    Acknowledgement,
    ConnectorRecord,
    FixtureRecord,
    PhaseRecord,
    RunRecord,
    StateChange,
    TestRecord,
)
from lakebed.report.services import session_record
from lakebed.report.tables import shown_table, table_commits
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import StackConnection

MOST_CHANGES = 100
_SECONDS = 20.0


class DemoReport:
    """Collects, and writes at the end.

    Args:
        file: where.

    Raises:
        ReportImpossible: it could not be made or written.
    """

    def __init__(self, file: Path) -> None:
        check_extra()
        check_writable(file)
        self._file = file
        self._started = time.time()
        self._stack: StackConnection | None = None
        self._of_test: dict[str, Any] = {}

    def begin(self, stack: StackConnection) -> None:
        """Have memory sampled from now on."""
        self._stack = stack
        stack.memory(self._started)

    def look(self, connector: Connector, targets: Sequence[Target], addresses: Addresses) -> None:
        """Find out how far the newest changes have come."""
        seen = newest_of(connector, addresses, most=MOST_CHANGES, seconds=_SECONDS)
        tables = {target.topic: [shown_table(table) for table in target.tables] for target in targets}
        commits, problems = table_commits(addresses, [name for names in tables.values() for name in names])
        moves = connector.lifecycle.history
        states = (StateChange(move.at.timestamp(), move.to_state.value, move.reason) for move in moves)
        self._of_test = {
            "connectors": (ConnectorRecord(connector.name, "", tuple(states)),),
            "changes": tuple(one.record for one in seen.changes),
            "changes_left_out": seen.left_out,
            "commits": tuple(commits),
            "tables": tables,
            "acknowledgements": tuple(
                Acknowledgement(connector.config.topic_prefix, position, at)
                for at, position in connector.client.acknowledged(connector.name)
            ),
            "notes": tuple(problems),
        }

    def write(self, steps: Sequence[FixtureRecord], *, failed: bool) -> None:
        """Write the report. An error that is on its way is never replaced by one of the report."""
        assert self._stack is not None
        ended = time.time()
        outcome = "failed" if failed else "passed"
        phase = PhaseRecord("call", self._started, ended - self._started, outcome)
        demo = TestRecord("lakebed demo", "", outcome, (phase,), True, {}, tuple(steps), **self._of_test)
        try:
            session = session_record("", self._stack.status(), self._stack.memory(self._started), {})
            run = RunRecord("lakebed demo", __version__, self._started, ended, (demo,), (session,))
            write(self._file, render(run, tests_title="What ran", fixtures_title="Steps"))
        except LakebedError as error:
            if not failed:
                raise
            err.print(f"the report could not be made: {error}", markup=False)
        else:
            err.print(f"report: {self._file}", markup=False)
