"""The README as sentences, rows and items: each is something that it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"

_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->")
_ROW = re.compile(r"^\|.*\|$")
_SEPARATOR = re.compile(r"^\|[-:| ]+\|$")
_ITEM = re.compile(r"^- ")
# A colon may stand in front of an example, and a dot inside of a name.
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\[])")


def sentences(text: str) -> list[str]:
    """Return what a page in Markdown says, in order: sentences, items of lists, and rows of tables.

    Headings, code and the header rows of tables say nothing.
    """
    found: list[str] = []
    for block in re.split(r"\n\s*\n", _COMMENT.sub("", _CODE.sub("", text))):
        lines = [line.rstrip() for line in block.strip().splitlines() if not line.startswith("#")]
        rows = [line for line in lines if _ROW.match(line)]
        if rows:
            found += [row for row in rows[1:] if not _SEPARATOR.match(row)]
        else:
            for part in _parts(lines):
                found += [one for one in _END.split(part) if one]
    return found


def _parts(lines: list[str]) -> Iterator[str]:
    """Return each item of a list, or the paragraph."""
    part: list[str] = []
    for line in lines:
        if _ITEM.match(line) and part:
            yield " ".join(part)
            part = []
        part.append(_ITEM.sub("", line).strip())
    yield " ".join(part)
