"""The life of a test session and its fixtures, and the register that cleans up after them.

Source: the contract, section 3.3 (Test Fixture Lifecycle); for `PYTEST_TRANSITIONS` the pytest documentation,
"API Reference", hooks `pytest_runtest_setup`, `pytest_runtest_teardown` and `pytest_sessionfinish`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from lakebed.config.checks import Choice
from lakebed.errors import CleanUpIncomplete
from lakebed.lifecycle.machine import Clock, Machine, utc_now


class FixturePhase(Choice):
    """Where a test session is."""

    SESSION_START = "SESSION_START"
    INFRASTRUCTURE_READY = "INFRASTRUCTURE_READY"
    MODULE_START = "MODULE_START"
    SETUP = "SETUP"
    TEST_RUNNING = "TEST_RUNNING"
    TEARDOWN = "TEARDOWN"
    MODULE_END = "MODULE_END"
    SESSION_TEARDOWN = "SESSION_TEARDOWN"
    SESSION_END = "SESSION_END"


_P = FixturePhase

FIXTURE_TRANSITIONS = frozenset(
    {
        (_P.SESSION_START, _P.INFRASTRUCTURE_READY),
        (_P.INFRASTRUCTURE_READY, _P.MODULE_START),
        (_P.MODULE_START, _P.SETUP),
        (_P.SETUP, _P.TEST_RUNNING),
        (_P.TEST_RUNNING, _P.TEARDOWN),
        (_P.TEARDOWN, _P.SETUP),
        (_P.TEARDOWN, _P.MODULE_END),
        (_P.MODULE_END, _P.MODULE_START),
        (_P.MODULE_END, _P.SESSION_TEARDOWN),
        (_P.SESSION_TEARDOWN, _P.SESSION_END),
    }
)
"""The arrows of the contract's diagram."""

PYTEST_TRANSITIONS = MappingProxyType(
    {
        (_P.SETUP, _P.TEARDOWN): "a fixture failed in set-up: what was made is torn down, no test runs",
        (_P.SESSION_START, _P.SESSION_TEARDOWN): "nothing was collected, or the start of the servers failed",
        (_P.INFRASTRUCTURE_READY, _P.SESSION_TEARDOWN): "no test is left to run, or it was interrupted",
        (_P.MODULE_START, _P.MODULE_END): "every test of the module was deselected or skipped",
    }
)
"""What pytest does beside the diagram, each with its reason."""


class FixtureLifecycle(Machine[FixturePhase]):
    """The phases of one test session (with pytest-xdist: of one worker's session)."""

    def __init__(self, session_id: str, clock: Clock = utc_now) -> None:
        self.session_id = session_id
        super().__init__(
            f"test session {session_id}",
            _P.SESSION_START,
            FIXTURE_TRANSITIONS | PYTEST_TRANSITIONS.keys(),
            clock,
        )


class CleanUp:
    """A register of how to remove what was made: last made, first removed.

    It does nothing of its own but call what it was given, in the caller's thread.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[str, Callable[[], None]]] = []
        self._finished = False

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, description: str, remove: Callable[[], None]) -> None:
        """Register how to remove one thing.

        Args:
            description: the thing, for a reader ("topic orders_1").
            remove: removes it; raises when it cannot. It may register further things, which go next.

        Raises:
            CleanUpIncomplete: the clean-up has already run, so that the thing would stay.
        """
        if self._finished:
            raise CleanUpIncomplete(
                f"register the removal of {description}",
                "this clean-up has already run and runs only once",
                f"register {description} before the clean-up runs; remove it by hand now",
            )
        self._entries.append((description, remove))

    def run(self) -> list[tuple[str, Exception]]:
        """Remove everything, last registered first; a failure does not keep the rest from being removed.

        Returns:
            What could not be removed, with its exception, in the order it was tried. Empty when all went
            well, and from the second call on. Nothing is called twice.

        Raises:
            BaseException: what is no Exception (KeyboardInterrupt, SystemExit) passes through at once; a
            further
                call then goes on with what is left.
        """
        failures: list[tuple[str, Exception]] = []
        while self._entries:
            description, remove = self._entries.pop()
            try:
                remove()
            except Exception as error:
                failures.append((description, error))
        self._finished = True
        return failures
