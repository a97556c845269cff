"""The one way to wait in lakebed: for a fact, with a deadline, remembering what was last seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lakebed.errors import DeadlinePassed

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.1


def wait_until(
    fact: Callable[[], T],
    description: str,
    *,
    deadline_seconds: float,
    longest_pause_seconds: float = _LONGEST_PAUSE_SECONDS,
    explain: Callable[[], str] | None = None,
    remedy: str = "",
    ignore: tuple[type[BaseException], ...] = (),
) -> T:
    """Ask `fact` again and again until it answers something true, and return that answer.

    The pause between two questions doubles from 2 ms to `longest_pause_seconds`, so that quick facts
    are seen at once and slow ones cost little.

    Args:
        fact: the question; a false answer means "not yet".
        description: what is waited for, as it should stand in the error ("slot x to be inactive").
        deadline_seconds: how long, in seconds, to go on asking.
        explain: called once when the deadline passes; its text goes into the error.
        remedy: what the reader of the error can do.
        ignore: exceptions of `fact` that mean "not yet"; any other one is raised at once.

    Raises:
        DeadlinePassed: with the description, the last answer or exception, and `explain`'s text.
    """
    started = time.monotonic()
    pause = _FIRST_PAUSE_SECONDS
    last_seen = "nothing yet"
    while True:
        try:
            answer = fact()
            if answer:
                return answer
            last_seen = repr(answer)
        except ignore as error:
            last_seen = f"{type(error).__name__}: {error}"
        left = deadline_seconds - (time.monotonic() - started)
        if left <= 0:
            seen = f"last answer: {last_seen}"
            if explain is not None:
                seen += f"\n{explain()}"
            raise DeadlinePassed(f"waited {deadline_seconds:g} s for {description}", seen, remedy)
        time.sleep(min(pause, left))
        pause = min(pause * 2, longest_pause_seconds)
