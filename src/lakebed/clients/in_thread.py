"""Calls that may never return, made in a thread that can be left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def begin(work: Callable[[], T], name: str | None = None) -> Future[T]:
    """Call `work` in a thread of its own, and return what will have its result, or what it raises.

    A daemon: one that hangs for good does not keep the process from ending, as those of
    `concurrent.futures.ThreadPoolExecutor` would.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
