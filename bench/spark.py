"""What Spark costs: its session, the first and the second Delta write over S3A, MERGE, and its memory."""

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
from bench.stacks import cache_without_class_data, running
from lakebed.clients.spark import spark_session_for
from lakebed.config.settings import Settings, load_settings
from lakebed.provision.cache import cache_folder
from lakebed.provision.progress import RichProgress
from lakebed.provision.provide import provide
from lakebed.services import s3
from lakebed.services.spark import JARS
from lakebed.stack.addresses import Addresses

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 1_000
STEPS = ("session", "first Delta write", "second Delta write", "MERGE", "MERGE again")


def _session(
    settings: Settings, addresses: Addresses, jars: list[Path], cache: Path, path: str
) -> list[float]:
    """Open a session and do the steps; return their seconds, then the JVM's resident memory in MB."""
    before = set(psutil.Process().children())
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-spark-") as folder:
        started = time.monotonic()
        config = addresses.delta_spark_config(settings.spark_master)
        with spark_session_for(config, jars, Path(folder), cache, settings.spark_config) as spark:
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
        f" (median of {rounds});\nplain: without class-data archives",
        "step",
        "with archive",
        "plain",
        "plain/with",
    )
    with running(["s3"], settings) as connection, cache_without_class_data(cache) as plain_cache:
        addresses = Addresses(connection.status()["ports"])

        def measured(name: str, of: Path) -> list[float]:
            paths = [f"s3a://{s3.DELTA_BUCKET}/bench/{name}-{number}" for number in range(rounds)]
            each = [_session(settings, addresses, jars, of, path) for path in paths]
            return [median(figures) for figures in zip(*each, strict=True)]

        # Writes the archive if it is missing.
        _session(settings, addresses, jars, cache, f"s3a://{s3.DELTA_BUCKET}/bench/warm-up")
        with_archive, plain = measured("with", cache), measured("plain", plain_cache)
    for step, one, other in zip(STEPS, with_archive, plain, strict=False):
        table.add_row(step, f"{one:.1f} s", f"{other:.1f} s", ratio(other, one))
    table.add_section()
    one, other = with_archive[-1], plain[-1]
    table.add_row("JVM's memory", f"{one:.0f} MB", f"{other:.0f} MB", ratio(other, one))
    return table
