"""The ledger: what clients of a stack are about to make in it, on disk before they make it.

A file of JSON lines, only ever appended to, so that a supervisor that is killed leaves it readable: at most
its last line is half written, and the client of that line was never told to go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lakebed.errors import LedgerUnreadable

FORMAT = 1

States = Mapping[str, str]
"""By the name of a thing, its state; "" where only being there counts."""


class Entry(NamedTuple):
    """One thing that a client makes: its kind ("topic"), as the services define them, and its name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Ledger:
    """Who makes what, and what was there before.

    Attributes:
        path: the file.
        baselines: by service, then by kind, what was there before the tests came.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.baselines: dict[str, dict[str, States]] = {}
        self._entries: dict[Entry, str] = {}
        if not path.exists():
            path.touch(mode=0o600)
            self._append({"ledger": FORMAT})

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Read the ledger that a supervisor left, and go on with it.

        Raises:
            LedgerUnreadable: it is of another version, or damaged elsewhere than at its end.
        """
        try:
            *lines, unfinished = path.read_bytes().split(b"\n")
            contents = [json.loads(line) for line in lines]
            if contents[0] != {"ledger": FORMAT}:
                raise ValueError(f"its first line is {lines[0].decode(errors='replace')[:80]}")
            if unfinished:
                with path.open("r+b") as file:
                    file.truncate(sum(len(line) + 1 for line in lines))
            ledger = cls(path)
            for content in contents[1:]:
                ledger._apply(content)
        except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            raise LedgerUnreadable(
                f"read the ledger {path}",
                f"{type(error).__name__}: {error}",
                "the stack cannot be taken over; `lakebed down` ends what is left of it",
            ) from error
        return ledger

    def _apply(self, content: dict[str, Any]) -> None:
        if "record" in content:
            self._entries.update(dict.fromkeys(_entries(content["record"]), content["holder"]))
        elif "forget" in content:
            for entry in _entries(content["forget"]):
                self._entries.pop(entry, None)
        else:
            self.baselines[content["service"]] = dict(content["baseline"])

    def _append(self, content: Mapping[str, object]) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(content).encode() + b"\n")

    def record(self, holder: str, entries: Iterable[Entry]) -> None:
        """Write down what `holder` is about to make."""
        content = {"record": list(entries), "holder": holder}
        self._append(content)
        self._apply(content)

    def forget(self, entries: Iterable[Entry]) -> None:
        """Write down that these are gone."""
        content = {"forget": list(entries)}
        if content["forget"]:
            self._append(content)
            self._apply(content)

    def start_anew(self) -> None:
        """Forget all baselines, and the history of what is gone: the file becomes small again."""
        unfinished = self.path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        fresh = Ledger(unfinished)
        for entry, holder in self._entries.items():
            fresh.record(holder, [entry])
        unfinished.replace(self.path)
        self.baselines.clear()

    def set_baseline(self, service: str, baseline: Mapping[str, States]) -> None:
        """Write down what is in a service before the tests come."""
        content = {"service": service, "baseline": baseline}
        self._append(content)
        self._apply(content)

    def entries(self, holder: str | None = None) -> list[Entry]:
        """Return what `holder` (None: anyone) has recorded and is not gone, last recorded first."""
        return [entry for entry, of in reversed(self._entries.items()) if holder in (None, of)]


def _entries(content: Iterable[Iterable[str]]) -> list[Entry]:
    return [Entry(kind, name) for kind, name in content]
