"""What lakebed runs from, locked when it is released: coordinates, sha256 and size, and no address."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from lakebed.errors import LakebedError, SparkUnsupported, StackFailed
from lakebed.provision.pyspark import pyspark_version, release_of


@dataclass(frozen=True, order=True)
class Artifact:
    """One file of a Maven repository, and what it must be.

    Attributes:
        group: as in `org.apache.kafka`.
        name: the artifact id.
        version: exact.
        classifier: as in `tests`; empty for the main file.
        extension: without the dot; `jar` unless it is an archive.
        sha256: of the file, lower-case hexadecimal.
        size: in bytes.
        licences: as its author declares them; by their SPDX id where there is one.
    """

    group: str
    name: str
    version: str
    classifier: str = ""
    extension: str = "jar"
    sha256: str = ""
    size: int = 0
    licences: tuple[str, ...] = ()

    @property
    def coordinates(self) -> str:
        """`group:name:version[:classifier][@extension]`, the extension left out when it is jar."""
        classifier = f":{self.classifier}" if self.classifier else ""
        extension = f"@{self.extension}" if self.extension != "jar" else ""
        return f"{self.group}:{self.name}:{self.version}{classifier}{extension}"

    @property
    def file_name(self) -> str:
        """The name the file has in a repository and in the cache."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{classifier}.{self.extension}"

    @property
    def repository_path(self) -> str:
        """The path below a repository's address (Maven documentation, "Repository Layout")."""
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{self.file_name}"

    @classmethod
    def parse(
        cls, coordinates: str, sha256: str = "", size: int = 0, licences: Iterable[str] = ()
    ) -> Artifact:
        """Return the artifact that `coordinates` names; ValueError when they are malformed."""
        body, at, extension = coordinates.partition("@")
        parts = body.split(":")
        if len(parts) not in (3, 4) or not all(parts) or (at and not extension):
            raise ValueError(f"{coordinates!r} is not group:name:version[:classifier][@extension]")
        classifier = parts[3] if len(parts) == 4 else ""
        return cls(
            parts[0], parts[1], parts[2], classifier, extension or "jar", sha256, size, tuple(licences)
        )


def platform_name() -> str:
    """Return this machine as the lock file names it (`linux-x86_64`, `darwin-arm64`, ...)."""
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "aarch64": "arm64", "arm64v8": "arm64"}.get(machine, machine)
    return f"{sys.platform}-{machine}"


def _read_lock() -> dict[str, Any]:
    content = json.loads(files("lakebed.provision").joinpath("jars.lock.json").read_text("utf-8"))
    assert isinstance(content, dict)
    return content


_LOCK = _read_lock()

SETS: tuple[str, ...] = tuple(sorted(_LOCK["sets"]))
"""The names of the sets of files, sorted."""

OF_SPARK = "spark"
"""The set with files for each release of Spark, of which the installed PySpark decides."""

SPARK_RELEASES: tuple[str, ...] = tuple(sorted(_LOCK["sets"][OF_SPARK]))
"""The releases of Spark for which there are files: `3.5` and the like, sorted."""


def spark_release() -> str:
    """Return the release of the PySpark that is installed.

    Raises:
        StackFailed: none is.
        SparkUnsupported: there are no files for it.
    """
    return release_of(pyspark_version(), SPARK_RELEASES)


def sets_here() -> tuple[str, ...]:
    """Return the names of the sets that can be used here: on this platform, and Spark's with its PySpark."""
    return tuple(name for name in SETS if _is_for_here(name))


def _is_for_here(name: str) -> bool:
    listed = _LOCK["sets"][name]
    if name == OF_SPARK:
        try:
            return spark_release() in listed
        except (StackFailed, SparkUnsupported):
            return False
    return not isinstance(listed, dict) or platform_name() in listed


def locked_version(name: str, set: str | None = None) -> str:
    """Return the one version of `group:name` that is locked, or that a set has; LakebedError if not one."""
    versions = {
        Artifact.parse(coordinates).version
        for coordinates in (_LOCK["artifacts"] if set is None else _LOCK["sets"][set])
        if coordinates.startswith(f"{name}:")
    }
    if len(versions) != 1:
        raise LakebedError(f"look up the locked version of {name}", f"locked versions: {sorted(versions)}")
    return versions.pop()


def version_for(set: str, platform: str) -> str:
    """Return the version of the one file that a set has for a platform; KeyError when it has none for it."""
    (coordinates,) = _LOCK["sets"][set][platform]
    return Artifact.parse(coordinates).version


def artifacts_of(sets: Iterable[str]) -> list[Artifact]:
    """Return the files of these sets for this platform and PySpark, each once, sorted by coordinates.

    Raises:
        LakebedError: a set is unknown, or has no files for this platform.
        StackFailed: Spark's are asked for, and PySpark is not installed.
        SparkUnsupported: Spark's are asked for, and there are none for the PySpark that is installed.
    """
    wanted: set[str] = set()
    for name in sets:
        if name not in _LOCK["sets"]:
            raise LakebedError(f"look up the set of files {name!r}", f"known sets: {', '.join(SETS)}")
        listed = _LOCK["sets"][name]
        if name == OF_SPARK:
            listed = listed[spark_release()]
        elif isinstance(listed, dict):
            if platform_name() not in listed:
                raise LakebedError(
                    f"find the files of {name} for {platform_name()}",
                    f"they exist for {', '.join(sorted(listed))}",
                    "use one of these; each of the six services may also run elsewhere: give its address as"
                    " `attach`, and it is used, not started",
                )
            listed = listed[platform_name()]
        wanted.update(listed)
    return [Artifact.parse(coordinates, **_LOCK["artifacts"][coordinates]) for coordinates in sorted(wanted)]
