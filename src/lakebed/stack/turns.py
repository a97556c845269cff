"""Whose turn it is: many tests may use a stack at once, or one that kills its servers.

A readers-writer lock for all processes that use the stack, of two locked files in its folder. Whoever wants a
turn goes through the turnstile; who wants one alone stays in it until the others have gone, so that none can
come in between. The kernel gives up the locks of a process that dies (Linux manual, flock(2)).
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_TURNSTILE, _ROOM = "turnstile.lock", "turns.lock"


class Turn:
    """The turn of one process; one at a time.

    Args:
        folder: of the stack.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[int] = []

    def take(self, *, alone: bool) -> None:
        """Wait for a turn, alone or together with others; nothing if this process has one already.

        Raises:
            OSError: the stack's folder is gone.
        """
        if self._held:
            return
        turnstile = self._lock(_TURNSTILE, fcntl.LOCK_EX)
        try:
            room = self._lock(_ROOM, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        except BaseException:
            os.close(turnstile)
            raise
        self._held = [room, turnstile]
        if not alone:
            os.close(self._held.pop())

    def give_up(self) -> None:
        """Let the others go on."""
        while self._held:
            os.close(self._held.pop())

    def _lock(self, name: str, how: int) -> int:
        descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
