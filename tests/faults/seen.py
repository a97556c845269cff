"""What was seen of a fault, and the runner that sees it: before, meanwhile and after."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.fault_table import FOLDER, Pair
from tests.faults.flows import ANSWER_SECONDS, ARRIVE_SECONDS, Flow

from lakebed.clients.overview import answered
from lakebed.errors import DeadlinePassed, LakebedError
from lakebed.lifecycle import ServiceState
from lakebed.pytest_plugin.session import SessionStack
from lakebed.waiting import wait_until

_NOTICE_SECONDS = 30.0
_LETTERS = 240
_LINES = 2
# To fill up what has been written beforehand: a segment of PostgreSQL's log has 1 MB.
_TRIES = 6


@dataclass
class Seen:
    """What was seen of one fault. Seconds are None where nothing is to be noticed or told.

    Attributes:
        fault: its name.
        service: to which it was done.
        noticed: what the status of the stack says of the service.
        noticed_seconds: after how long.
        told: the error that somebody gets who waits for what was committed.
        told_seconds: after how long.
        refused: the error that somebody gets who commits meanwhile; "" where that works.
        refused_seconds: after how long, or how long it took.
        arrived_seconds: from the beginning of the repair until all that was committed has arrived.
        committed: how many numbers, before, meanwhile and after.
        lost: those of them that have not arrived.
    """

    fault: str
    service: str
    noticed: str = ""
    noticed_seconds: float | None = None
    told: str = ""
    told_seconds: float | None = None
    refused: str = ""
    refused_seconds: float | None = None
    arrived_seconds: float | None = None
    committed: int = 0
    lost: int = 0

    def write(self) -> None:
        """Write it down, where somebody wants that."""
        folder = os.environ.get(FOLDER)
        if folder:
            path = Path(folder) / f"{self.fault}-{self.service}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(asdict(self), indent=1))


def plain(text: str) -> str:
    """Return a text on one line, without what differs from run to run, and not endless."""
    line = " ".join(text.split())
    line = re.sub(r"/\S+/(?=[^/\s]+)", "…/", re.sub(r"(process|-CONT) \d+", r"\1 4711", line))
    return line if len(line) <= _LETTERS else f"{line[:_LETTERS]}…"


def error_text(error: BaseException) -> str:
    """Return what an error tells: of lakebed's own what it has seen."""
    seen = error.seen if isinstance(error, LakebedError) and error.seen else str(error)
    seen = re.sub(r"\x1b\[\d*m", "", seen)
    lines = [line.strip() for line in seen.splitlines() if not line.startswith("last answer: ")]
    # The last one is the first cause: of Java's errors, and of delta-rs's.
    causes = [line for line in lines[_LINES:] if re.match(r"Caused by: |\u21b3", line)]
    return f"{type(error).__name__}: " + "\n".join([*lines[:_LINES], *causes[-1:]])


def told_by(ask: Callable[[], object], patience_seconds: float) -> tuple[str, float]:
    """Return the error that a question ends with, and after how many seconds; "" if it has an answer."""
    began = time.monotonic()
    try:
        answered(ask, "the question", within_seconds=patience_seconds)
    except DeadlinePassed as error:
        told = error_text(error) if error.attempted != "ask the question" else f"nothing: {error.seen}"
        return told, time.monotonic() - began
    except Exception as error:
        return error_text(error), time.monotonic() - began
    return "", time.monotonic() - began


def notice(stack: SessionStack, service: str) -> str:
    """Return what the status of the stack says of a service that is not well; "" if it is."""
    status = stack.status()
    assert status is not None
    (entry,) = [one for one in status["services"] if one["service"] == service]
    if entry["state"] == ServiceState.STOPPED.value:
        return f"STOPPED: {entry['last_failure']}"
    return stack.unanswering().get(service, "")


class Run:
    """One pair, gone through.

    Args:
        pair: which.
        stack: of the session.
        flow: goes through the service.
        weight_bytes: that a number carries which is committed in the midst of the fault.
    """

    def __init__(self, pair: Pair, stack: SessionStack, flow: Flow, *, weight_bytes: int = 0) -> None:
        self.seen = Seen(pair.fault.name, pair.service)
        self._pair, self._stack, self._flow = pair, stack, flow
        self._weight_bytes = weight_bytes
        self._committed: set[int] = set()
        self._next = 0
        self._began = time.monotonic()

    def commit(self) -> None:
        """Commit the next number."""
        self._next += 1
        self._flow.commit(self._next)
        self._committed.add(self._next)

    def _note(self, what: str) -> None:
        """Say when that was, for whoever wonders where the time goes."""
        sys.stdout.write(f"{self._pair}: {time.monotonic() - self._began:.1f} s: {what}\n")

    def _try_to_commit(self) -> None:
        """Commit some in the midst of it. One that is refused, or not answered, may arrive or not."""
        self._flow.weight_bytes = self._weight_bytes
        for _ in range(_TRIES if self._weight_bytes else 1):
            self._next += 1
            number = self._next
            self.seen.refused, self.seen.refused_seconds = told_by(
                lambda: self._flow.commit(number),  # noqa: B023
                ANSWER_SECONDS,
            )
            if self.seen.refused:
                break
            self._committed.add(number)
        self._flow.weight_bytes = 0

    def _noticed(self, *, commits: bool) -> str:
        if noticed := notice(self._stack, self._pair.service):
            return noticed
        if commits:
            self._try_to_commit()
        return ""

    def go_through(
        self,
        fault: AbstractContextManager[None],
        *,
        is_noticed: bool | None,
        commits_until_noticed: bool = False,
    ) -> Seen:
        """Commit, do the fault, see what is told, undo it, and see what has arrived.

        Args:
            fault: is done on entering, and undone on leaving.
            is_noticed: whether the status of the stack must tell of it, or may; None for not to ask it.
            commits_until_noticed: whether it comes about by what is committed.
        """
        for _ in range(3):
            self.commit()
        self._note("three committed")
        assert self._flow.arrive() == self._committed
        # Acknowledged a moment before: it must not be lost either.
        self.commit()
        self._note("arrived, and one more committed")
        with fault:
            began = time.monotonic()
            if is_noticed:
                self.seen.noticed = wait_until(
                    lambda: self._noticed(commits=commits_until_noticed),
                    f"the stack's status to tell of {self._pair}",
                    deadline_seconds=_NOTICE_SECONDS + ANSWER_SECONDS,
                )
                self.seen.noticed_seconds = time.monotonic() - began
            self._note("done to it, and noticed")
            self._try_to_commit()
            self._note("tried to commit")
            self.seen.told, told_seconds = told_by(self._flow.ask, self._flow.patience_seconds)
            if self.seen.told:
                self.seen.told_seconds = told_seconds
            if is_noticed is False:
                self.seen.noticed = notice(self._stack, self._pair.service)
            wait_until(
                lambda: time.monotonic() - began >= self._pair.lasts_seconds,
                "the fault to last longer than the time-out",
                deadline_seconds=self._pair.lasts_seconds + 1,
            )
            healing = time.monotonic()
        return self._end(healing)

    def go_through_damage(self, fault: AbstractContextManager[None], look: Callable[[], str]) -> Seen:
        """Damage what is there, see what is told, put back what was there, and see whether all goes on.

        Nothing is committed meanwhile: it would be gone with the damaged files.

        Args:
            fault: as for `go_through`.
            look: returns what is told, by whatever reads the data; "" for nothing.
        """
        for _ in range(3):
            self.commit()
        assert self._flow.arrive() == self._committed
        with fault:
            began = time.monotonic()
            self.seen.told = look()
            self.seen.told_seconds = time.monotonic() - began
            healing = time.monotonic()
        return self._end(healing)

    def _end(self, healing: float) -> Seen:
        wait_until(
            self._commits,
            "a number to be committed after the repair",
            deadline_seconds=ARRIVE_SECONDS,
            ignore=(Exception,),
        )
        self._note("repaired, and one more committed")
        arrived = self._flow.arrive()
        self.seen.arrived_seconds = time.monotonic() - healing
        self.seen.committed = len(self._committed)
        self.seen.lost = len(self._committed - arrived)
        self.seen.noticed, self.seen.told, self.seen.refused = map(
            plain, (self.seen.noticed, self.seen.told, self.seen.refused)
        )
        self.seen.write()
        assert not self._committed - arrived, f"lost: {sorted(self._committed - arrived)}"
        return self.seen

    def _commits(self) -> bool:
        self.commit()
        return True
