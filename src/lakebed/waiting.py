"""The one way to wait in lakebed: for a fact, with a deadline, remembering what was last seen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from lakebed.errors import DeadlinePassed, SettingsInvalid

T = TypeVar("T")

PATIENCE = "LAKEBED_PATIENCE"
"""The environment variable with the factor of every deadline: a fact of the machine, not of a project."""
MORE_PATIENCE = f"where the machine is slow, {PATIENCE}=3 makes every deadline three times as long"
"""A remedy for what takes longer on a slow machine."""
_LEAST_PATIENCE, _MOST_PATIENCE = 0.1, 100.0

_FIRST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.1


def patience() -> float:
    """Return the factor that `$LAKEBED_PATIENCE` gives every deadline; 1 where it is not set.

    Raises:
        SettingsInvalid: it is no number from 0.1 to 100.
    """
    given = os.environ.get(PATIENCE, "1")
    try:
        factor = float(given)
    except ValueError:
        factor = 0.0
    if not _LEAST_PATIENCE <= factor <= _MOST_PATIENCE:
        raise SettingsInvalid(
            f"read {PATIENCE} from the environment",
            f"{given!r}",
            f"allowed: a number from {_LEAST_PATIENCE:g} to {_MOST_PATIENCE:g}, the factor of every deadline",
        )
    return factor


def with_patience(seconds: float) -> float:
    """Return how long to wait, in seconds, where so many are asked for: see `patience`."""
    return seconds * patience()


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
        deadline_seconds: how long, in seconds, to go on asking; multiplied by `patience`.
        explain: called once when the deadline passes; its text goes into the error.
        remedy: what the reader of the error can do.
        ignore: exceptions of `fact` that mean "not yet"; any other one is raised at once.

    Raises:
        DeadlinePassed: with the description, the last answer or exception, and `explain`'s text.
        SettingsInvalid: see `patience`.
    """
    deadline_seconds = with_patience(deadline_seconds)
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
