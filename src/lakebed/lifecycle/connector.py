"""The life of one connector in Kafka Connect.

Sources: the contract, section 3.2 (Connector Lifecycle); Apache Kafka documentation, "Kafka Connect", section
"Connector and task status" and "REST API"; Kafka's class `AbstractStatus.State`; KIP-745 (RESTARTING, Kafka
3.0), KIP-875 (STOPPED, Kafka 3.5), KIP-980 (connectors created PAUSED or STOPPED, Kafka 3.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from lakebed.config.checks import Choice, check_choice
from lakebed.lifecycle.machine import Clock, Machine, Transition, utc_now


class ConnectorState(Choice):
    """Where a connector is in its life: the contract's states, then the two of newer Kafka versions."""

    NONE = "NONE"
    CREATING = "CREATING"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    PAUSED = "PAUSED"
    UNASSIGNED = "UNASSIGNED"
    DELETED = "DELETED"
    RESTARTING = "RESTARTING"
    STOPPED = "STOPPED"


class ConnectorAction(Choice):
    """What a user can do with a connector."""

    CREATE = "create"
    WAIT = "wait"
    PAUSE = "pause"
    RESUME = "resume"
    RESTART = "restart"
    DELETE = "delete"
    RECREATE = "recreate"


_S = ConnectorState
_A = ConnectorAction

CONTRACT_TRANSITIONS = frozenset(
    {
        (_S.NONE, _S.CREATING),
        (_S.CREATING, _S.RUNNING),
        (_S.CREATING, _S.FAILED),
        (_S.RUNNING, _S.FAILED),
        (_S.RUNNING, _S.PAUSED),
        (_S.FAILED, _S.RUNNING),
        (_S.PAUSED, _S.RUNNING),
        (_S.RUNNING, _S.DELETED),
        (_S.FAILED, _S.DELETED),
        (_S.PAUSED, _S.DELETED),
    }
)
"""The ten transitions that the contract lists."""

OBSERVED_TRANSITIONS = MappingProxyType(
    {
        # UNASSIGNED: no worker owns the connector or a task for now.
        (_S.CREATING, _S.UNASSIGNED): "the new connector waits for the group of workers to rebalance",
        (_S.UNASSIGNED, _S.RUNNING): "a worker took it and started it",
        (_S.RUNNING, _S.UNASSIGNED): "its worker left, or a new configuration has its tasks made anew",
        (_S.UNASSIGNED, _S.FAILED): "a worker took it and it failed to start",
        (_S.PAUSED, _S.UNASSIGNED): "its worker left while it was paused",
        (_S.UNASSIGNED, _S.PAUSED): "a worker took it; it was paused and stays so",
        (_S.UNASSIGNED, _S.DELETED): "DELETE /connectors/{name} before a worker took it",
        # RESTARTING: KIP-745, since Kafka 3.0.
        (_S.RUNNING, _S.RESTARTING): "POST /connectors/{name}/restart?includeTasks=true",
        (_S.FAILED, _S.RESTARTING): "POST /connectors/{name}/restart?includeTasks=true&onlyFailed=true",
        (_S.RESTARTING, _S.RUNNING): "the restarted instances are up",
        (_S.RESTARTING, _S.FAILED): "a restarted instance failed again",
        (_S.RESTARTING, _S.DELETED): "DELETE /connectors/{name} during the restart",
        # STOPPED: KIP-875, since Kafka 3.5. Unlike PAUSED it has no tasks, and its offsets can be altered.
        (_S.RUNNING, _S.STOPPED): "PUT /connectors/{name}/stop",
        (_S.PAUSED, _S.STOPPED): "PUT /connectors/{name}/stop; its tasks are shut down",
        (_S.FAILED, _S.STOPPED): "PUT /connectors/{name}/stop; failed tasks go as well",
        (_S.STOPPED, _S.RUNNING): "PUT /connectors/{name}/resume",
        (_S.STOPPED, _S.PAUSED): "PUT /connectors/{name}/pause",
        (_S.STOPPED, _S.DELETED): "DELETE /connectors/{name}",
        # Beginnings and ends that the contract's list leaves out.
        (_S.CREATING, _S.STOPPED): "POST /connectors with initial_state STOPPED (KIP-980, Kafka 3.7)",
        (_S.CREATING, _S.PAUSED): "POST /connectors with initial_state PAUSED (KIP-980, Kafka 3.7)",
        (_S.CREATING, _S.DELETED): "DELETE /connectors/{name} before it ran",
        (_S.DELETED, _S.CREATING): "POST /connectors again: the action Recreate of the contract's table",
    }
)
"""What Kafka Connect reports beside the contract's list, each with its reason."""

CONNECTOR_TRANSITIONS = CONTRACT_TRANSITIONS | OBSERVED_TRANSITIONS.keys()
"""Every legal pair: the contract's and the observed ones."""

ACTIONS = MappingProxyType(
    {
        _S.NONE: (_A.CREATE,),
        _S.CREATING: (_A.WAIT, _A.DELETE),
        _S.RUNNING: (_A.PAUSE, _A.DELETE, _A.RESTART),
        _S.FAILED: (_A.RESTART, _A.DELETE),
        _S.PAUSED: (_A.RESUME, _A.DELETE),
        _S.UNASSIGNED: (_A.WAIT, _A.DELETE),
        _S.DELETED: (_A.RECREATE,),
        _S.RESTARTING: (_A.WAIT, _A.DELETE),
        _S.STOPPED: (_A.RESUME, _A.DELETE),
    }
)
"""What can be done in each state: the contract's column "Actions Available", and deletion while waiting."""

_TASK_STATES = ("FAILED", "RESTARTING", "UNASSIGNED", "PAUSED", "RUNNING")
_CONNECTOR_STATES = (*_TASK_STATES, "STOPPED")


def can_accept_tasks(state: ConnectorState) -> bool:
    """The contract's column "Can Accept Tasks": only a RUNNING connector does."""
    return state is _S.RUNNING


def state_of(connector_state: str, task_states: Sequence[str]) -> ConnectorState:
    """The one state that a status of Kafka Connect amounts to.

    A status (`GET /connectors/{name}/status`) has a state for the connector and one for each task. The first
    line that fits decides:

    1. the connector or any task FAILED: FAILED
    2. the connector PAUSED, STOPPED, RESTARTING or UNASSIGNED: that
    3. no task listed: CREATING, because a connector makes its tasks only after it runs
    4. any task RESTARTING: RESTARTING
    5. any task UNASSIGNED: UNASSIGNED
    6. any task PAUSED: PAUSED; a mixture with RUNNING is a resume that is not through
    7. otherwise all run: RUNNING

    Source: Apache Kafka documentation, "Kafka Connect"; KIP-745 (RESTARTING) and KIP-875 (STOPPED, which
    Kafka reports for connectors and never for tasks).

    Args:
        connector_state: `connector.state` of the status, as Kafka Connect writes it, in capitals.
        task_states: `tasks[].state` of the status.

    Raises:
        TypeError, ValueError: a state is none that Kafka Connect shows; names it and those allowed.
    """
    connector = ConnectorState(check_choice("connector.state", connector_state, _CONNECTOR_STATES))
    tasks = {
        ConnectorState(check_choice(f"tasks[{index}].state", state, _TASK_STATES))
        for index, state in enumerate(task_states)
    }
    if connector is _S.FAILED or _S.FAILED in tasks:
        return _S.FAILED
    if connector is not _S.RUNNING:
        return connector
    if not tasks:
        return _S.CREATING
    return next(state for state in (_S.RESTARTING, _S.UNASSIGNED, _S.PAUSED, _S.RUNNING) if state in tasks)


class ConnectorLifecycle(Machine[ConnectorState]):
    """The life of the connector `name`: moved by what is asked of Kafka Connect, or by what polling shows."""

    def __init__(self, name: str, clock: Clock = utc_now) -> None:
        self.name = name
        super().__init__(f"connector {name}", _S.NONE, CONNECTOR_TRANSITIONS, clock)

    @property
    def can_accept_tasks(self) -> bool:
        """Whether it can accept tasks in the present state."""
        return can_accept_tasks(self.state)

    @property
    def actions(self) -> tuple[ConnectorAction, ...]:
        """What can be done with it in the present state."""
        return ACTIONS[self.state]

    def observe(self, state: ConnectorState, reason: str) -> tuple[Transition[ConnectorState], ...]:
        """Take over a state that was read by polling, and return the transitions made, oldest first.

        Polling misses states. The lifecycle moves along the shortest legal path; among equally short ones it
        takes the state that is declared first. Steps in between are recorded as "not seen, implied by ...".
        The present state seen again is no transition. CREATING seen once the connector was past it means that
        its tasks are not listed (again) yet, and is taken for UNASSIGNED.

        Raises:
            IllegalTransition: no path leads there (only NONE cannot be reached); nothing has changed.
        """
        if state is _S.CREATING and self.state not in (_S.NONE, _S.CREATING, _S.DELETED):
            state = _S.UNASSIGNED
            reason = f"{reason} (CREATING seen, its tasks are not listed yet)"
        if state is self.state:
            return ()
        path = self._shortest_path(state)
        if not path:
            raise self.refusal(state, f"no path leads from {self.state.value} to {state.value}")
        implied = [self.move_to(step, f"not seen, implied by {state.value}") for step in path[:-1]]
        return (*implied, self.move_to(state, reason))

    def _shortest_path(self, target: ConnectorState) -> list[ConnectorState]:
        paths: dict[ConnectorState, list[ConnectorState]] = {self.state: []}
        for origin in (queue := [self.state]):
            for state in self.allowed(origin):
                if state not in paths:
                    paths[state] = [*paths[origin], state]
                    queue.append(state)
        return paths.get(target, [])
