"""A Spark session on the jars of the cache, and its orderly end."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakebed.clients.java_trust import trust_flags
from lakebed.config.delta import DeltaSparkConfig
from lakebed.errors import StackFailed
from lakebed.provision.class_data import adopt, class_data_for
from lakebed.provision.lock import spark_release
from lakebed.provision.pyspark import pyspark_folder
from lakebed.services.java_logging import log_flag, write_log_configuration
from lakebed.services.properties import write_properties
from lakebed.services.spark import JAVA_FLAGS, LOGGERS, session_settings
from lakebed.services.spark_cluster import spark_jars
from lakebed.services.spark_java import spark_java_home

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The first session on a cache writes its class-data archive as it ends: 15 s on two idle cores.
JVM_END_SECONDS = 120.0


@contextlib.contextmanager
def spark_session_for(
    config: DeltaSparkConfig,
    jars: list[Path],
    folder: Path,
    cache: Path,
    more_settings: Mapping[str, str] | None = None,
    ca_files: Sequence[Path] = (),
) -> Iterator[SparkSession]:
    """Open a Spark session, and end it together with its JVM.

    Args:
        config: the contract's model.
        jars: the class path of the set `spark`, for the PySpark that is installed.
        folder: for temporary files; the caller removes it.
        cache: the cache folder, for the class-data archive.
        more_settings: further Spark settings, over all others.
        ca_files: certificates, in PEM, of authorities to trust beside the public ones.

    Raises:
        StackFailed: PySpark is not installed; or this process already has a Spark session, which would
            ignore these settings.
        SparkUnsupported: there are no jars for the PySpark that is installed.
    """
    release = spark_release()
    from pyspark.sql import SparkSession

    if SparkSession.getActiveSession() is not None:
        raise StackFailed(
            "open a Spark session",
            "this process already has one, with other jars, and Spark would hand that one out",
            "stop it first, or use the fixture spark_session everywhere",
        )
    data = class_data_for(f"spark-{release}", [*jars, *spark_jars()], cache, folder)
    write_log_configuration(folder, "error", LOGGERS)
    # The executors of a cluster on this machine read the same store.
    trust = trust_flags(ca_files, folder)
    flags = [*JAVA_FLAGS, log_flag(folder), *trust, *data.flags]
    settings = session_settings(config, jars, folder, flags, trust, release=release)
    settings.update(more_settings or {})
    builder = SparkSession.builder.master(config.master).appName(config.app_name)
    with _settings_file(folder, settings) as (file, others):
        for name, value in others.items():
            builder = builder.config(name, value)
        with _environment_for_submit(folder, file, spark_java_home(folder, release)):
            session = builder.getOrCreate()
    application = session.sparkContext.applicationId
    try:
        yield session
    finally:
        _end(session)
        if config.master.startswith("local-cluster"):
            _remove_work(pyspark_folder() / "work", application)
        adopt(data)


@contextlib.contextmanager
def _settings_file(folder: Path, settings: Mapping[str, str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """Write a file of settings for `spark-submit`, which is gone afterwards, and return it.

    PySpark would put every setting on the command line of the JVM, where each user of the machine could read
    the keys of the store. With it come those settings that a file cannot carry: Spark cuts off blanks around
    a value, and takes from it only what is its own (Apache Spark, `Utils.getPropertiesFromFile`).
    """
    others = {
        name: value
        for name, value in settings.items()
        if value != value.strip() or not name.startswith("spark.")
    }
    file = folder / "session.properties"
    try:
        write_properties(file, {name: value for name, value in settings.items() if name not in others})
        yield file, others
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _environment_for_submit(folder: Path, settings: Path, java: Path) -> Iterator[None]:
    """Set what `spark-submit` reads from the environment, only while it runs."""
    added = {
        "JAVA_HOME": str(java),
        "SPARK_LOCAL_IP": "127.0.0.1",
        # spark-submit starts a small JVM to put the command of the big one together.
        "SPARK_LAUNCHER_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData",
        "SPARK_LOCAL_DIRS": str(folder),
        "TMPDIR": str(folder),
        # In another locale Java could not read a class path with letters beyond ASCII.
        "LC_ALL": "C.UTF-8",
        "PYSPARK_SUBMIT_ARGS": shlex.join(["--properties-file", str(settings), "pyspark-shell"]),
    }
    before = {name: os.environ.get(name) for name in [*added, "SPARK_HOME"]}
    os.environ.pop("SPARK_HOME", None)
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _remove_work(work: Path, application: str) -> None:
    """Remove what the workers of `local-cluster[...]` have left in PySpark's own folder.

    They have no setting for another one (Apache Spark, `LocalSparkCluster`).
    """
    shutil.rmtree(work / application, ignore_errors=True)
    with contextlib.suppress(OSError):  # others are at work there
        work.rmdir()


def _end(session: SparkSession) -> None:
    """Stop the session and its JVM, which PySpark itself leaves running until Python ends."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    session.stop()
    if gateway is None:
        return
    process = gateway.proc
    gateway.shutdown()
    # The JVM ends when its standard input does (PySpark, `PythonGatewayServer`).
    process.stdin.close()
    try:
        # One that does not end is killed; it has stopped its session, so nothing is lost by that.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(JVM_END_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        SparkContext._gateway = None
        SparkContext._jvm = None
