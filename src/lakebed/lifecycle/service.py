"""The life of one server: STOPPED, STARTING, HEALTHY, RUNNING, STOPPING.

Source: the contract, section 3.1 (Service Lifecycle). Its transitions are `SERVICE_TRANSITIONS`; there are no
others.
"""

from __future__ import annotations

import signal

from lakebed.config.checks import Choice, check_integer, check_text
from lakebed.lifecycle.machine import (
    Clock,
    Machine,
    Transition,
    json_object,
    state_from_json,
    text_from_json,
    utc_now,
)

MAX_FAILED_CHECKS = 5


class ServiceState(Choice):
    """Where a server is in its life."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"


_S = ServiceState

SERVICE_TRANSITIONS = frozenset(
    {
        (_S.STOPPED, _S.STARTING),
        (_S.STARTING, _S.STARTING),
        (_S.STARTING, _S.HEALTHY),
        (_S.STARTING, _S.STOPPED),
        (_S.HEALTHY, _S.RUNNING),
        (_S.HEALTHY, _S.STARTING),
        (_S.RUNNING, _S.STOPPING),
        (_S.STOPPING, _S.STOPPED),
    }
)

Moves = tuple[Transition[ServiceState], ...]


class ServiceLifecycle:
    """The life of the server `name`, told what happens to it.

    Every method returns the transitions it made, oldest first: none when what happened is no news. A method
    that does not fit the present state raises IllegalTransition and changes nothing.
    """

    def __init__(self, name: str, clock: Clock = utc_now) -> None:
        self._name = name
        self._machine = Machine(f"service {name}", _S.STOPPED, SERVICE_TRANSITIONS, clock)
        self._failed_checks = 0
        self._last_failure: str | None = None

    @property
    def name(self) -> str:
        """The name of the service."""
        return self._name

    @property
    def state(self) -> ServiceState:
        """The state it is in."""
        return self._machine.state

    @property
    def history(self) -> Moves:
        """Every transition made, oldest first; those of earlier starts included."""
        return self._machine.history

    @property
    def failed_checks(self) -> int:
        """Failed health checks since the start or since the last one that passed."""
        return self._failed_checks

    @property
    def last_failure(self) -> str | None:
        """What the last failed check or the end of the process looked like; None if neither since `start`."""
        return self._last_failure

    def start(self, reason: str = "start asked for") -> Moves:
        """The process is being started: STOPPED to STARTING."""
        if self.state is not _S.STOPPED:
            # HEALTHY -> STARTING and STARTING -> STARTING are legal, but only for a failed check.
            because = f"only a STOPPED service is started, this one is {self.state.value}"
            raise self._machine.refusal(_S.STARTING, because)
        moves = (self._machine.move_to(_S.STARTING, reason),)
        self._failed_checks = 0
        self._last_failure = None
        return moves

    def check_failed(self, seen: str) -> Moves:
        """A health check failed; `seen` says what it saw.

        STARTING: the first four are retries (STARTING to STARTING), the fifth ends it in STOPPED. HEALTHY:
        back to STARTING, as failed check 1. STOPPING: no transition, a server that shuts down is expected to
        fail.
        """
        if self.state is _S.STOPPING:
            return ()
        if self.state is _S.STOPPED:
            # STOPPED -> STARTING is legal, but a check must not start a service.
            raise self._machine.refusal(_S.STOPPED, "a STOPPED service has no health check")
        if self.state is _S.HEALTHY:
            move = self._machine.move_to(_S.STARTING, f"health check 1 of {MAX_FAILED_CHECKS} failed: {seen}")
            self._failed_checks = 1
        elif self.state is _S.STARTING and self._failed_checks + 1 >= MAX_FAILED_CHECKS:
            move = self._machine.move_to(
                _S.STOPPED, f"service_start failure: {MAX_FAILED_CHECKS} health checks failed, last: {seen}"
            )
            self._failed_checks = MAX_FAILED_CHECKS
        else:
            count = self._failed_checks + 1
            move = self._machine.move_to(
                _S.STARTING, f"health check {count} of {MAX_FAILED_CHECKS} failed: {seen}"
            )
            self._failed_checks = count
        self._last_failure = seen
        return (move,)

    def check_passed(self) -> Moves:
        """A health check passed: STARTING to HEALTHY; no transition when HEALTHY or RUNNING."""
        if self.state in (_S.HEALTHY, _S.RUNNING):
            return ()
        moves = (self._machine.move_to(_S.HEALTHY, "health check passed"),)
        self._failed_checks = 0
        return moves

    def client_connected(self, client: str) -> Moves:
        """A client connected: HEALTHY to RUNNING for the first one, no transition for further ones."""
        if self.state is _S.RUNNING:
            return ()
        return (self._machine.move_to(_S.RUNNING, f"first client connection: {client}"),)

    def stop(self, reason: str) -> Moves:
        """The service is being stopped.

        RUNNING: to STOPPING. HEALTHY: to RUNNING and on to STOPPING, because the contract has no way from
        HEALTHY to STOPPING; the connection of the passed health check counts as the first. STARTING: to
        STOPPED, the start is given up.
        """
        if self.state is _S.STARTING:
            return (self._machine.move_to(_S.STOPPED, f"start given up: {reason}"),)
        if self.state is _S.HEALTHY:
            no_client = "no client came; the connection of the passed health check counts as the first"
            return (self._machine.move_to(_S.RUNNING, no_client), self._machine.move_to(_S.STOPPING, reason))
        return (self._machine.move_to(_S.STOPPING, reason),)

    def terminated(self, exit_code: int | None = None, reason: str = "") -> Moves:
        """The process is gone; `exit_code` as `subprocess` gives it (negative: ended by that signal).

        STOPPING: to STOPPED. STARTING: to STOPPED at once. HEALTHY: through STARTING to STOPPED. RUNNING:
        through STOPPING to STOPPED. STOPPED after a start that failed or was given up: no transition, because
        that state comes before the end of the process.
        """
        ended = _ended(exit_code, reason)
        state = self.state
        if state is _S.STOPPED and self.history and self.history[-1].from_state is _S.STARTING:
            return ()
        if state is _S.STOPPING:
            return (self._machine.move_to(_S.STOPPED, ended),)
        if state is _S.HEALTHY:
            moves: Moves = (self._machine.move_to(_S.STARTING, f"{ended} while HEALTHY"),)
        elif state is _S.RUNNING:
            moves = (self._machine.move_to(_S.STOPPING, f"{ended} while RUNNING"),)
        else:
            moves = ()
        final = ended if state is _S.RUNNING else f"service_start failure: {ended}"
        moves += (self._machine.move_to(_S.STOPPED, final),)
        self._last_failure = ended
        return moves

    def to_json(self) -> dict[str, object]:
        """The whole life as JSON values: name, state, failed_checks, last_failure, history."""
        return {
            "name": self._name,
            "state": self.state.value,
            "failed_checks": self._failed_checks,
            "last_failure": self._last_failure,
            "history": [transition.to_json() for transition in self.history],
        }

    @classmethod
    def from_json(cls, value: object, clock: Clock = utc_now) -> ServiceLifecycle:
        """The life that `to_json` wrote; unknown fields are ignored.

        Raises:
            TypeError, ValueError: a field is missing or wrong, or the state is not where the history ends.
            IllegalTransition: the history holds a move that no service makes.
        """
        fields = json_object("service", value)
        lifecycle = cls(check_text("service.name", fields.get("name")), clock)
        history = fields.get("history")
        if not isinstance(history, list):
            raise TypeError(f"service.history is {history!r} ({type(history).__name__}); allowed: a list")
        lifecycle._machine.replay(
            Transition.from_json(ServiceState, item, f"service.history[{index}]")
            for index, item in enumerate(history)
        )
        state = state_from_json("service.state", fields.get("state"), ServiceState)
        if state is not lifecycle.state:
            raise ValueError(
                f"service.state is {state.value}; allowed: {lifecycle.state.value}, where its history ends"
            )
        lifecycle._failed_checks = check_integer(
            "service.failed_checks", fields.get("failed_checks"), between=(0, MAX_FAILED_CHECKS)
        )
        last_failure = fields.get("last_failure")
        if last_failure is not None:
            lifecycle._last_failure = text_from_json("service.last_failure", last_failure)
        return lifecycle

    def __repr__(self) -> str:
        return f"<ServiceLifecycle {self._name}: {self.state.value}>"


def _ended(exit_code: int | None, reason: str) -> str:
    if exit_code is None:
        return reason or "the process ended, exit code not known"
    how = f"the process exited with code {exit_code}"
    if exit_code < 0:
        try:
            how = f"the process was ended by signal {-exit_code} ({signal.Signals(-exit_code).name})"
        except ValueError:
            how = f"the process was ended by signal {-exit_code}"
    return f"{how}: {reason}" if reason else how
