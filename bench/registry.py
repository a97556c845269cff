"""How long registering schemas takes, by one client after another and by several at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from rich.table import Table

from bench.report import new_table
from bench.stacks import running
from lakebed.clients.registry import schema_registry_client
from lakebed.config.settings import load_settings
from lakebed.stack.addresses import Addresses

SCHEMAS = 100
AT_ONCE = 4


def _schema(number: int) -> Schema:
    fields = [{"name": f"column_{number}_{column}", "type": "string", "default": ""} for column in range(10)]
    return Schema(json.dumps({"type": "record", "name": "row", "fields": fields}), "AVRO")


def _seconds(register: Callable[[int], object], workers: int) -> list[float]:
    def timed(number: int) -> float:
        started = time.perf_counter()
        register(number)
        return time.perf_counter() - started

    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(timed, range(SCHEMAS)))


def _measured(client: SchemaRegistryClient, kind: str, workers: int, round_number: int) -> list[str]:
    prefix = f"bench-{kind}-{workers}-{round_number}"
    one_subject = kind == "versions of one subject"

    def register(number: int) -> object:
        return client.register_schema(prefix if one_subject else f"{prefix}-{number}", _schema(number))

    started = time.perf_counter()
    each = _seconds(register, workers)
    total = time.perf_counter() - started
    return [str(workers), f"{total:.2f} s", f"{1000 * median(each):.1f} ms", f"{1000 * max(each):.1f} ms"]


def run(rounds: int) -> Table:
    """Measure."""
    table = new_table(
        "schema registrations",
        f"{SCHEMAS} different schemas of 10 columns through confluent-kafka's client, BACKWARD",
        "what",
        "at once",
        "all",
        "median",
        "longest",
    )
    settings = load_settings()
    with running(["schema-registry"], settings) as connection:
        addresses = Addresses(connection.status()["ports"], settings.registry_credentials)
        with schema_registry_client(addresses.schema_registry_config()) as client:
            for round_number in range(rounds):
                for kind, workers in (("subjects", 1), ("subjects", AT_ONCE), ("versions of one subject", 1)):
                    table.add_row(kind, *_measured(client, kind, workers, round_number))
    return table
