"""Java properties files, the configuration format of Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_properties(path: Path, properties: Mapping[str, object]) -> None:
    """Write `name=value` lines; booleans as Java spells them."""
    lines = [f"{name}={_text(value)}\n" for name, value in properties.items()]
    path.write_text("".join(lines))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("\\", "\\\\")
