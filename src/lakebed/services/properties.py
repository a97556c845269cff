"""Java properties files, the configuration format of Kafka."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def write_properties(path: Path, properties: Mapping[str, object]) -> None:
    """Write `name=value` lines, for this user only; booleans as Java spells them.

    Java reads them as ISO 8859-1 with escapes for all other letters (Java documentation,
    `java.util.Properties`), so what is not ASCII is escaped.
    """
    lines = [f"{_name(name)}={_text(value)}\n" for name, value in properties.items()]
    # Some hold passwords.
    path.touch(mode=0o600)
    path.write_text("".join(lines), "ascii")


def _name(name: str) -> str:
    # A name ends at the first of these, and a line that begins with one of the last two is a comment.
    return re.sub(r"[ \t\f:=#!]", r"\\\g<0>", _escaped(name))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # Blanks before a value are not part of it, unless the first is escaped.
    return re.sub(r"^[ \t\f]", r"\\\g<0>", _escaped(str(value)))


def _escaped(text: str) -> str:
    # A line of the file ends where a line of the value does, unless it is escaped: certificates have several.
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return "".join(letter if letter.isascii() else _escape(letter) for letter in escaped)


def _escape(letter: str) -> str:
    units = letter.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
