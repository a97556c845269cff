"""What the tests of clusters share."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest


@pytest.fixture
def free_master_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """Return so many ports of loopback that nobody listens on, all of them different."""

    def find(count: int) -> list[int]:
        with ExitStack() as held:
            listeners = [held.enter_context(socket.socket()) for _ in range(count)]
            for listener in listeners:
                listener.bind(("127.0.0.1", 0))
            return [listener.getsockname()[1] for listener in listeners]

    return find
