"""Turns on a stack: many together, or one alone; nobody comes in before who waits to be alone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lakebed.stack.turns import Turn


def _taker(folder: Path, *, alone: bool, order: list[str], name: str) -> tuple[Turn, threading.Thread]:
    turn = Turn(folder)

    def take() -> None:
        turn.take(alone=alone)
        order.append(name)

    thread = threading.Thread(target=take)
    thread.start()
    return turn, thread


def _waits(thread: threading.Thread) -> bool:
    thread.join(0.2)
    return thread.is_alive()


def test_many_together_and_one_alone_in_the_order_they_came(tmp_path: Path) -> None:
    order: list[str] = []
    first, second = Turn(tmp_path), Turn(tmp_path)
    first.take(alone=False)
    second.take(alone=False)
    second.take(alone=False)
    alone, waiting = _taker(tmp_path, alone=True, order=order, name="alone")
    assert _waits(waiting)
    later, waiting_later = _taker(tmp_path, alone=False, order=order, name="later")
    first.give_up()
    assert _waits(waiting)
    assert _waits(waiting_later)
    second.give_up()
    waiting.join(10)
    assert order == ["alone"]
    assert _waits(waiting_later)
    alone.give_up()
    waiting_later.join(10)
    assert order == ["alone", "later"]
    later.give_up()
    later.give_up()


def test_the_turn_of_a_process_that_is_killed_is_over(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from lakebed.stack.turns import Turn\n"
        "Turn(Path(sys.argv[1])).take(alone=True); print('taken', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"taken\n"
        turn, thread = _taker(tmp_path, alone=False, order=[], name="next")
        assert _waits(thread)
        process.kill()
        thread.join(10)
        assert not thread.is_alive()
    turn.give_up()


@pytest.mark.alone
def test_a_turn_costs_less_than_a_millisecond(tmp_path: Path) -> None:
    turn = Turn(tmp_path)
    started = time.perf_counter()
    for _ in range(1000):
        turn.take(alone=False)
        turn.give_up()
    assert time.perf_counter() - started < 1
