"""Rows that differ, in colour on a terminal that has it; plain, as the error says it, everywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from _pytest._code.code import ExceptionChainRepr, ReprEntry, TerminalRepr
from _pytest._io import TerminalWriter

from lakebed.errors import RowsDiffer

_FAILED = "E  "
# How the lines of `Differences.diff` begin.
_COLOURS = {"-": "red", "+": "green", "?": "yellow"}


@dataclass(eq=False)
class ColouredEntry(ReprEntry):
    """The last entry of a traceback, whose error's lines are coloured by how they begin.

    Only where the terminal has colours is anything written otherwise than pytest does. Reports in JUnit XML
    and those that go through pytest-xdist are made of the plain lines.
    """

    def _write_entry_lines(self, tw: TerminalWriter) -> None:
        if not tw.hasmarkup:
            super()._write_entry_lines(tw)
            return
        coloured = [place for place, line in enumerate(self.lines) if _colour(line) is not None]
        first = coloured[0] if coloured else len(self.lines)
        begin = ReprEntry(self.lines[:first], None, None, None, self.style)
        begin._write_entry_lines(tw)
        for line in self.lines[first:]:
            colour = _colour(line)
            tw.line(line, **({colour: True} if colour is not None else {"bold": True}))


def _colour(line: str) -> str | None:
    text = line.removeprefix(_FAILED).lstrip(" ") if line.startswith(_FAILED) else ""
    return _COLOURS.get(text[:1]) if text[1:2] == " " else None


def coloured(representation: Any, error: RowsDiffer) -> TerminalRepr | Any:
    """Return pytest's representation of a failure, with the diff of `error` in colour."""
    if error.differences is None or not isinstance(representation, ExceptionChainRepr):
        return representation
    entries = representation.reprtraceback.reprentries
    last = entries[-1] if entries else None
    if isinstance(last, ReprEntry):
        shown = ColouredEntry(last.lines, last.reprfuncargs, last.reprlocals, last.reprfileloc, last.style)
        representation.reprtraceback.reprentries = [*entries[:-1], shown]
    return representation
