"""What Spark costs: its session, the first and the second Delta write over S3A, MERGE, and its memory.

Plain is the same session as Spark starts it: no class data, none of the runtime's Java flags and settings.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil
from rich.table import Table

from bench.report import new_table, ratio
from bench.stacks import running
from lakebed.clients.spark import spark_session_for
from lakebed.config.settings import Settings, load_settings
from lakebed.provision.cache import cache_folder
from lakebed.provision.progress import RichProgress
from lakebed.provision.provide import provide
from lakebed.services import s3
from lakebed.services.java_logging import log_flag
from lakebed.services.spark import JARS
from lakebed.stack.addresses import Addresses

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 1_000
STEPS = ("session", "first Delta write", "second Delta write", "MERGE", "MERGE again")

# Spark's, Delta's and Hadoop's own values of what `session_settings` sets to be quick.
PLAIN = {
    "spark.ui.enabled": "true",
    "spark.sql.shuffle.partitions": "200",
    "spark.databricks.delta.snapshotPartitions": "50",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "10000",
    "spark.hadoop.fs.s3a.directory.marker.retention": "delete",
    "spark.hadoop.fs.s3a.change.detection.mode": "server",
}


def _session(
    settings: Settings, addresses: Addresses, jars: list[Path], cache: Path, path: str, *, plain: bool
) -> list[float]:
    """Open a session and do the steps; return their seconds, then the JVM's resident memory in MB."""
    before = set(psutil.Process().children())
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-spark-") as folder:
        started = time.monotonic()
        config = addresses.delta_spark_config(settings.spark_master)
        more = dict(settings.spark_config)
        if plain:
            flags = f"{log_flag(Path(folder))} -Djava.io.tmpdir={folder}"
            more = {**PLAIN, "spark.driver.extraJavaOptions": flags, **more}
        with spark_session_for(config, jars, Path(folder), cache, more) as spark:
            figures = [time.monotonic() - started]
            rows = spark.range(ROWS).selectExpr("id", "concat('row ', id) AS name")
            figures.append(_timed(lambda: rows.write.format("delta").save(path)))
            figures.append(_timed(lambda: rows.write.format("delta").mode("append").save(path)))
            figures += [_timed(lambda: _merge(spark, path)) for _ in range(2)]
            jvms = set(psutil.Process().children()) - before
            figures.append(sum(jvm.memory_info().rss for jvm in jvms) / 2**20)
    return figures


def _merge(spark: SparkSession, path: str) -> None:
    spark.range(ROWS // 2, 2 * ROWS).selectExpr("id", "'merged' AS name").createOrReplaceTempView("changes")
    spark.sql(
        f"MERGE INTO delta.`{path}` target USING changes ON target.id = changes.id"
        " WHEN MATCHED THEN UPDATE SET name = changes.name"
        " WHEN NOT MATCHED THEN INSERT *"
    )


def _timed(do: Callable[[], None]) -> float:
    started = time.monotonic()
    do()
    return time.monotonic() - started


def run(rounds: int) -> Table:
    """Measure."""
    settings = load_settings()
    cache = cache_folder(settings.cache_folder)
    provisions = provide([JARS], cache=cache, mirror=settings.maven_mirror, progress=RichProgress())
    jars = provisions.class_path(JARS)
    table = new_table(
        "Spark",
        f"{settings.spark_master}, Delta Lake on the stack's S3 store, {ROWS:,} rows a write"
        f" (median of {rounds}, in turns);\nplain: without class data, Java flags and the runtime's settings",
        "step",
        "with",
        "plain",
        "plain/with",
    )
    with running(["s3"], settings) as connection:
        addresses = Addresses(connection.status()["ports"])

        def measured(name: str, *, plain: bool) -> list[float]:
            path = f"s3a://{s3.DELTA_BUCKET}/bench/{name}"
            return _session(settings, addresses, jars, cache, path, plain=plain)

        # Writes the archive if it is missing.
        measured("warm-up", plain=False)
        # In turns, so that whatever else the machine does falls on both.
        pairs = [
            (measured(f"with-{number}", plain=False), measured(f"plain-{number}", plain=True))
            for number in range(rounds)
        ]
    quick, plain = (
        [median(figures) for figures in zip(*each, strict=True)] for each in zip(*pairs, strict=True)
    )
    for step, one, other in zip(STEPS, quick, plain, strict=False):
        table.add_row(step, f"{one:.1f} s", f"{other:.1f} s", ratio(other, one))
    table.add_section()
    one, other = quick[-1], plain[-1]
    table.add_row("JVM's memory", f"{one:.0f} MB", f"{other:.0f} MB", ratio(other, one))
    return table
