"""Take the pictures of the live page for docs/ui.md: `python tools/ui_screenshots.py`.

It starts a stack of its own. Look at the pictures afterwards, in docs/images.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import psycopg
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lakebed.clients.catalog import open_catalog
from lakebed.clients.connector import Connector, connect_to_stream
from lakebed.clients.debezium import DebeziumClient
from lakebed.config.settings import Settings, load_settings
from lakebed.lifecycle import ConnectorState
from lakebed.provision.cache import cache_folder
from lakebed.services import postgres
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import open_stack
from lakebed.stack.folders import NAME_OF_UP
from lakebed.ui.rendering import link
from lakebed.waiting import wait_until

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SCHEMES = ("light", "dark")
MOST_BYTES = 200_000
DELTA = "s3://delta/shop/orders"
ICEBERG = "shop.orders"
BROKEN = {
    "transforms": "key",
    "transforms.key.type": "org.apache.kafka.connect.transforms.ValueToKey",
    "transforms.key.fields": "order_number",
}


def fill_postgres(addresses: Addresses) -> psycopg.Connection[Any]:
    """Make tables of a shop."""
    database = postgres.connect(addresses.postgres, postgres.DATABASE)
    database.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer text, price numeric(9, 2), paid boolean NOT NULL)"
    )
    database.execute("ALTER TABLE orders REPLICA IDENTITY FULL")
    database.execute("CREATE TABLE customers (id int PRIMARY KEY, name text)")
    database.execute("CREATE TABLE payments (id int PRIMARY KEY, amount numeric(9, 2))")
    return database


def make_connectors(
    addresses: Addresses, client: DebeziumClient, database: psycopg.Connection[Any]
) -> Connector:
    """Make one that runs, one that is paused and one that has failed; return the first."""

    def made(name: str, **fields: Any) -> Connector:
        config = addresses.debezium_connector_config(
            name,
            database_dbname=postgres.DATABASE,
            # Two connectors of one prefix would share the names of their metrics.
            topic_prefix="shop" if name == "orders" else name,
            slot_name=f"{name}_slot",
            publication_name=f"{name}_publication",
            table_include_list=[f"public.{name}"],
            **fields,
        )
        connector = Connector(config, client)
        connect_to_stream(connector, database)
        return connector

    orders = made("orders", extra_config=addresses.avro_converter())
    made("customers")
    client.pause("customers")
    made("payments", extra_config=BROKEN, heartbeat_interval_ms=0)
    database.execute("INSERT INTO payments VALUES (1, 10)")
    wait_until(
        lambda: client.state("payments") is ConnectorState.FAILED, "payments to fail", deadline_seconds=60
    )
    return orders


def change_orders(database: psycopg.Connection[Any], orders: Connector) -> None:
    """Let things happen to orders, and let its schema change."""
    names = ("Ada", "Bo", "Cy", "Dora")
    for number, name in enumerate(names, 1):
        database.execute("INSERT INTO orders VALUES (%s, %s, %s, false)", [number, name, number * 10.5])
    database.execute("UPDATE orders SET paid = true, price = 19.99 WHERE id = 2")
    database.execute("ALTER TABLE orders ADD COLUMN note text")
    database.execute("INSERT INTO orders VALUES (5, 'Eve', 52.50, false, 'a gift: no bill inside')")
    database.execute("DELETE FROM orders WHERE id = 3")
    orders.wait_until_acknowledged(database)


def fill_tables(addresses: Addresses) -> int:
    """Make a Delta and an Iceberg table with a history; return the first snapshot of the latter."""
    rows = pa.table(
        {
            "id": pa.array([1, 2, 3, 4], pa.int64()),
            "customer": ["Ada", "Bo", "Cy", "Dora"],
            "price": pa.array([10.5, 21, 31.5, 42], pa.float64()),
            "paid": [False] * 4,
        }
    )
    options = addresses.delta_storage_options()
    write_deltalake(
        DELTA, rows, storage_options=options, configuration={"delta.enableChangeDataFeed": "true"}
    )
    DeltaTable(DELTA, storage_options=options).update(
        updates={"paid": "true", "price": "19.99"}, predicate="id = 2"
    )
    DeltaTable(DELTA, storage_options=options).delete("id = 3")
    catalog = open_catalog(addresses.iceberg_catalog_config(), more=addresses.iceberg_client_properties())
    catalog.create_namespace("shop")
    table = catalog.create_table(ICEBERG, rows.schema)
    table.append(rows)
    table.overwrite(rows.slice(0, 2))
    return table.metadata.snapshots[0].snapshot_id


@contextmanager
def served(stacks: Path, settings: Settings) -> Iterator[str]:
    """Run `lakebed ui`; yield its address."""
    environment = {
        **os.environ,
        "LAKEBED_DATA_FOLDER": str(stacks),
        "LAKEBED_CACHE": str(cache_folder(settings.cache_folder)),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "lakebed", "ui", "--no-browser"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def take(address: str, cache: Path, first_snapshot: int) -> None:
    """Take a picture of every screen, in both schemes."""
    sys.path.insert(0, str(ROOT))
    from tests.browser.chromium import opened_chromium

    topic = "shop.public.orders"
    origin = address.partition("/?")[0]
    places = {
        "services": "/services",
        "service": link("/service", name="kafka"),
        "connectors": "/connectors",
        "connector": link("/connector", name="payments"),
        "topics": "/topics",
        "topic": link("/topic", name=topic),
        "subjects": "/subjects",
        "subject": link("/subject", name=f"{topic}-value"),
        "tables": "/tables",
        "delta": link("/delta", **{"path": DELTA.replace("s3:", "s3a:"), "from": 1}),
        "iceberg": link("/iceberg", **{"name": ICEBERG, "from": first_snapshot, "key": "id"}),
    }
    with opened_chromium(cache) as browser:
        for scheme in SCHEMES:
            context = browser.new_context(
                color_scheme=scheme,  # type: ignore[arg-type]
                viewport={"width": 1120, "height": 640},
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.goto(address)
            page.wait_for_url(f"{origin}/services")
            for name, place in places.items():
                page.goto(origin + place)
                page.wait_for_selector("#connection[data-state=live]")
                if name == "topic" and scheme == "dark":
                    page.locator("#messages details").nth(2).click()
                height = min(page.evaluate("document.body.scrollHeight"), 900)
                page.set_viewport_size({"width": 1120, "height": max(height, 360)})
                target = IMAGES / f"ui-{name}-{scheme}.png"
                page.screenshot(path=target)
                click.echo(f"{target} {target.stat().st_size} bytes")
                assert target.stat().st_size < MOST_BYTES
            context.close()


@click.command()
def main() -> None:
    """Start a stack, fill it, take the pictures, and leave nothing behind but them."""
    IMAGES.mkdir(exist_ok=True)
    with ExitStack() as ending:
        base = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp")))
        base.chmod(0o711)
        settings = load_settings({"data_folder": base / "stacks"})
        stack = open_stack(settings, NAME_OF_UP, client="pictures")
        ending.callback(stack.close)
        addresses = Addresses.of(stack.start([], settings), settings)
        client = ending.enter_context(DebeziumClient(addresses.connect))
        database = ending.enter_context(fill_postgres(addresses))
        orders = make_connectors(addresses, client, database)
        change_orders(database, orders)
        first_snapshot = fill_tables(addresses)
        address = ending.enter_context(served(base / "stacks", settings))
        take(address, cache_folder(settings.cache_folder), first_snapshot)


if __name__ == "__main__":
    main()
