from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import product
from pathlib import Path

import pytest

from lakebed.errors import LakebedError
from lakebed.lifecycle import (
    MAX_FAILED_CHECKS,
    SERVICE_TRANSITIONS,
    IllegalTransition,
    Machine,
    ServiceLifecycle,
    ServiceState,
    Transition,
)

STOPPED = ServiceState.STOPPED
STARTING = ServiceState.STARTING
HEALTHY = ServiceState.HEALTHY
RUNNING = ServiceState.RUNNING
STOPPING = ServiceState.STOPPING

LEGAL = {
    (STOPPED, STARTING),
    (STARTING, STARTING),
    (STARTING, HEALTHY),
    (STARTING, STOPPED),
    (HEALTHY, RUNNING),
    (HEALTHY, STARTING),
    (RUNNING, STOPPING),
    (STOPPING, STOPPED),
}

NOON = datetime(2025, 10, 29, 12, 0, tzinfo=timezone.utc)


def seconds_from_noon() -> Callable[[], datetime]:
    """A clock that is at noon when first asked and one second later each further time."""
    times: Iterator[datetime] = (NOON + timedelta(seconds=second) for second in range(1000))
    return lambda: next(times)


def service_in(state: ServiceState) -> ServiceLifecycle:
    service = ServiceLifecycle("kafka", seconds_from_noon())
    if state is STOPPED:
        return service
    service.start()
    if state is STARTING:
        return service
    service.check_passed()
    if state is HEALTHY:
        return service
    service.client_connected("test")
    if state is RUNNING:
        return service
    service.stop("test ended")
    return service


def states_passed(service: ServiceLifecycle, after: int = 0) -> list[tuple[ServiceState, ServiceState]]:
    return [(each.from_state, each.to_state) for each in service.history[after:]]


def test_the_table_is_the_contracts() -> None:
    assert SERVICE_TRANSITIONS == LEGAL
    assert len(list(product(ServiceState, repeat=2))) == 25


@pytest.mark.parametrize(("origin", "target"), list(product(ServiceState, repeat=2)))
def test_every_pair_is_legal_or_refused(origin: ServiceState, target: ServiceState) -> None:
    machine = Machine("service kafka", origin, SERVICE_TRANSITIONS, lambda: NOON)
    if (origin, target) in LEGAL:
        transition = machine.move_to(target, "because")
        assert transition == Transition(origin, target, NOON, "because")
        assert machine.state is target
        assert machine.history == (transition,)
        return
    with pytest.raises(IllegalTransition) as caught:
        machine.move_to(target, "because")
    message = str(caught.value)
    assert f"move service kafka from {origin.value} to {target.value}" in message
    allowed = [state.value for state in ServiceState if (origin, state) in LEGAL]
    assert f"allowed from {origin.value}: {', '.join(allowed)}" in message
    assert caught.value.allowed == tuple(allowed)
    assert machine.state is origin
    assert machine.history == ()


EVENTS: dict[str, Callable[[ServiceLifecycle], object]] = {
    "start": lambda service: service.start(),
    "check_failed": lambda service: service.check_failed("connection refused"),
    "check_passed": lambda service: service.check_passed(),
    "client_connected": lambda service: service.client_connected("psycopg"),
    "stop": lambda service: service.stop("lakebed down"),
    "terminated": lambda service: service.terminated(1),
}
# What each event does in each state: the states it passes through, [] for no news, or the move refused.
OUTCOMES: dict[tuple[str, ServiceState], list[ServiceState] | ServiceState] = {
    ("start", STOPPED): [STARTING],
    ("start", STARTING): STARTING,
    ("start", HEALTHY): STARTING,
    ("start", RUNNING): STARTING,
    ("start", STOPPING): STARTING,
    ("check_failed", STOPPED): STOPPED,
    ("check_failed", STARTING): [STARTING],
    ("check_failed", HEALTHY): [STARTING],
    ("check_failed", RUNNING): STARTING,
    ("check_failed", STOPPING): [],
    ("check_passed", STOPPED): HEALTHY,
    ("check_passed", STARTING): [HEALTHY],
    ("check_passed", HEALTHY): [],
    ("check_passed", RUNNING): [],
    ("check_passed", STOPPING): HEALTHY,
    ("client_connected", STOPPED): RUNNING,
    ("client_connected", STARTING): RUNNING,
    ("client_connected", HEALTHY): [RUNNING],
    ("client_connected", RUNNING): [],
    ("client_connected", STOPPING): RUNNING,
    ("stop", STOPPED): STOPPING,
    ("stop", STARTING): [STOPPED],
    ("stop", HEALTHY): [RUNNING, STOPPING],
    ("stop", RUNNING): [STOPPING],
    ("stop", STOPPING): STOPPING,
    ("terminated", STOPPED): STOPPED,
    ("terminated", STARTING): [STOPPED],
    ("terminated", HEALTHY): [STARTING, STOPPED],
    ("terminated", RUNNING): [STOPPING, STOPPED],
    ("terminated", STOPPING): [STOPPED],
}


@pytest.mark.parametrize(("event", "state"), list(product(EVENTS, ServiceState)))
def test_every_event_in_every_state(event: str, state: ServiceState) -> None:
    service = service_in(state)
    before = service.to_json()
    made = len(service.history)
    outcome = OUTCOMES[event, state]
    if isinstance(outcome, ServiceState):
        with pytest.raises(IllegalTransition, match=f"from {state.value} to {outcome.value}\n"):
            EVENTS[event](service)
        assert service.to_json() == before
        return
    moves = EVENTS[event](service)
    assert moves == service.history[made:]
    assert [each.to_state for each in service.history[made:]] == outcome
    assert set(states_passed(service)) <= LEGAL


def test_four_failed_checks_are_retries_and_the_fifth_stops() -> None:
    service = service_in(STARTING)
    for count in range(1, MAX_FAILED_CHECKS):
        (move,) = service.check_failed(f"refused {count}")
        assert (move.from_state, move.to_state) == (STARTING, STARTING)
        assert move.reason == f"health check {count} of 5 failed: refused {count}"
        assert service.failed_checks == count
    (move,) = service.check_failed("refused 5")
    assert (move.from_state, move.to_state) == (STARTING, STOPPED)
    assert move.reason == "service_start failure: 5 health checks failed, last: refused 5"
    assert service.failed_checks == 5
    assert service.last_failure == "refused 5"
    assert states_passed(service) == [(STOPPED, STARTING), *[(STARTING, STARTING)] * 4, (STARTING, STOPPED)]


def test_a_passed_check_and_a_new_start_forget_failed_checks() -> None:
    service = service_in(STARTING)
    for _ in range(4):
        service.check_failed("refused")
    service.check_passed()
    assert service.failed_checks == 0
    service.check_failed("timed out")
    assert service.state is STARTING
    assert service.failed_checks == 1
    for _ in range(4):
        service.check_failed("refused")
    assert service.state is STOPPED
    service.start()
    assert service.failed_checks == 0
    assert service.last_failure is None
    service.check_failed("refused")
    assert service.state is STARTING


def test_only_the_first_client_is_a_transition() -> None:
    service = service_in(HEALTHY)
    (first,) = service.client_connected("psycopg")
    assert first.reason == "first client connection: psycopg"
    assert service.client_connected("confluent-kafka") == ()


def test_stop_of_a_healthy_service_says_that_no_client_came() -> None:
    service = service_in(HEALTHY)
    to_running, to_stopping = service.stop("lakebed down")
    assert to_running.reason.startswith("no client came")
    assert to_stopping.reason == "lakebed down"


@pytest.mark.parametrize(
    ("exit_code", "reason", "expected"),
    [
        (1, "", "the process exited with code 1"),
        (-9, "", "the process was ended by signal 9 (SIGKILL)"),
        (-250, "", "the process was ended by signal 250"),
        (137, "out of memory", "the process exited with code 137: out of memory"),
        (None, "no such process", "no such process"),
        (None, "", "the process ended, exit code not known"),
    ],
)
def test_the_end_of_a_starting_process_is_told(exit_code: int | None, reason: str, expected: str) -> None:
    service = service_in(STARTING)
    (move,) = service.terminated(exit_code, reason)
    assert move.reason == f"service_start failure: {expected}"
    assert service.last_failure == expected


def test_death_while_healthy_or_running_records_both_steps() -> None:
    healthy = service_in(HEALTHY)
    assert [move.reason for move in healthy.terminated(3)] == [
        "the process exited with code 3 while HEALTHY",
        "service_start failure: the process exited with code 3",
    ]
    assert healthy.last_failure == "the process exited with code 3"
    running = service_in(RUNNING)
    assert [move.reason for move in running.terminated(3)] == [
        "the process exited with code 3 while RUNNING",
        "the process exited with code 3",
    ]
    assert running.last_failure == "the process exited with code 3"
    stopping = service_in(STOPPING)
    stopping.terminated(0)
    assert stopping.last_failure is None


def test_the_process_of_a_given_up_start_may_end_afterwards() -> None:
    given_up = service_in(STARTING)
    given_up.stop("interrupted")
    assert given_up.terminated(-15) == ()
    unhealthy = service_in(STARTING)
    for _ in range(MAX_FAILED_CHECKS):
        unhealthy.check_failed("refused")
    assert unhealthy.terminated(-15) == ()
    assert unhealthy.last_failure == "refused"
    stopped = service_in(STOPPING)
    stopped.terminated(0)
    with pytest.raises(IllegalTransition):
        stopped.terminated(0)


def test_the_history_has_the_time_of_each_move() -> None:
    service = service_in(STOPPING)
    service.terminated(0)
    assert [(each.to_state, each.at) for each in service.history] == [
        (STARTING, NOON),
        (HEALTHY, NOON + timedelta(seconds=1)),
        (RUNNING, NOON + timedelta(seconds=2)),
        (STOPPING, NOON + timedelta(seconds=3)),
        (STOPPED, NOON + timedelta(seconds=4)),
    ]


def test_the_default_clock_is_the_present_time_in_utc() -> None:
    before = datetime.now(timezone.utc)
    service = ServiceLifecycle("kafka")
    (move,) = service.start()
    assert before <= move.at <= datetime.now(timezone.utc)
    assert move.at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("at", [NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=2)))])
def test_a_time_that_is_not_utc_is_refused(at: datetime) -> None:
    with pytest.raises(ValueError, match="an aware time in UTC"):
        Transition(STOPPED, STARTING, at, "start")
    service = ServiceLifecycle("kafka", lambda: at)
    with pytest.raises(ValueError, match="an aware time in UTC"):
        service.start()
    assert service.state is STOPPED


@pytest.mark.parametrize("state", ServiceState)
def test_a_lifecycle_travels_as_json_and_goes_on(state: ServiceState) -> None:
    service = service_in(state)
    text = json.dumps({**service.to_json(), "new_field": 1})
    copy = ServiceLifecycle.from_json(json.loads(text), seconds_from_noon())
    assert copy.to_json() == service.to_json()
    assert copy.name == "kafka"
    assert copy.history == service.history


def test_failed_checks_travel_and_are_counted_on() -> None:
    service = service_in(STARTING)
    for _ in range(4):
        service.check_failed("refused\nlast log line")
    copy = ServiceLifecycle.from_json(json.loads(json.dumps(service.to_json())))
    assert (copy.failed_checks, copy.last_failure) == (4, "refused\nlast log line")
    copy.check_failed("refused")
    assert copy.state is STOPPED
    assert service.state is STARTING


def test_a_transition_is_texts_in_json() -> None:
    transition = Transition(STARTING, HEALTHY, NOON, "health check passed")
    assert transition.to_json() == {
        "from_state": "STARTING",
        "to_state": "HEALTHY",
        "at": "2025-10-29T12:00:00+00:00",
        "reason": "health check passed",
    }
    assert Transition.from_json(ServiceState, transition.to_json()) == transition


@pytest.mark.parametrize(
    ("path", "value", "error", "told"),
    [
        (("name",), "", ValueError, "service.name is ''"),
        (("state",), "ASLEEP", ValueError, "service.state is 'ASLEEP'; allowed: STOPPED, STARTING, HEALTHY"),
        (("state",), "RUNNING", ValueError, "service.state is RUNNING; allowed: HEALTHY"),
        (("failed_checks",), 6, ValueError, "service.failed_checks is 6; allowed: an integer from 0 to 5"),
        (("failed_checks",), "1", TypeError, "service.failed_checks is '1' (str)"),
        (("last_failure",), 7, TypeError, "service.last_failure is 7 (int); allowed: text"),
        (("history",), None, TypeError, "service.history is None (NoneType); allowed: a list"),
        (("history", 1), [], TypeError, "service.history[1] is [] (list); allowed: a JSON object"),
        (("history", 1, "to_state"), "UP", ValueError, "service.history[1].to_state is 'UP'; allowed:"),
        (("history", 1, "from_state"), None, TypeError, "service.history[1].from_state is None"),
        (("history", 1, "at"), "noon", ValueError, "service.history[1].at is 'noon'"),
        (("history", 1, "at"), "2025-10-29T12:00:00", ValueError, "an aware time in UTC"),
        (("history", 1, "reason"), None, TypeError, "service.history[1].reason is None"),
        (("history", 1, "from_state"), "STOPPED", ValueError, "goes on from STOPPED; allowed: STARTING"),
        (("history", 1, "to_state"), "STOPPING", IllegalTransition, "from STARTING to STOPPING"),
    ],
)
def test_wrong_json_is_refused_with_its_path(
    path: tuple[str | int, ...], value: object, error: type[Exception], told: str
) -> None:
    document = json.loads(json.dumps(service_in(HEALTHY).to_json()))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(error, match=re.escape(told)):
        ServiceLifecycle.from_json(document)


def test_json_that_is_no_object_is_refused() -> None:
    with pytest.raises(TypeError, match=re.escape("service is [] (list); allowed: a JSON object")):
        ServiceLifecycle.from_json([])


def test_the_error_survives_pickling_and_is_ours() -> None:
    with pytest.raises(LakebedError) as caught:
        service_in(HEALTHY).start()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is IllegalTransition
    assert str(copy) == str(caught.value)
    assert (copy.subject, copy.from_state, copy.to_state) == ("service kafka", "HEALTHY", "STARTING")
    assert copy.allowed == ("STARTING", "RUNNING")
    assert copy.because == "only a STOPPED service is started, this one is HEALTHY"


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    example, output = re.findall(r"```(?:python|text)\n(.*?)```", page, flags=re.DOTALL)[:2]
    exec(compile(example, "docs/lifecycle.md", "exec"), {})
    assert capsys.readouterr().out == output
