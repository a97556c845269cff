"""What more tables cost in the lake: one pipeline over ever more topics, its batches and their files."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil
from pyarrow.fs import FileSelector, FileType
from rich.table import Table

from bench.report import new_table
from bench.scaling import each_table
from bench.stacks import running
from lakebed.cdc.pipeline import Pipeline, Target
from lakebed.clients.catalog import open_catalog
from lakebed.clients.connector import Connector, connect_to_stream
from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.object_store import object_store
from lakebed.clients.registry import schema_registry_client
from lakebed.clients.spark import spark_session_for
from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.provision.provide import provide
from lakebed.services import postgres, s3
from lakebed.services.spark import ICEBERG_CATALOG, JARS
from lakebed.stack.addresses import Addresses

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAME = "lakes"
COUNTS = (1, 10, 30)
BATCHES = 3


def _targets(connector: Connector, count: int) -> list[Target]:
    return [
        Target(
            connector.topic(f"table_{number}"),
            (
                f"delta.`s3a://{s3.DELTA_BUCKET}/{NAME}/{count}/{number}`",
                f"{ICEBERG_CATALOG}.{NAME}_{count}.table_{number}",
            ),
        )
        for number in range(1, count + 1)
    ]


def _files(addresses: Addresses, count: int) -> dict[str, int]:
    """By lake, how many objects a table has."""
    store = object_store(addresses.s3_endpoint)
    found = {}
    for lake, path in (
        ("Delta", f"{s3.DELTA_BUCKET}/{NAME}/{count}/1"),
        ("Iceberg", f"{s3.WAREHOUSE_BUCKET}/{NAME}_{count}/table_1"),
    ):
        listed = store.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
        found[lake] = sum(one.type is FileType.File for one in listed)
    return found


def _measured(spark: SparkSession, addresses: Addresses, count: int, checkpoint: str) -> list[str]:
    name = f"{NAME}_{count}"
    open_catalog(addresses.iceberg_catalog_config()).create_namespace(name)
    with (
        postgres.connect(addresses.postgres_port, "postgres") as administration,
        DebeziumClient(addresses.debezium_url) as client,
        schema_registry_client(addresses.schema_registry_config()) as registry,
    ):
        administration.execute(f"CREATE DATABASE {name}".encode())
        with postgres.connect(addresses.postgres_port, name) as database:
            each_table(database, count, "CREATE TABLE table_%s (id int PRIMARY KEY, name text)")
            each_table(database, count, "INSERT INTO table_%s VALUES (1, 'one'), (2, 'two')")
            config = addresses.debezium_connector_config(
                name,
                database_dbname=name,
                topic_prefix=name,
                slot_name=name,
                publication_name=name,
                extra_config=addresses.avro_converter(),
            )
            connector = Connector(config, client)
            connect_to_stream(connector, database)
            targets = _targets(connector, count)
            pipeline = Pipeline(spark, addresses.kafka, registry, targets, checkpoint)
            seconds = []
            for batch in range(1 + BATCHES):
                if batch:
                    each_table(database, count, f"UPDATE table_%s SET name = 'batch {batch}' WHERE id = 1")
                connector.wait_until_acknowledged(database)
                started = time.monotonic()
                pipeline.run_available()
                seconds.append(time.monotonic() - started)
            client.delete(name)
    memory = sum(child.memory_info().rss for child in psutil.Process().children()) / 2**20
    later, files = median(seconds[1:]), _files(addresses, count)
    figures = [f"{seconds[0]:.1f} s", f"{later:.1f} s", f"{later / count:.2f} s", f"{memory:.0f} MB"]
    return [*figures, *(str(files[lake]) for lake in ("Delta", "Iceberg"))]


def run(rounds: int) -> Table:
    """Measure; once, whatever `rounds` says."""
    table = new_table(
        "more tables in the lake",
        "one pipeline, each topic into a Delta table and an Iceberg table;"
        f"\nfirst: two rows in each; later: one change in each, median of {BATCHES};"
        "\nJVM: Spark's memory at the end; objects of one table at the end",
        "tables",
        "first batch",
        "later (median)",
        "each table",
        "JVM",
        "Delta objects",
        "Iceberg objects",
    )
    settings = load_settings({"stack": "own"})
    cache = cache_folder(settings.cache_folder)
    jars = provide([JARS], cache=cache, mirror=settings.maven_mirror).class_path(JARS)
    with (
        running([], settings) as connection,
        tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder,
    ):
        addresses = Addresses(connection.status()["ports"])
        config = addresses.delta_spark_config(settings.spark_master)
        more = {**addresses.spark_settings(), **settings.spark_config}
        with spark_session_for(config, jars, Path(folder), cache, more) as spark:
            for count in COUNTS:
                table.add_row(str(count), *_measured(spark, addresses, count, f"{folder}/checkpoint-{count}"))
    return table
