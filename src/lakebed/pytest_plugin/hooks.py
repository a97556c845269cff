"""pytest's hooks: options, what to start, the phases of the session, what a failure shows."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Container, Generator
from typing import TYPE_CHECKING, Any

import pytest

from lakebed.errors import LakebedError, RowsDiffer
from lakebed.lifecycle import FixtureLifecycle, FixturePhase
from lakebed.pytest_plugin.needs import MARKS, asked_by, check_marks, import_clients, services_needed
from lakebed.pytest_plugin.observing import OBSERVED, Observations
from lakebed.pytest_plugin.one_spark import group_if_of_spark
from lakebed.stack.written_log import log_sizes

if TYPE_CHECKING:
    from lakebed.config.settings import Settings
    from lakebed.pytest_plugin.session import SessionStack

PHASES = pytest.StashKey[FixtureLifecycle]()
SERVICES = pytest.StashKey[list[str]]()
STACK: pytest.StashKey[SessionStack] = pytest.StashKey()
DIAGNOSES = pytest.StashKey[list[Any]]()
CLOSE_ERROR = pytest.StashKey[str]()
BEGINS_EARLY = pytest.StashKey[bool]()
CONNECTORS = pytest.StashKey[list[Any]]()
# Whether the test that runs wants the stack alone; None: it does not use it.
ALONE: pytest.StashKey[bool | None] = pytest.StashKey()

# Tests that use this fixture kill servers.
CRASH_FIXTURE = "lakebed_crash"

# Options with which it is not known before the end of the collection what will run, or nothing runs at all.
_KEEP_FROM_BEGINNING_EARLY = (
    *("keyword", "markexpr", "deselect", "lf", "stepwise"),
    *("collectonly", "setupplan"),
)

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
    group.addoption(
        "--lakebed-keep",
        action="store_true",
        help="leave the servers running for the next run; `lakebed down` ends them",
    )
    group.addoption(
        "--lakebed-report",
        metavar="FILE.html",
        help="write a report of the run, one page that needs no network: docs/report.md",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks and open the life cycle of the session."""
    for text in MARKS.values():
        config.addinivalue_line("markers", text)
    from lakebed.pytest_plugin.reporting import add_reporting

    add_reporting(config)
    config.stash[PHASES] = FixtureLifecycle(session_id(config))
    config.stash[SERVICES] = []
    config.stash[BEGINS_EARLY] = not any(config.getoption(name, None) for name in _KEEP_FROM_BEGINNING_EARLY)


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


def client_name(config: pytest.Config) -> str:
    """Return how this session names itself: by its project, and with pytest-xdist by its worker."""
    worker = getattr(config, "workerinput", {}).get("workerid")
    return f"pytest in {config.rootpath.name}" + (f" ({worker})" if worker else "")


def session_stack(config: pytest.Config, settings: Settings) -> SessionStack:
    """Return the stack of this session for these settings; the same one at every call."""
    from lakebed.pytest_plugin.session import SessionStack

    stack = config.stash.get(STACK, None)
    if stack is not None and stack.settings != settings:
        stack.close()
        stack = None
    if stack is None:
        keep = bool(config.getoption("lakebed_keep"))
        watch_memory = config.getoption("lakebed_report") is not None
        stack = SessionStack(
            settings,
            config.stash[PHASES].session_id,
            client_name(config),
            keep=keep,
            watch_memory=watch_memory,
        )
        config.stash[STACK] = stack
    return stack


def _begin(config: pytest.Config, services: list[str]) -> None:
    """Begin to start services, in the background; whatever is wrong is said by the fixture lakebed_stack."""
    from lakebed.config.settings import load_settings

    try:
        session_stack(config, load_settings(settings_of(config))).begin(services)
    except (LakebedError, pytest.UsageError):
        config.stash[BEGINS_EARLY] = False


def _attached(config: pytest.Config) -> Container[str]:
    """Return which services somebody else runs; none where settings are wrong, as the fixtures will say."""
    from lakebed.config.settings import load_settings

    try:
        return load_settings(settings_of(config)).attach
    except (LakebedError, pytest.UsageError):
        return ()


def _overrides_settings(item: pytest.Item) -> bool:
    """Whether a fixture of the tests' own decides the settings; then it is not known what to start."""
    names = getattr(item, "_fixtureinfo", None)
    return names is None or len(names.name2fixturedefs.get("lakebed_settings", ())) > 1


def pytest_itemcollected(item: pytest.Item) -> None:
    """Begin to start what a test asks for while pytest still imports the others."""
    group_if_of_spark(item)
    if not item.config.stash[BEGINS_EARLY]:
        return
    try:
        check_marks(item)
        asked = asked_by(item)
    except (LakebedError, pytest.UsageError):
        # A mark is wrong, as the end of the collection will say: no test runs.
        asked = []
        item.config.stash[BEGINS_EARLY] = False
    if asked and _overrides_settings(item):
        item.config.stash[BEGINS_EARLY] = False
    elif asked:
        _begin(item.config, asked)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find out which services the selected tests need, and begin to start them."""
    config = session.config
    needed: list[str] = services_needed(session.items)
    if needed:
        needed = services_needed(session.items, _attached(config))
    config.stash[SERVICES] = needed
    runs = not config.option.collectonly and not config.option.setupplan
    if needed and runs and not any(map(_overrides_settings, session.items)):
        _begin(config, needed)
        import_clients(session.items)


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
    try:
        result = yield
    finally:
        item.config.stash[ALONE] = None
        stack = item.config.stash.get(STACK, None)
        if stack is not None:
            stack.give_up_turn()
    if _module(nextitem) != _module(item):
        _move(item, FixturePhase.MODULE_END, str(_module(item)))
    return result


def _wants_alone(item: pytest.Item) -> bool | None:
    """Whether a test must have the stack alone; None if it does not use it."""
    names = getattr(item, "fixturenames", ())
    if CRASH_FIXTURE in names:
        return True
    return False if "lakebed_stack" in names or asked_by(item) else None


def take_turn(config: pytest.Config) -> None:
    """Wait until the test that runs may use the stack: nobody else kills servers, or uses those it kills."""
    from lakebed.config.settings import load_settings

    alone = config.stash.get(ALONE, None)
    if alone is None:
        return
    # Where there is no stack, the fixture lakebed_stack says why.
    with contextlib.suppress(LakebedError, pytest.UsageError, OSError):
        stack = config.stash.get(STACK, None) or session_stack(config, load_settings(settings_of(config)))
        stack.take_turn(alone=alone)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The function-scoped fixtures are being made."""
    item.stash[DIAGNOSES] = []
    item.stash[CONNECTORS] = []
    item.config.stash[ALONE] = _wants_alone(item)
    if STACK in item.config.stash or not _overrides_settings(item):
        # Here and not around the whole protocol: a warning of it is to be one of the test's.
        take_turn(item.config)
    item.stash[OBSERVED] = _observations(item)
    _move(item, FixturePhase.SETUP, item.nodeid)


def _observations(item: pytest.Item) -> Observations:
    stack = item.config.stash.get(STACK, None)
    worker = str(getattr(item.config, "workerinput", {}).get("workerid", ""))
    observed = Observations(item.nodeid, worker, item.config.getoption("lakebed_report") is not None)
    if stack is not None and item.config.stash[ALONE] is not None:
        observed.waits_before = len(stack.waits)
        folder = stack.known_folder()
        if folder is not None:
            # A file may go meanwhile, with the stack.
            with contextlib.suppress(OSError):
                observed.log_sizes = log_sizes(folder)
    return observed


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
    """Colour rows that differ."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, RowsDiffer):
        # It looks into pytest's own parts: only where it is needed.
        from lakebed.pytest_plugin.coloured_diff import coloured

        report.longrepr = coloured(report.longrepr, call.excinfo.value)
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
