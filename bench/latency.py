"""How long a change takes from its commit to a consumer."""

from __future__ import annotations

from statistics import median

from rich.table import Table

from bench.report import new_table
from bench.stacks import running, streaming
from lakebed.cdc.latency import change_latencies, percentile
from lakebed.config.settings import load_settings

SAMPLES = 300
WARM_UP = 50
CHANGE = "UPDATE latency SET name = md5(name) WHERE id = 0"


def run(rounds: int) -> Table:
    """Measure."""
    samples = SAMPLES * rounds
    table = new_table(
        "change latency",
        f"100 changes a second, from commit to a consumer, {samples} changes after {WARM_UP} to warm up",
        "converter",
        "median",
        "p90",
        "p99",
        "longest",
        "p99/median",
    )
    with running(["connect", "postgres", "schema-registry"], load_settings()) as connection:
        for avro in (False, True):
            with streaming(connection, "latency", avro=avro) as stream:
                kafka = stream.addresses.kafka_bootstrap_servers
                # The snapshot's event must be in the topic before the topic's end is looked up.
                stream.connector.wait_until_acknowledged(stream.database)
                topic = stream.connector.topic("latency")
                change_latencies(stream.database, kafka, topic, CHANGE, WARM_UP)
                seconds = change_latencies(stream.database, kafka, topic, CHANGE, samples)
            figures = [median(seconds), percentile(seconds, 90), percentile(seconds, 99), max(seconds)]
            shown = [f"{1000 * figure:.1f} ms" for figure in figures]
            table.add_row("Avro" if avro else "JSON", *shown, f"{figures[2] / figures[0]:.1f}")
    return table
