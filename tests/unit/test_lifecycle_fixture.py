from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import product

import pytest

from lakebed.errors import CleanUpIncomplete
from lakebed.lifecycle import (
    FIXTURE_TRANSITIONS,
    PYTEST_TRANSITIONS,
    CleanUp,
    FixtureLifecycle,
    FixturePhase,
    IllegalTransition,
    Transition,
)

NOON = datetime(2025, 10, 29, 12, 0, tzinfo=timezone.utc)

SESSION_START = FixturePhase.SESSION_START
INFRASTRUCTURE_READY = FixturePhase.INFRASTRUCTURE_READY
MODULE_START = FixturePhase.MODULE_START
SETUP = FixturePhase.SETUP
TEST_RUNNING = FixturePhase.TEST_RUNNING
TEARDOWN = FixturePhase.TEARDOWN
MODULE_END = FixturePhase.MODULE_END
SESSION_TEARDOWN = FixturePhase.SESSION_TEARDOWN
SESSION_END = FixturePhase.SESSION_END

DIAGRAM = {
    (SESSION_START, INFRASTRUCTURE_READY),
    (INFRASTRUCTURE_READY, MODULE_START),
    (MODULE_START, SETUP),
    (SETUP, TEST_RUNNING),
    (TEST_RUNNING, TEARDOWN),
    (TEARDOWN, SETUP),
    (TEARDOWN, MODULE_END),
    (MODULE_END, MODULE_START),
    (MODULE_END, SESSION_TEARDOWN),
    (SESSION_TEARDOWN, SESSION_END),
}
BESIDE_IT = {
    (SETUP, TEARDOWN),
    (SESSION_START, SESSION_TEARDOWN),
    (INFRASTRUCTURE_READY, SESSION_TEARDOWN),
    (MODULE_START, MODULE_END),
}
LEGAL = DIAGRAM | BESIDE_IT

ONE_TEST = [INFRASTRUCTURE_READY, MODULE_START, SETUP, TEST_RUNNING, TEARDOWN]
THE_END = [MODULE_END, SESSION_TEARDOWN, SESSION_END]


def session_in(phase: FixturePhase) -> FixtureLifecycle:
    session = FixtureLifecycle("gw0", lambda: NOON)
    way = [SESSION_START, *ONE_TEST, *THE_END]
    for step in way[1 : way.index(phase) + 1]:
        session.move_to(step, "test")
    return session


def test_the_tables_are_the_diagrams_and_pytests() -> None:
    assert DIAGRAM == FIXTURE_TRANSITIONS
    assert PYTEST_TRANSITIONS.keys() == BESIDE_IT
    assert all(reason.strip() and "\n" not in reason for reason in PYTEST_TRANSITIONS.values())


@pytest.mark.parametrize(("origin", "target"), list(product(FixturePhase, repeat=2)))
def test_every_pair_is_legal_or_refused(origin: FixturePhase, target: FixturePhase) -> None:
    session = session_in(origin)
    before = session.history
    if (origin, target) in LEGAL:
        transition = session.move_to(target, "because")
        assert transition == Transition(origin, target, NOON, "because")
        assert session.state is target
        assert session.history == (*before, transition)
        return
    with pytest.raises(IllegalTransition) as caught:
        session.move_to(target, "because")
    message = str(caught.value)
    assert f"move test session gw0 from {origin.value} to {target.value}" in message
    allowed = [phase.value for phase in FixturePhase if (origin, phase) in LEGAL]
    last = "nothing, it is the last state"
    assert f"allowed from {origin.value}: {', '.join(allowed) or last}" in message
    assert session.state is origin
    assert session.history == before


@pytest.mark.parametrize(
    "way",
    [
        [*ONE_TEST, *THE_END],
        [*ONE_TEST, SETUP, TEST_RUNNING, TEARDOWN, *THE_END],
        [*ONE_TEST, MODULE_END, MODULE_START, SETUP, TEARDOWN, *THE_END],
        [INFRASTRUCTURE_READY, MODULE_START, *THE_END],
        [INFRASTRUCTURE_READY, SESSION_TEARDOWN, SESSION_END],
        [SESSION_TEARDOWN, SESSION_END],
    ],
    ids=["one test", "two tests", "failed set-up in module two", "all skipped", "none left", "failed start"],
)
def test_whole_sessions(way: list[FixturePhase]) -> None:
    times = iter(NOON + timedelta(seconds=second) for second in range(100))
    session = FixtureLifecycle("main", lambda: next(times))
    for phase in way:
        session.move_to(phase, f"on to {phase.value}")
    assert [each.to_state for each in session.history] == way
    assert [each.at for each in session.history] == [NOON + timedelta(seconds=n) for n in range(len(way))]
    assert session.history[0].from_state is SESSION_START
    assert session.state is SESSION_END
    assert session.session_id == "main"


def removal(removed: list[str], thing: str) -> Callable[[], None]:
    return lambda: removed.append(thing)


def test_what_was_made_last_is_removed_first() -> None:
    removed: list[str] = []
    clean_up = CleanUp()
    for thing in ("database", "slot", "connector"):
        clean_up.add(thing, removal(removed, thing))
    assert len(clean_up) == 3
    assert removed == []
    assert clean_up.run() == []
    assert removed == ["connector", "slot", "database"]
    assert len(clean_up) == 0


def test_a_failure_does_not_keep_the_rest_from_being_removed() -> None:
    removed: list[str] = []
    still_active = RuntimeError("slot is active")
    gone = OSError("connection lost")

    def fail(error: Exception) -> None:
        raise error

    clean_up = CleanUp()
    clean_up.add("topic", lambda: fail(gone))
    clean_up.add("database", removal(removed, "database"))
    clean_up.add("slot", lambda: fail(still_active))
    clean_up.add("connector", removal(removed, "connector"))
    assert clean_up.run() == [("slot", still_active), ("topic", gone)]
    assert removed == ["connector", "database"]


def test_it_runs_only_once() -> None:
    removed: list[str] = []

    def fail() -> None:
        removed.append("slot")
        raise RuntimeError("slot is active")

    clean_up = CleanUp()
    clean_up.add("slot", fail)
    assert [description for description, _ in clean_up.run()] == ["slot"]
    assert clean_up.run() == []
    assert removed == ["slot"]


def test_nothing_can_be_added_after_the_run() -> None:
    clean_up = CleanUp()
    clean_up.run()
    with pytest.raises(CleanUpIncomplete, match="register the removal of topic orders_1"):
        clean_up.add("topic orders_1", lambda: None)
    assert len(clean_up) == 0


def test_a_removal_may_register_another_which_goes_next() -> None:
    removed: list[str] = []
    clean_up = CleanUp()
    clean_up.add("bucket", removal(removed, "bucket"))
    clean_up.add("table", lambda: clean_up.add("files of table", removal(removed, "files of table")))
    assert clean_up.run() == []
    assert removed == ["files of table", "bucket"]


def test_an_interrupt_passes_and_the_next_run_goes_on() -> None:
    removed: list[str] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    clean_up = CleanUp()
    clean_up.add("database", removal(removed, "database"))
    clean_up.add("slot", interrupted)
    clean_up.add("connector", removal(removed, "connector"))
    with pytest.raises(KeyboardInterrupt):
        clean_up.run()
    assert removed == ["connector"]
    assert clean_up.run() == []
    assert removed == ["connector", "database"]
