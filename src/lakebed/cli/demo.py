"""`lakebed demo`: real data through the whole chain, and the proof that it arrived."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from lakebed.cdc.change_feed import change_feed
from lakebed.cdc.comparison import assert_same_rows
from lakebed.cdc.latency import change_latencies, percentile
from lakebed.cdc.pipeline import Pipeline, Target
from lakebed.cdc.rows import delta_rows, iceberg_rows, postgres_rows
from lakebed.cli import flights
from lakebed.cli.demo_report import DemoReport
from lakebed.cli.json_output import show_json
from lakebed.cli.output import StateLines, err, out
from lakebed.clients.catalog import open_catalog
from lakebed.clients.connector import Connector, connect_to_stream
from lakebed.clients.databases import drop_slot
from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.registry import schema_registry_client
from lakebed.clients.spark import spark_session_for
from lakebed.config.attach import NOTHING
from lakebed.config.settings import Settings, load_settings
from lakebed.provision.cache import cache_folder
from lakebed.provision.progress import RichProgress
from lakebed.provision.provide import provide
from lakebed.report.records import FixtureRecord
from lakebed.services import SERVICE_NAMES, SETS_OF_ALL, postgres, spark, spark_cluster
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import open_stack
from lakebed.stack.plan import asked_for

if TYPE_CHECKING:
    import pandas
    from pyspark.sql import SparkSession

DATABASE = postgres.DATABASE
CONNECTOR = "flights"
NAMESPACE = "flights"
LATENCY_SAMPLES = 200


@dataclass
class Figures:
    """What the demo measured: lines for the table at its end, the seconds of steps, and where tables go."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    shown: Console = out
    steps: list[FixtureRecord] = field(default_factory=list)

    def add(self, what: str, figure: str) -> None:
        """Add a line."""
        self.lines.append((what, figure))

    @contextmanager
    def timed(self, what: str, told: Callable[[float], str] | None = None) -> Iterator[None]:
        """Show a step while it runs, and add how long it took; `told` makes the figure from the seconds."""
        started, began = time.monotonic(), time.time()
        with err.status(what):
            yield
        seconds = time.monotonic() - started
        self.steps.append(FixtureRecord(what, "step", began, seconds))
        err.print(f"{seconds:6.1f} s  {what}")
        self.seconds[what] = seconds
        self.add(what, told(seconds) if told is not None else f"{seconds:.1f} s")


def run_demo(rows: int, as_json: bool = False, report: Path | None = None) -> None:
    """Run the demo with the first `rows` flights, and show what it measured.

    Args:
        rows: how many flights.
        as_json: whether standard output is for JSON; the tables, which are for people, go to standard error.
        report: where to write a report of it; None for none. It is written after a failure, too.

    Raises:
        RowsDiffer: a table differs from its source.
        ReportImpossible: the report cannot be made; before anything is started.
    """
    told = None if report is None else DemoReport(report)
    # It drops what it has made by name: on servers of lakebed's own only.
    settings = load_settings().model_copy(update={"attach": NOTHING})
    figures = Figures(shown=err if as_json else out)
    started = time.monotonic()
    # Read before anything is started: it fails where the data set is not installed.
    data = flights.frames(rows)
    stopping = err.status("stopping the servers")
    with ExitStack() as exits:
        # Registered first, so that it is shown until all the others have ended.
        exits.callback(stopping.stop)
        chain = _start(settings, figures, exits, told)
        _run(chain, data, figures, told)
        seconds = time.monotonic() - started
        figures.shown.print(_report(figures, seconds))
        if as_json:
            show_json(_report_json(figures, rows, seconds))
        stopping.start()


@dataclass(frozen=True)
class Chain:
    """All parts of the chain, running."""

    addresses: Addresses
    spark: SparkSession
    folder: Path

    def delta_path(self, table: str) -> str:
        """Where the Delta table of a source table is."""
        return f"s3a://{self.addresses.s3.delta_bucket}/{NAMESPACE}/{table}"


def _start(settings: Settings, figures: Figures, exits: ExitStack, told: DemoReport | None) -> Chain:
    cache = cache_folder(settings.cache_folder)
    provisions = provide(SETS_OF_ALL, cache=cache, mirror=settings.maven_mirror, progress=RichProgress())
    stack = open_stack(settings, f"demo-{os.getpid()}", client=f"lakebed demo (pid {os.getpid()})")
    exits.callback(stack.close)
    if told is not None:
        told.begin(stack)
        # Before the stack is closed, and also when a step has failed.
        exits.push(lambda kind, *_: told.write(figures.steps, failed=kind is not None))
    named = (*SERVICE_NAMES, *spark_cluster.services_of(settings.spark_master))
    services = asked_for(named, settings)
    with figures.timed(f"start {len(services)} services"):
        addresses = Addresses.of(stack.start(services, settings, on_event=StateLines()), settings)
    for service in addresses:
        stack.connected(service)
    folder = Path(tempfile.mkdtemp(prefix="lakebed-demo-"))
    exits.callback(shutil.rmtree, folder, ignore_errors=True)
    with figures.timed("open a Spark session"):
        session = exits.enter_context(
            spark_session_for(
                addresses.delta_spark_config(settings.spark_master),
                provisions.class_path(spark.JARS),
                folder,
                cache,
                {**addresses.spark_settings(), **settings.spark_config},
            )
        )
    return Chain(addresses, session, folder)


def _run(chain: Chain, data: dict[str, pandas.DataFrame], figures: Figures, told: DemoReport | None) -> None:
    addresses = chain.addresses
    config = addresses.debezium_connector_config(
        CONNECTOR, topic_prefix=CONNECTOR, slot_name=CONNECTOR, extra_config=addresses.avro_converter()
    )
    with (
        postgres.connect(addresses.postgres, DATABASE) as source,
        DebeziumClient(addresses.connect) as client,
        schema_registry_client(addresses.schema_registry_config(), addresses.schema_registry) as registry,
    ):
        with figures.timed("load the source"):
            loaded = flights.load(source, data)
        figures.add("rows in the source", f"{loaded:,}")
        connector = Connector(config, client)

        def wait_for_all() -> None:
            connector.wait_until_acknowledged(source)

        with figures.timed("snapshot into Kafka (Avro)", lambda seconds: _rate(loaded, seconds)):
            connect_to_stream(connector, source)
            wait_for_all()
        targets = [_target(chain, connector, table.name) for table in flights.TABLES]
        chain.spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {spark.ICEBERG_CATALOG}.{NAMESPACE}")
        pipeline = Pipeline(
            chain.spark,
            addresses.kafka,
            registry,
            targets,
            str(chain.folder / "checkpoint"),
        )
        with figures.timed("snapshot into Delta and Iceberg", lambda seconds: _rate(2 * loaded, seconds)):
            pipeline.run_available()
        _prove(chain, figures, "after the snapshot")
        _change(source, wait_for_all, pipeline, figures)
        _prove(chain, figures, "after the changes")
        with figures.timed(f"latency of {LATENCY_SAMPLES} changes, commit to consumer"):
            latencies = change_latencies(
                source,
                addresses.kafka,
                connector.topic("airlines"),
                flights.SMALL_CHANGE,
                LATENCY_SAMPLES,
            )
        shown = ", ".join(f"p{part} {1000 * percentile(latencies, part):.0f} ms" for part in (50, 90, 99))
        figures.add("change latency", shown)
        with figures.timed("bring the last changes into the lake"):
            wait_for_all()
            pipeline.run_available()
        _prove(chain, figures, "at the end")
        _show_feed(chain, figures.shown)
        if told is not None:
            told.look(connector, targets, addresses)
        client.delete(connector.name)
        drop_slot(source, config.slot_name)


def _target(chain: Chain, connector: Connector, table: str) -> Target:
    delta = f"delta.`{chain.delta_path(table)}`"
    return Target(connector.topic(table), (delta, f"{spark.ICEBERG_CATALOG}.{NAMESPACE}.{table}"))


def _change(source: Any, wait_for_all: Callable[[], None], pipeline: Pipeline, figures: Figures) -> None:
    started = time.monotonic()
    changes = flights.change(source)
    wait_for_all()
    for description, count in changes:
        err.print(f"          {description}: {count:,} rows")
    touched = sum(count for _, count in changes)
    figures.add("changes into Kafka", _rate(touched, time.monotonic() - started))
    with figures.timed("changes into Delta and Iceberg", lambda seconds: _rate(2 * touched, seconds)):
        pipeline.run_available()


def _rate(rows: int, seconds: float) -> str:
    return f"{seconds:.1f} s, {rows / seconds:,.0f} rows/s"


def _prove(chain: Chain, figures: Figures, when: str) -> None:
    """Compare every table with its source; raises RowsDiffer."""
    catalog = open_catalog(
        chain.addresses.iceberg_catalog_config(), more=chain.addresses.iceberg_client_properties()
    )
    compared = 0
    with (
        figures.timed(f"compare {when}", lambda seconds: f"{seconds:.1f} s, {compared:,} rows equal in both"),
        postgres.connect(chain.addresses.postgres, DATABASE) as connection,
    ):
        for table in flights.TABLES:
            source = postgres_rows(connection, table.name)
            assert_same_rows(source, delta_rows(chain.addresses.s3, chain.delta_path(table.name)))
            assert_same_rows(source, iceberg_rows(catalog, f"{NAMESPACE}.{table.name}"))
            row = connection.execute(f"SELECT count(*) FROM {table.name}".encode()).fetchone()
            compared += row[0] if row is not None else 0


def _show_feed(chain: Chain, shown: Console) -> None:
    """Show the change data feed of the Delta table of flights, counted by version and kind of change."""
    feed = change_feed(chain.delta_path("flights"), endpoint=chain.addresses.s3)
    kinds: Counter[tuple[int, str]] = Counter()
    for batch in feed.batches():
        versions, changes = batch["_commit_version"].to_pylist(), batch["_change_type"].to_pylist()
        kinds.update(zip(versions, changes, strict=True))
    table = Table("version", "_change_type", "rows", title="change data feed of flights", box=None)
    for (version, change_type), count in sorted(kinds.items()):
        table.add_row(str(version), change_type, f"{count:,}")
    shown.print(table)


def _report(figures: Figures, seconds: float) -> Table:
    table = Table(
        title="source = Delta = Iceberg, row for row and column for column", box=None, show_header=False
    )
    for what, figure in figures.lines:
        table.add_row(what, figure)
    table.add_row("all of it", f"{seconds:.1f} s")
    return table


def _report_json(figures: Figures, rows: int, seconds: float) -> dict[str, Any]:
    steps = [
        {"step": what, "seconds": figures.seconds.get(what), "figure": figure}
        for what, figure in figures.lines
    ]
    return {"rows": rows, "is_equal": True, "seconds": seconds, "steps": steps}
