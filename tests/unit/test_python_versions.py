"""Which Pythons lakebed says it is for, is tried with, and has a complete lock of packages for."""

from __future__ import annotations

import re
import runpy
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
CONFIGURATION: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIGURATION["project"]
VERSIONS = [
    found[1]
    for one in PROJECT["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one))
]


def locked() -> list[Requirement]:
    """Return what requirements/dev.txt installs, each with its marker."""
    text = (ROOT / "requirements" / "dev.txt").read_text().replace("\\\n", " ")
    lines = (line.partition("--hash")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def applies(requirement: Requirement, version: str, extra: str = "") -> bool:
    """Whether it is installed by a Python of a version, on Linux on x86-64."""
    environment = {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "os_name": "posix",
        "extra": extra,
    }
    return requirement.marker is None or requirement.marker.evaluate(environment)


def asked(extra: str) -> list[Requirement]:
    """Return what lakebed and its extras ask for themselves, theirs by name taken apart."""
    found = []
    for text in PROJECT["optional-dependencies"][extra]:
        requirement = Requirement(text)
        if requirement.name == PROJECT["name"]:
            found += [one for name in sorted(requirement.extras) for one in asked(name)]
        else:
            found.append(requirement)
    return found


def test_the_versions_are_those_that_every_part_names() -> None:
    assert VERSIONS == ["3.10", "3.11", "3.12", "3.13"]
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert all(f"{version}.0" in allowed for version in VERSIONS)
    assert "3.9.20" not in allowed
    assert CONFIGURATION["tool"]["mypy"]["python_version"] == VERSIONS[0]
    assert CONFIGURATION["tool"]["ruff"]["target-version"] == f"py{VERSIONS[0].replace('.', '')}"
    assert list(runpy.run_path(str(ROOT / "tools" / "fit_python.py"))["PYTHONS"]) == VERSIONS
    assert f"Python {VERSIONS[0]} to {VERSIONS[-1]}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_lock_is_complete_and_has_one_version_of_each_package(version: str) -> None:
    versions: dict[str, set[str]] = defaultdict(set)
    for requirement in locked():
        if applies(requirement, version):
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            versions[canonicalize_name(requirement.name)].add(pin.version)
    assert {name: found for name, found in versions.items() if len(found) != 1} == {}
    wanted = [*map(Requirement, PROJECT["dependencies"]), *asked("all"), *asked("dev")]
    assert len(wanted) > 40
    for requirement in wanted:
        if applies(requirement, version):
            (found,) = versions[canonicalize_name(requirement.name)]
            assert Version(found) in requirement.specifier, f"{requirement}: {found} is locked"
