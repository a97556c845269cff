"""What a run tells of itself: sections of failed tests, the end of the output, and the report.

Tests run in this process or in pytest-xdist's workers. What is known of a test goes with the report of its
last phase, what is known of the stack with what a worker hands over at its end; whoever prints has both.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakebed import __version__
from lakebed.errors import CleanUpIncomplete, LakebedError
from lakebed.pytest_plugin.findings import (
    LOG_LINES,
    MORE_LOG_LINES,
    Look,
    events_of,
    logs_of,
    look_around,
    mask_of,
    masked,
)
from lakebed.pytest_plugin.hooks import CLOSE_ERROR, CONNECTORS, DIAGNOSES, STACK
from lakebed.pytest_plugin.needs import asked_by
from lakebed.pytest_plugin.observing import OBSERVED, SLOW_SECONDS, Observations, outcome_after
from lakebed.pytest_plugin.summary import summary_lines
from lakebed.report.records import (
    FixtureRecord,
    PhaseRecord,
    RunRecord,
    SessionRecord,
    TestRecord,
    from_json,
    to_json,
)
from lakebed.report.secrecy import masked_json
from lakebed.report.services import session_record
from lakebed.stack.plan import services_for

if TYPE_CHECKING:
    from lakebed.pytest_plugin.session import SessionStack

NAME = "lakebed-reporting"
OPTION = "lakebed_report"
_PREFIX = "lakebed: "


class Reporting:
    """One for each process: collects where tests run, prints and writes where the user sees it.

    Args:
        config: pytest's.
        file: of the report; None for no report.
    """

    def __init__(self, config: pytest.Config, file: Path | None) -> None:
        self._config = config
        self._file = file
        self._worker = str(getattr(config, "workerinput", {}).get("workerid", ""))
        self._is_worker = hasattr(config, "workerinput")
        self._started = time.time()
        self._tests: list[Any] = []
        # The tests of which pytest-rerunfailures repeats the run that is being told of.
        self._repeated: set[str] = set()
        self._sessions: dict[str, Any] = {}
        self._told: list[str] = []
        self._has_failed = False

    # -- where tests run ---------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Time what fixtures take; those that one needs are made before, and not counted in."""
        started = time.time()
        try:
            return (yield)
        finally:
            seconds = time.time() - started
            is_own = str(getattr(fixturedef.func, "__module__", "")).startswith("lakebed.")
            observed = _observed(request.node) or _observed(getattr(request, "_pyfuncitem", None))
            if observed is not None and (is_own or seconds >= SLOW_SECONDS):
                observed.fixtures.append(
                    FixtureRecord(
                        request.fixturename or fixturedef.argname, fixturedef.scope, started, seconds, is_own
                    )
                )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note the phase; find out what a failure needs, and what the report is to be told."""
        report = yield
        observed = _observed(item)
        if observed is None:
            return report
        observed.phases.append(PhaseRecord(call.when, call.start, call.duration, report.outcome))
        observed.outcome = outcome_after(observed.outcome, report)
        stack = self._config.stash.get(STACK, None)
        uses_lakebed = stack is not None and bool(_services_of(item, stack, observed))
        is_over = report.when == "call" or (report.when == "setup" and not report.passed)
        if stack is not None and uses_lakebed:
            if report.failed and report.when != "teardown":
                self._add_sections(item, report, stack, observed)
            if is_over and self._file is not None:
                self._find_paths(item, stack, observed)
        if report.when == "teardown":
            if call.excinfo is not None and isinstance(call.excinfo.value, CleanUpIncomplete):
                observed.leftovers += call.excinfo.value.seen.splitlines()
            if uses_lakebed or self._file is not None:
                connectors = item.stash.get(CONNECTORS, [])
                record = observed.ended(stack, connectors, uses_lakebed=uses_lakebed)
                report.lakebed_test = self._to_json(record, stack)  # type: ignore[attr-defined]
            if uses_lakebed and observed.outcome in ("failed", "error"):
                self._has_failed = True
                # With --exitfirst the controller does not wait for what a worker says at its end.
                found = self._to_json(self._session(stack), stack)
                report.lakebed_session = found  # type: ignore[attr-defined]
        return report

    def _add_sections(
        self, item: pytest.Item, report: pytest.TestReport, stack: SessionStack, observed: Observations
    ) -> None:
        services = _services_of(item, stack, observed)
        lines = MORE_LOG_LINES if self._config.option.verbose > 0 else LOG_LINES

        def logs() -> list[tuple[str, str]]:
            # A server that has ended has the end of its log told with the reason.
            stopped = [title for title, _ in stack.stopped_services()]
            others = [one for one in services if not any(f" {one} is " in title for title in stopped)]
            return logs_of(stack, others, observed.log_sizes, lines)

        def unanswering() -> list[tuple[str, str]]:
            found = stack.unanswering().items()
            return [(f"lakebed: {service} does not answer", why) for service, why in found]

        looks: list[tuple[str, Look]] = [
            ("lakebed: services", stack.stopped_services),
            ("lakebed: answers", unanswering),
        ]
        connectors = item.stash.get(CONNECTORS, [])
        addresses = stack.known_addresses()
        for diagnose in item.stash.get(DIAGNOSES, []):
            looks.append(("lakebed: connector", diagnose))
        for connector in connectors:
            if addresses is not None:
                title = f"lakebed: last events of connector {connector.name}"
                looks.append((title, lambda one=connector: events_of(one, addresses)))  # type: ignore[misc]
        looks.append(("lakebed: logs", logs))
        sections = masked(look_around(looks), mask_of(stack.settings))
        report.sections.extend(sections)
        observed.sections += sections

    def _to_json(self, record: TestRecord | SessionRecord, stack: SessionStack | None) -> Any:
        content = to_json(record)
        return content if stack is None else masked_json(content, mask_of(stack.settings))

    def _find_paths(self, item: pytest.Item, stack: SessionStack, observed: Observations) -> None:
        connectors = item.stash.get(CONNECTORS, [])
        addresses = stack.known_addresses()
        if not connectors or addresses is None:
            return
        from lakebed.pytest_plugin.path_records import find_paths

        try:
            find_paths(observed, connectors, addresses)
        except Exception as error:  # the report is never a reason for a test to fail
            observed.notes.append(f"the path of its changes: not observed ({type(error).__name__}: {error})")

    def _session(self, stack: SessionStack | None, *, memory: bool = False) -> SessionRecord:
        """Return what is known of the stack now."""
        if stack is None:
            return SessionRecord(self._worker)
        notes: list[str] = []
        status: dict[str, Any] = {}
        samples: list[tuple[float, dict[str, int]]] = []
        try:
            status = stack.status() or {}
            samples = stack.memory() if memory else []
        except (LakebedError, OSError) as error:
            seen = error.seen if isinstance(error, LakebedError) else str(error)
            notes.append(f"the stack's state at the end: not observed ({seen.splitlines()[0]})")
        return session_record(self._worker, status, samples, stack.seconds_waited, notes)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Look at the stack before it is closed; hand over, or make the report, when it is."""
        stack = self._config.stash.get(STACK, None)
        found = self._session(stack, memory=self._file is not None) if self._wants_session(stack) else None
        result = yield
        if found is None and stack is not None:
            found = SessionRecord(self._worker, waited=dict(stack.seconds_waited))
        not_closed = self._config.stash.get(CLOSE_ERROR, None)
        if found is not None and self._is_worker and not_closed is not None:
            # Only the controller's words are seen.
            found = replace(found, notes=(*found.notes, not_closed))
        if found is not None:
            self._sessions[self._worker] = self._to_json(found, stack)
        if self._is_worker:
            if found is not None:
                output: dict[str, Any] = self._config.workeroutput  # type: ignore[attr-defined]
                output["lakebed"] = self._sessions[self._worker]
        elif self._file is not None:
            self._write(session)
        return result

    def _wants_session(self, stack: SessionStack | None) -> bool:
        """Whether it is worth asking for the state of the stack: the end of a green, quiet run is quick."""
        if stack is None:
            return False
        return self._file is not None or self._has_failed or self._config.option.verbose > 0

    # -- where it is shown -------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        """Collect; and have what was found out stand in JUnit XML as a part of the failure.

        JUnit XML gets sections only with `junit_logging`, and then only captured output. The text of the
        failure is what every reader of such files shows.
        """
        if not self._is_worker:
            outcome: str = report.outcome
            if outcome == "rerun":
                self._repeated.add(report.nodeid)
            if hasattr(report, "lakebed_test"):
                self._tests.append(self._told_of(report))
            if hasattr(report, "lakebed_session"):
                self._sessions[report.lakebed_session["worker"]] = report.lakebed_session
        if self._is_worker or not self._config.getoption("xmlpath", None):
            return (yield)
        with _in_failure(report):
            return (yield)

    def _told_of(self, report: pytest.TestReport) -> Any:
        """Return what is told with the last report of a run: that it failed only where it is the last run."""
        told: Any = report.lakebed_test
        if report.nodeid in self._repeated:
            self._repeated.discard(report.nodeid)
            return {**told, "outcome": "rerun"}
        return told

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what a worker of pytest-xdist has to say at its end; one that crashed says nothing."""
        told = getattr(node, "workeroutput", {}).get("lakebed")
        worker = str(node.gateway.id)
        if told is not None:
            self._sessions[worker] = told
        elif error and worker not in self._sessions:
            lost = SessionRecord(worker, notes=(f"worker {worker} ended without a word: {error}"[:300],))
            self._sessions[worker] = to_json(lost)

    def _run(self) -> RunRecord:
        tests = tuple(from_json(TestRecord, one) for one in self._tests)
        begun = [phase.started for test in tests for phase in test.phases]
        return RunRecord(
            title=f"pytest in {self._config.rootpath.name}",
            lakebed=__version__,
            # Collecting and starting servers come before the first test.
            started=min([self._started, *begun]),
            ended=time.time(),
            tests=tests,
            sessions=tuple(from_json(SessionRecord, one) for one in self._sessions.values()),
        )

    def _write(self, session: pytest.Session) -> None:
        assert self._file is not None
        if session.config.option.collectonly or session.config.option.setupplan:
            return
        try:
            from lakebed.report.output import write
            from lakebed.report.page import render

            write(self._file, render(self._run()))
            self._told.append(f"report: {self._file}")
        except Exception as error:  # what the tests have shown must be told whatever becomes of the report
            seen = str(error) if isinstance(error, LakebedError) else f"{type(error).__name__}: {error}"
            self._told.append(f"the report could not be made: {seen}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what tests waited for, what is left over, and with -v or after a failure more."""
        run = self._run()
        verbosity = terminalreporter.verbosity
        failed = any(test.uses_lakebed and test.outcome in ("failed", "error") for test in run.tests)
        lines = summary_lines(run, more=verbosity > 0 or failed)
        if len(lines) > 1 and verbosity >= 0:
            terminalreporter.section("lakebed", sep="-")
        if verbosity >= 0:
            for line in lines:
                terminalreporter.write_line(_PREFIX + line)
            if getattr(self._config.option, "lakebed_keep", False) and run.sessions:
                terminalreporter.write_line(
                    f"{_PREFIX}the servers stay for the next run; `lakebed down` ends them"
                )
        for told in self._told:
            if verbosity >= 0 or not told.startswith("report: "):
                terminalreporter.write_line(_PREFIX + told, red=not told.startswith("report: "))
        error = self._config.stash.get(CLOSE_ERROR, None)
        if error is not None:
            terminalreporter.write_line(_PREFIX + error, red=True)


def _observed(node: Any) -> Observations | None:
    return node.stash.get(OBSERVED, None) if isinstance(node, pytest.Item) else None


def _services_of(item: pytest.Item, stack: SessionStack, observed: Observations) -> list[str]:
    """Return the services that a test has used, with those that these need."""
    used = dict.fromkeys([*asked_by(item), *(service for service, _ in stack.waits[observed.waits_before :])])
    with contextlib.suppress(LakebedError):
        return [one.name for one in services_for(used, stack.settings.attach)] if used else []
    return list(used)


@contextlib.contextmanager
def _in_failure(report: pytest.TestReport) -> Iterator[None]:
    """Let lakebed's sections be a part of the failure's text, as long as others take note of the report."""
    known: list[Any] | None = getattr(report.longrepr, "sections", None) if report.failed else None
    if known is None:
        yield
        return
    before = len(known)
    added: Sequence[tuple[str, str, str]] = [
        (title, text, "-") for title, text in report.sections if title.startswith((_PREFIX, "connector "))
    ]
    known.extend(added)
    try:
        yield
    finally:
        del known[before : before + len(added)]


def add_reporting(config: pytest.Config) -> None:
    """Register what reports, after finding out that a report that is asked for can be made.

    Raises:
        pytest.UsageError: it cannot.
    """
    asked = config.getoption(OPTION)
    file = None if asked is None else Path(asked).expanduser().absolute()
    if file is not None and not hasattr(config, "workerinput"):
        from lakebed.report.output import check_writable
        from lakebed.report.page import check_extra

        try:
            check_extra()
            check_writable(file)
        except LakebedError as error:
            raise pytest.UsageError(f"--lakebed-report: {error}") from error
    config.pluginmanager.register(Reporting(config, file), NAME)


__all__ = ["NAME", "OPTION", "Reporting", "add_reporting"]
