from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from itertools import product

import pytest

from lakebed.lifecycle import (
    ACTIONS,
    CONNECTOR_TRANSITIONS,
    CONTRACT_TRANSITIONS,
    OBSERVED_TRANSITIONS,
    ConnectorAction,
    ConnectorLifecycle,
    ConnectorState,
    IllegalTransition,
    Machine,
    Transition,
    can_accept_tasks,
    state_of,
)

NOON = datetime(2025, 10, 29, 12, 0, tzinfo=timezone.utc)

# The contract's list, then what Kafka Connect reports beside it, as "FROM TO".
CONTRACT = """
NONE CREATING
CREATING RUNNING
CREATING FAILED
RUNNING FAILED
RUNNING PAUSED
FAILED RUNNING
PAUSED RUNNING
RUNNING DELETED
FAILED DELETED
PAUSED DELETED
"""
OBSERVED = """
CREATING UNASSIGNED
UNASSIGNED RUNNING
RUNNING UNASSIGNED
UNASSIGNED FAILED
PAUSED UNASSIGNED
UNASSIGNED PAUSED
UNASSIGNED DELETED
RUNNING RESTARTING
FAILED RESTARTING
RESTARTING RUNNING
RESTARTING FAILED
RESTARTING DELETED
RUNNING STOPPED
PAUSED STOPPED
FAILED STOPPED
STOPPED RUNNING
STOPPED PAUSED
STOPPED DELETED
CREATING STOPPED
CREATING PAUSED
CREATING DELETED
DELETED CREATING
"""

NONE = ConnectorState.NONE
CREATING = ConnectorState.CREATING
RUNNING = ConnectorState.RUNNING
FAILED = ConnectorState.FAILED
PAUSED = ConnectorState.PAUSED
UNASSIGNED = ConnectorState.UNASSIGNED
DELETED = ConnectorState.DELETED
RESTARTING = ConnectorState.RESTARTING
STOPPED = ConnectorState.STOPPED


def pairs(text: str) -> set[tuple[ConnectorState, ConnectorState]]:
    lines = [line.split() for line in text.strip().splitlines()]
    return {(ConnectorState(origin), ConnectorState(target)) for origin, target in lines}


LEGAL = pairs(CONTRACT) | pairs(OBSERVED)


def connector_in(state: ConnectorState) -> ConnectorLifecycle:
    connector = ConnectorLifecycle("orders", lambda: NOON)
    connector.observe(state, "test")
    return connector


def test_the_tables_are_the_contracts_and_the_observed_ones() -> None:
    assert pairs(CONTRACT) == CONTRACT_TRANSITIONS
    assert len(CONTRACT_TRANSITIONS) == 10
    assert pairs(OBSERVED) == OBSERVED_TRANSITIONS.keys()
    assert not CONTRACT_TRANSITIONS & OBSERVED_TRANSITIONS.keys()
    assert LEGAL == CONNECTOR_TRANSITIONS
    assert all(reason.strip() and "\n" not in reason for reason in OBSERVED_TRANSITIONS.values())


@pytest.mark.parametrize(("origin", "target"), list(product(ConnectorState, repeat=2)))
def test_every_pair_is_legal_or_refused(origin: ConnectorState, target: ConnectorState) -> None:
    connector = connector_in(origin)
    before = connector.history
    if (origin, target) in LEGAL:
        transition = connector.move_to(target, "because")
        assert transition == Transition(origin, target, NOON, "because")
        assert connector.state is target
        assert connector.history == (*before, transition)
        return
    with pytest.raises(IllegalTransition) as caught:
        connector.move_to(target, "because")
    message = str(caught.value)
    assert f"move connector orders from {origin.value} to {target.value}" in message
    allowed = [state.value for state in ConnectorState if (origin, state) in LEGAL]
    assert f"allowed from {origin.value}: {', '.join(allowed)}" in message
    assert connector.state is origin
    assert connector.history == before


@pytest.mark.parametrize(("origin", "target"), list(product(ConnectorState, repeat=2)))
def test_every_state_is_observed_after_every_other(origin: ConnectorState, target: ConnectorState) -> None:
    connector = connector_in(origin)
    before = connector.history
    if target is NONE and origin is not NONE:
        with pytest.raises(IllegalTransition, match=f"from {origin.value} to NONE"):
            connector.observe(target, "polled")
        assert connector.history == before
        return
    past_creating = origin not in (NONE, CREATING, DELETED)
    expected = UNASSIGNED if target is CREATING and past_creating else target
    moves = connector.observe(target, "polled")
    assert connector.state is expected
    assert connector.history == before + moves
    assert (moves == ()) == (origin is expected)
    assert all((move.from_state, move.to_state) in LEGAL for move in moves)
    assert all(move.reason == f"not seen, implied by {expected.value}" for move in moves[:-1])
    assert all(move.reason.startswith("polled") for move in moves[-1:])
    if (origin, expected) in LEGAL:
        assert len(moves) == 1


def test_what_polling_missed_is_recorded_as_implied() -> None:
    times = iter(NOON + timedelta(seconds=second) for second in range(10))
    connector = ConnectorLifecycle("orders", lambda: next(times))
    assert connector.observe(RUNNING, "status polled") == (
        Transition(NONE, CREATING, NOON, "not seen, implied by RUNNING"),
        Transition(CREATING, RUNNING, NOON + timedelta(seconds=1), "status polled"),
    )
    assert connector.observe(RUNNING, "status polled") == ()
    assert len(connector.history) == 2


def test_the_path_is_the_shortest_and_always_the_same() -> None:
    assert [move.to_state for move in connector_in(STOPPED).observe(FAILED, "polled")] == [RUNNING, FAILED]
    assert [move.to_state for move in connector_in(RESTARTING).observe(PAUSED, "polled")] == [RUNNING, PAUSED]
    assert [move.to_state for move in connector_in(DELETED).observe(RESTARTING, "polled")] == [
        CREATING,
        RUNNING,
        RESTARTING,
    ]


def test_tasks_not_listed_again_yet_are_unassigned() -> None:
    connector = connector_in(RUNNING)
    (move,) = connector.observe(state_of("RUNNING", []), "polled")
    assert move.to_state is UNASSIGNED
    assert move.reason == "polled (CREATING seen, its tasks are not listed yet)"
    assert connector.observe(CREATING, "polled") == ()
    (back,) = connector.observe(state_of("RUNNING", ["RUNNING"]), "polled")
    assert (back.from_state, back.to_state) == (UNASSIGNED, RUNNING)


def test_a_recreated_connector_is_creating_again() -> None:
    connector = connector_in(RUNNING)
    connector.move_to(DELETED, "DELETE")
    (move,) = connector.observe(CREATING, "polled")
    assert (move.from_state, move.to_state) == (DELETED, CREATING)


def test_a_state_that_no_path_leads_to_is_refused() -> None:
    with pytest.raises(IllegalTransition) as caught:
        connector_in(PAUSED).observe(NONE, "polled")
    assert str(caught.value) == (
        "move connector orders from PAUSED to NONE\n"
        "  seen: no path leads from PAUSED to NONE\n"
        "  do:   allowed from PAUSED: RUNNING, UNASSIGNED, DELETED, STOPPED"
    )


# The connector's state, the tasks' states, and what they amount to.
STATUSES = [
    ("RUNNING", "", CREATING),
    ("RUNNING", "RUNNING", RUNNING),
    ("RUNNING", "RUNNING RUNNING", RUNNING),
    ("RUNNING", "RUNNING FAILED", FAILED),
    ("RUNNING", "RESTARTING FAILED", FAILED),
    ("RUNNING", "UNASSIGNED RESTARTING", RESTARTING),
    ("RUNNING", "RUNNING UNASSIGNED", UNASSIGNED),
    ("RUNNING", "PAUSED UNASSIGNED", UNASSIGNED),
    ("RUNNING", "PAUSED PAUSED", PAUSED),
    ("RUNNING", "PAUSED RUNNING", PAUSED),
    ("FAILED", "", FAILED),
    ("FAILED", "RUNNING", FAILED),
    ("PAUSED", "", PAUSED),
    ("PAUSED", "PAUSED", PAUSED),
    ("PAUSED", "RUNNING", PAUSED),
    ("PAUSED", "FAILED", FAILED),
    ("STOPPED", "", STOPPED),
    ("STOPPED", "RUNNING", STOPPED),
    ("STOPPED", "FAILED", FAILED),
    ("RESTARTING", "RUNNING", RESTARTING),
    ("RESTARTING", "FAILED", FAILED),
    ("UNASSIGNED", "", UNASSIGNED),
    ("UNASSIGNED", "RUNNING", UNASSIGNED),
]


@pytest.mark.parametrize(("connector", "tasks", "expected"), STATUSES)
def test_a_status_amounts_to_one_state(connector: str, tasks: str, expected: ConnectorState) -> None:
    assert state_of(connector, tasks.split()) is expected


@pytest.mark.parametrize(
    ("connector", "tasks", "told"),
    [
        ("running", [], "connector.state is 'running'; allowed: FAILED, RESTARTING, UNASSIGNED"),
        ("NONE", [], "connector.state is 'NONE'"),
        ("DESTROYED", [], "connector.state is 'DESTROYED'"),
        ("RUNNING", ["RUNNING", "ASLEEP"], "tasks[1].state is 'ASLEEP'"),
        ("RUNNING", ["STOPPED"], "tasks[0].state is 'STOPPED'"),
    ],
)
def test_a_state_that_connect_does_not_show_is_refused(connector: str, tasks: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        state_of(connector, tasks)


def test_the_actions_are_the_contracts() -> None:
    assert {state.value: [action.value for action in actions] for state, actions in ACTIONS.items()} == {
        "NONE": ["create"],
        "CREATING": ["wait", "delete"],
        "RUNNING": ["pause", "delete", "restart"],
        "FAILED": ["restart", "delete"],
        "PAUSED": ["resume", "delete"],
        "UNASSIGNED": ["wait", "delete"],
        "DELETED": ["recreate"],
        "RESTARTING": ["wait", "delete"],
        "STOPPED": ["resume", "delete"],
    }


@pytest.mark.parametrize("state", ConnectorState)
def test_every_action_leads_along_a_legal_transition(state: ConnectorState) -> None:
    leads_to = {
        ConnectorAction.CREATE: CREATING,
        ConnectorAction.RECREATE: CREATING,
        ConnectorAction.PAUSE: PAUSED,
        ConnectorAction.RESUME: RUNNING,
        ConnectorAction.RESTART: RESTARTING,
        ConnectorAction.DELETE: DELETED,
    }
    connector = connector_in(state)
    assert connector.actions == ACTIONS[state]
    for action in connector.actions:
        if action is ConnectorAction.WAIT:
            assert RUNNING in connector.allowed()
        else:
            assert leads_to[action] in connector.allowed()


@pytest.mark.parametrize("state", ConnectorState)
def test_only_a_running_connector_accepts_tasks(state: ConnectorState) -> None:
    assert can_accept_tasks(state) is (state is RUNNING)
    assert connector_in(state).can_accept_tasks is (state is RUNNING)


def test_a_history_can_be_taken_over() -> None:
    original = connector_in(PAUSED)
    copy = ConnectorLifecycle("orders")
    copy.replay(Transition.from_json(ConnectorState, each.to_json()) for each in original.history)
    assert (copy.state, copy.history) == (PAUSED, original.history)


def test_a_last_state_says_that_nothing_follows() -> None:
    machine = Machine("connector orders", RUNNING, {(RUNNING, DELETED)}, lambda: NOON)
    machine.move_to(DELETED, "DELETE")
    with pytest.raises(IllegalTransition, match="allowed from DELETED: nothing, it is the last state"):
        machine.move_to(RUNNING, "polled")


def test_what_a_machine_looks_like() -> None:
    assert repr(connector_in(PAUSED)) == "<ConnectorLifecycle connector orders: PAUSED>"
