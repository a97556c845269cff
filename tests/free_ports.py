"""Ports for what tests start themselves."""

from __future__ import annotations

from contextlib import ExitStack

from lakebed.stack.ports import hold

_HELD = ExitStack()


def free_port() -> int:
    """Return a port of loopback that nobody listens on; it is kept for who asked while this process runs."""
    return hold(0, _HELD)
