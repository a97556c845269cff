"""pytest's hooks: options, what to start, the phases of the session, what a failure shows."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from lakebed.errors import LakebedError
from lakebed.lifecycle import FixtureLifecycle, FixturePhase
from lakebed.pytest_plugin.needs import MARKS, services_needed

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from lakebed.pytest_plugin.session import SessionStack

PHASES = pytest.StashKey[FixtureLifecycle]()
SERVICES = pytest.StashKey[list[str]]()
STACK: pytest.StashKey[SessionStack] = pytest.StashKey()
DIAGNOSES = pytest.StashKey[list[Any]]()
CLOSE_ERROR = pytest.StashKey[str]()

# From wherever the session is interrupted (Ctrl-C, --exitfirst), the way the phases allow to its end.
_WAYS_OUT = (
    (FixturePhase.SETUP, FixturePhase.TEARDOWN),
    (FixturePhase.TEST_RUNNING, FixturePhase.TEARDOWN),
    (FixturePhase.TEARDOWN, FixturePhase.MODULE_END),
    (FixturePhase.MODULE_START, FixturePhase.MODULE_END),
    (FixturePhase.MODULE_END, FixturePhase.SESSION_TEARDOWN),
    (FixturePhase.SESSION_START, FixturePhase.SESSION_TEARDOWN),
    (FixturePhase.INFRASTRUCTURE_READY, FixturePhase.SESSION_TEARDOWN),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add lakebed's options."""
    group = parser.getgroup("lakebed", "lakebed: a real change-data-capture stack")
    group.addoption(
        "--lakebed-set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of lakebed, over environment and files; may be given several times",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks and open the life cycle of the session."""
    for text in MARKS.values():
        config.addinivalue_line("markers", text)
    config.stash[PHASES] = FixtureLifecycle(session_id(config))
    config.stash[SERVICES] = []


def session_id(config: pytest.Config) -> str:
    """Return what names this session's stack: the same for all pytest-xdist workers of one run."""
    worker = getattr(config, "workerinput", None)
    run = worker["testrunuid"] if worker is not None else uuid.uuid4().hex
    return f"pytest-{run[:12]}"


def settings_of(config: pytest.Config) -> dict[str, Any]:
    """Return the settings given on the command line.

    Raises:
        pytest.UsageError: one is not of the form NAME=VALUE.
    """
    given: dict[str, Any] = {}
    for text in config.getoption("--lakebed-set"):
        name, separator, value = text.partition("=")
        if not separator:
            raise pytest.UsageError(f"--lakebed-set {text!r}: write NAME=VALUE")
        # Settings that are tables are written as JSON: ports={"kafka": 19092}.
        given[name] = json.loads(value) if value.startswith("{") else value
    return given


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find out which services the selected tests need."""
    needed: list[str] = services_needed(session.items)
    session.config.stash[SERVICES] = needed


# First, because a worker of pytest-xdist runs its tests in an implementation of its own.
@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """The plan stands: what the tests need is known."""
    if session.config.option.collectonly or not session.items:
        return
    needed: list[str] = session.config.stash[SERVICES]
    session.config.stash[PHASES].move_to(
        FixturePhase.INFRASTRUCTURE_READY, f"needed: {', '.join(needed) or 'nothing'}"
    )


def _move(item: pytest.Item, phase: FixturePhase, reason: str) -> None:
    item.config.stash[PHASES].move_to(phase, reason)


def _module(item: pytest.Item | None) -> str | None:
    return None if item is None else item.nodeid.split("::", 1)[0]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Open the module before its first test and close it after its last."""
    phases = item.config.stash[PHASES]
    if phases.state in (FixturePhase.INFRASTRUCTURE_READY, FixturePhase.MODULE_END):
        _move(item, FixturePhase.MODULE_START, str(_module(item)))
    result = yield
    if _module(nextitem) != _module(item):
        _move(item, FixturePhase.MODULE_END, str(_module(item)))
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The function-scoped fixtures are being made."""
    item.stash[DIAGNOSES] = []
    _move(item, FixturePhase.SETUP, item.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """The test's own code runs."""
    _move(item, FixturePhase.TEST_RUNNING, item.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """The function-scoped fixtures are being removed."""
    _move(item, FixturePhase.TEARDOWN, item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the fixtures know of their servers to the report of a failed test."""
    report = yield
    if report.failed and call.when in ("setup", "call"):
        for diagnose in item.stash.get(DIAGNOSES, []):
            try:
                sections = diagnose()
            except Exception as error:  # a server that is gone must not hide the test's own failure
                sections = [("lakebed", f"no diagnosis: {type(error).__name__}: {error}")]
            report.sections.extend(sections)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the life cycle; the session-scoped fixtures have been removed by now."""
    phases = session.config.stash[PHASES]
    for begun, next_phase in _WAYS_OUT:
        if phases.state is begun:
            phases.move_to(next_phase, "the session ends")
    stack = session.config.stash.get(STACK, None)
    if stack is not None:
        try:
            stack.close()
        except LakebedError as error:
            session.config.stash[CLOSE_ERROR] = str(error)
    phases.move_to(FixturePhase.SESSION_END, f"pid {os.getpid()}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how long tests waited for servers, and what could not be stopped."""
    stack = config.stash.get(STACK, None)
    if stack is not None and stack.seconds_waited and terminalreporter.verbosity >= 0:
        waits = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stack.seconds_waited.items())
        terminalreporter.write_line(f"lakebed: waited for {waits}")
    error = config.stash.get(CLOSE_ERROR, None)
    if error is not None:
        terminalreporter.write_line(f"lakebed: {error}", red=True)
