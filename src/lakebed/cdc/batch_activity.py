"""What a topic's query is doing at a moment: what a reader wants to know of a table that does not come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class BatchActivity:
    """The batch that is under way, its step, and since when; or the last one, and what it took.

    Args:
        clock: returns seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._number: int | None = None
        self._began = self._ended = self._step_began = clock()
        self._step: str | None = None

    @contextmanager
    def batch(self, number: int, first_step: str) -> Iterator[None]:
        """Note that a batch is under way, until the end of the block."""
        self._number, self._began = number, self._clock()
        self.step(first_step)
        try:
            yield
        finally:
            self._step, self._ended = None, self._clock()

    def step(self, what: str) -> None:
        """Note what the batch under way does now, such as "write table x"."""
        self._step_began = self._clock()
        self._step = what

    def describe(self) -> str:
        """Return a line for a person."""
        now, step = self._clock(), self._step
        if step is not None:
            return (
                f"batch {self._number} is under way for {now - self._began:.1f} s,"
                f" and {now - self._step_began:.1f} s of them it does this: {step}"
            )
        if self._number is None:
            return "no batch has come yet"
        return (
            f"no batch is under way for {now - self._ended:.1f} s;"
            f" the last one, batch {self._number}, took {self._ended - self._began:.1f} s"
        )
