"""The PySpark that is installed: where it is, its version, and for which of its releases there are files."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

from lakebed.errors import SparkUnsupported, StackFailed

# As it stands in `pyspark/version.py`; to import PySpark for it would take a second.
_VERSION = re.compile(r"""^__version__(?::\s*str)?\s*=\s*["']([^"']+)["']""", re.MULTILINE)
_RELEASE = re.compile(r"(\d+\.\d+)(\.|$)")


def pyspark_folder() -> Path:
    """Return the folder of the package, which is a Spark distribution.

    Raises:
        StackFailed: PySpark is not installed.
    """
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        raise StackFailed(
            "find Spark, which comes with PySpark",
            "the package pyspark is not installed",
            "pip install 'lakebed[spark]'",
        )
    return Path(found.origin).parent


def pyspark_version() -> str:
    """Return the version that is installed, such as `4.1.4`.

    Raises:
        StackFailed: none is.
        SparkUnsupported: what is installed does not say which it is.
    """
    folder = pyspark_folder()
    try:
        found = _VERSION.search((folder / "version.py").read_text("utf-8"))
    except OSError as error:
        raise _unsupported(f"{folder} has no version: {error}", ()) from error
    if found is None:
        raise _unsupported(f"{folder / 'version.py'} names no version", ())
    return found[1]


def release_of(version: str, supported: Iterable[str]) -> str:
    """Return the one of the supported releases (`3.5`, `4.1`) that a version (`4.1.4`) is of.

    Raises:
        SparkUnsupported: it is of another.
    """
    found = _RELEASE.match(version)
    if found is None or found[1] not in supported:
        raise _unsupported(f"PySpark {version} is installed", supported)
    return found[1]


def _unsupported(seen: str, supported: Iterable[str]) -> SparkUnsupported:
    """Return the error; without `supported` where the version is not known."""
    releases = sorted(supported)
    known = " and ".join(f"{release}.*" for release in releases)
    return SparkUnsupported(
        "find the files of Delta Lake and Iceberg for this Spark",
        f"{seen}; lakebed has them for {known}" if known else seen,
        " or ".join(f"pip install 'pyspark=={release}.*'" for release in releases)
        or "pip install --force-reinstall 'lakebed[spark]'",
    )
