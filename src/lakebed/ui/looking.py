"""One look at a stack that runs: its status and its addresses, as of now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lakebed.config.settings import Settings
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import find_stack
from lakebed.stack.folders import StackFolder

CLIENT = "lakebed ui"


@dataclass(frozen=True)
class Look:
    """A stack as it was when it was looked at.

    Attributes:
        status: the supervisor's answer; see `lakebed status --json` in docs/cli.md.
        addresses: of its services.
        folder: where its logs are.
    """

    status: dict[str, Any] = field(repr=False)
    addresses: Addresses
    folder: StackFolder

    def has(self, service: str) -> bool:
        """Whether the service is up, so that it can be asked."""
        states = {one["service"]: one["state"] for one in self.status["services"]}
        return states.get(service) in ("HEALTHY", "RUNNING", "ATTACHED")


Looking = Callable[[], Look | None]
"""Looks at the stack; None when none runs."""


def look(settings: Settings, stack: str) -> Look | None:
    """Look at the stack of that name, without a lease: it ends when its clients end it.

    Args:
        settings: how lakebed runs here.
        stack: "up", or the name of a test run's own.

    Raises:
        OtherVersion: it is of a version of lakebed that this one cannot talk to.
        StackFailed: it ended while it was asked.
    """
    connection = find_stack(settings, stack, CLIENT)
    if connection is None:
        return None
    try:
        status, attached = connection.status(), connection.attached()
    finally:
        connection.hang_up()
    addresses = Addresses(status["ports"], settings.registry_credentials, attached)
    return Look(status, addresses, connection.folder)
