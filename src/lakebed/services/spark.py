"""Spark with Delta Lake and Iceberg: no server of its own, but a JVM of the process that uses it.

The PySpark that is installed decides which release of Spark that is, and with it which jars.

The contract's `DeltaSparkConfig` says what the session is; this file holds what the runtime adds to it,
and nothing of the model is changed but `spark.jars.packages`, which is served from the cache.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lakebed.config.delta import DeltaSparkConfig
from lakebed.config.endpoints import S3Endpoint
from lakebed.config.iceberg import IcebergCatalogConfig
from lakebed.provision.lock import OF_SPARK
from lakebed.services.definition import LOOPBACK

JARS = OF_SPARK
MEMORY_MB = 1100
NEEDS = ("s3",)
ICEBERG_CATALOG = "iceberg"
SPARK_CATALOG = "org.apache.iceberg.spark.SparkCatalog"
JAVA_FLAGS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    # With one compiler only, Java reserves 48 MB for code and collects the whole heap each time another
    # seventh of that is compiled: 7 times, 0.1 to 0.2 s each, in a test's first steps. Reserved is not used.
    "-XX:ReservedCodeCacheSize=128m",
)

# For each release, the Scala it is built with.
SCALA = {"3.5": "2.12", "4.1": "2.13"}
# What only one release has, or has not as its own value.
_SETTINGS_OF = {
    "3.5": {
        # Without it, S3A of Hadoop 3.3 deletes the markers of directories above each file it writes.
        "spark.hadoop.fs.s3a.directory.marker.retention": "keep",
    },
    "4.1": {},
}

# PySpark's gateway would set the level of everything to its own, and say so.
LOGGERS = {"org.apache.spark.api.python.PythonGatewayServer": "error"}

_TEMPORARY_CREDENTIALS = "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"
_ICEBERG_EXTENSIONS = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"


def session_settings(
    config: DeltaSparkConfig,
    jars: Sequence[Path],
    folder: Path,
    java_flags: Sequence[str],
    executor_flags: Sequence[str] = (),
    *,
    release: str,
) -> dict[str, str]:
    """Return the whole configuration of a session: the model's, then what this runtime adds.

    Args:
        config: the model; its `extra_config` wins over everything.
        jars: Delta, Iceberg, Hadoop's S3A and Kafka's source, from the cache.
        folder: for the warehouse and temporary files.
        java_flags: for the driver's JVM.
        executor_flags: for the JVMs of executors, where they are others than the driver's.
        release: of Spark, such as `3.5`.
    """
    contract = config.to_spark_config()
    # No Ivy at test time: the locked jars are on the class path instead.
    del contract["spark.jars.packages"]
    class_path = ":".join(str(jar) for jar in jars)
    # A local session's one executor is its driver. Others get the jars from the driver.
    for_executors = {}
    if not _is_one_process(config.master):
        for_executors["spark.jars"] = ",".join(map(str, jars))
        if executor_flags:
            for_executors["spark.executor.extraJavaOptions"] = " ".join(map(_quoted, executor_flags))
    added = {
        "spark.driver.extraClassPath": class_path,
        **for_executors,
        "spark.driver.extraJavaOptions": " ".join(map(_quoted, (*java_flags, f"-Djava.io.tmpdir={folder}"))),
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        # A test's tables have a few files; 200 tasks to shuffle them are 199 too many.
        "spark.sql.shuffle.partitions": "2",
        # One MERGE into Delta compiles 133 pieces of code; of the 100 that Spark keeps none is there the
        # next time: 1 s of the 2.5 that a small one takes.
        "spark.sql.codegen.cache.maxEntries": "2000",
        "spark.databricks.delta.snapshotPartitions": "2",
        # Listing a table's files for VACUUM would take 10,000 tasks.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
        # `s3://` paths of the Iceberg catalog through the same S3 client as Delta's `s3a://`.
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.change.detection.mode": "none",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(config.s3_endpoint.startswith("https")).lower(),
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        **_SETTINGS_OF[release],
    }
    settings = {**added, **contract, **config.extra_config}
    extensions = settings["spark.sql.extensions"]
    if _ICEBERG_EXTENSIONS not in extensions:
        settings["spark.sql.extensions"] = f"{extensions},{_ICEBERG_EXTENSIONS}"
    if "spark.jars.packages" in config.extra_config:
        settings["spark.jars.packages"] = config.extra_config["spark.jars.packages"]
    return settings


def _is_one_process(master: str) -> bool:
    return re.fullmatch(r"local(\[.*\])?", master) is not None


def _quoted(flag: str) -> str:
    """Return a flag as one word, whatever is in its path (Apache Spark, `CommandBuilderUtils`)."""
    escaped = flag.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def store_settings(store: S3Endpoint) -> dict[str, str]:
    """Return what a session needs for a store that somebody else runs, beside the model's.

    Source: Hadoop documentation, "Hadoop-AWS module", `fs.s3a.aws.credentials.provider`.
    """
    settings = {"spark.hadoop.fs.s3a.endpoint.region": store.region}
    if store.session_token is not None:
        settings |= {
            "spark.hadoop.fs.s3a.aws.credentials.provider": _TEMPORARY_CREDENTIALS,
            "spark.hadoop.fs.s3a.session.token": store.session_token.get_secret_value(),
        }
    return settings


def iceberg_settings(
    config: IcebergCatalogConfig, name: str = ICEBERG_CATALOG, more: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """Return the settings that make the REST catalog known to a session as `name`; may be set later.

    Args:
        config: the model.
        name: of the catalog in the session.
        more: further properties of Iceberg's client, such as its token.
    """
    prefix = f"spark.sql.catalog.{name}"
    return {
        prefix: SPARK_CATALOG,
        f"{prefix}.type": "rest",
        f"{prefix}.uri": config.uri,
        f"{prefix}.warehouse": config.warehouse,
        f"{prefix}.io-impl": "org.apache.iceberg.hadoop.HadoopFileIO",
        # The catalog is shared with other writers; a cached table would hide their snapshots.
        f"{prefix}.cache-enabled": "false",
        **{f"{prefix}.{key}": value for key, value in (more or {}).items()},
    }
