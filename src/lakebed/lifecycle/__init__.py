"""The three state machines of the contract's section 3: services, connectors, test fixtures. Pure, no I/O."""

from __future__ import annotations

from lakebed.lifecycle.connector import (
    ACTIONS,
    CONNECTOR_TRANSITIONS,
    CONTRACT_TRANSITIONS,
    OBSERVED_TRANSITIONS,
    ConnectorAction,
    ConnectorLifecycle,
    ConnectorState,
    can_accept_tasks,
    state_of,
)
from lakebed.lifecycle.fixture import (
    FIXTURE_TRANSITIONS,
    PYTEST_TRANSITIONS,
    CleanUp,
    FixtureLifecycle,
    FixturePhase,
)
from lakebed.lifecycle.machine import Clock, IllegalTransition, Machine, Transition, utc_now
from lakebed.lifecycle.service import (
    MAX_FAILED_CHECKS,
    SERVICE_TRANSITIONS,
    ServiceLifecycle,
    ServiceState,
)

__all__ = [
    "ACTIONS",
    "CONNECTOR_TRANSITIONS",
    "CONTRACT_TRANSITIONS",
    "FIXTURE_TRANSITIONS",
    "MAX_FAILED_CHECKS",
    "OBSERVED_TRANSITIONS",
    "PYTEST_TRANSITIONS",
    "SERVICE_TRANSITIONS",
    "CleanUp",
    "Clock",
    "ConnectorAction",
    "ConnectorLifecycle",
    "ConnectorState",
    "FixtureLifecycle",
    "FixturePhase",
    "IllegalTransition",
    "Machine",
    "ServiceLifecycle",
    "ServiceState",
    "Transition",
    "can_accept_tasks",
    "state_of",
    "utc_now",
]
