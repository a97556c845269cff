"""Java properties files, the configuration format of Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_properties(path: Path, properties: Mapping[str, object]) -> None:
    """Write `name=value` lines; booleans as Java spells them.

    Java reads them as ISO 8859-1 with escapes for all other letters (Java documentation,
    `java.util.Properties`), so what is not ASCII is escaped.
    """
    lines = [f"{name}={_text(value)}\n" for name, value in properties.items()]
    path.write_text("".join(lines), "ascii")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # A line of the file ends where a line of the value does, unless it is escaped: certificates have several.
    escaped = str(value).replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return "".join(letter if letter.isascii() else _escape(letter) for letter in escaped)


def _escape(letter: str) -> str:
    units = letter.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
