"""Java properties files, read back by the rules of `java.util.Properties`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lakebed.services.properties import write_properties


def read(path: Path) -> dict[str, str]:
    """Return what Java reads from a file without comments and continued lines."""
    found = {}
    for line in path.read_text("ascii").splitlines():
        name, _, value = line.partition("=")
        value = re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), value)
        value = re.sub(r"\\(.)", lambda match: {"n": "\n", "r": "\r"}.get(match[1], match[1]), value)
        found[name] = value
    return found


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "a=b",
        'pa$$"w\\rd',
        "C:\\new",
        "-----BEGIN KEY-----\nMIIE\n",
        "a\r\nb",
        "é",
    ],
)
def test_a_value_comes_back(tmp_path: Path, value: str) -> None:
    write_properties(tmp_path / "file", {"one": value, "two": "next"})
    assert read(tmp_path / "file") == {"one": value, "two": "next"}


def test_booleans_are_javas(tmp_path: Path) -> None:
    write_properties(tmp_path / "file", {"on": True, "number": 7})
    assert read(tmp_path / "file") == {"on": "true", "number": "7"}
