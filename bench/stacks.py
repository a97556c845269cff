"""Stacks to measure: on free ports, always closed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from lakebed.clients.connector import Connector, connect_to_stream
from lakebed.clients.debezium import DebeziumClient
from lakebed.config.settings import Settings
from lakebed.provision.progress import RichProgress
from lakebed.services import postgres
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import StackConnection, open_stack


@contextmanager
def running(services: Iterable[str], settings: Settings) -> Iterator[StackConnection]:
    """Start services, with what they need, and stop them at the end; none at all means every service."""
    connection = open_stack(settings, f"bench-{os.getpid()}", client=f"bench (pid {os.getpid()})")
    try:
        connection.start(services, settings, progress=RichProgress())
        yield connection
    finally:
        connection.close()


@contextmanager
def cache_without(cache: Path, *parts: str) -> Iterator[Path]:
    """A cache folder with everything of `cache` but these of its folders, and no way to make them."""
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as name:
        folder = Path(name)
        for entry in cache.iterdir():
            if entry.name not in parts and not entry.name.startswith("."):
                (folder / entry.name).symlink_to(entry)
        # A file where a folder would be: what needs it is done without, as in a cache that is read-only.
        for part in parts:
            (folder / part).touch()
        yield folder


def cache_without_class_data(cache: Path) -> AbstractContextManager[Path]:
    """A cache folder with everything of `cache` but its class-data archives, and no way to make new ones."""
    return cache_without(cache, "class-data")


@dataclass(frozen=True)
class Stream:
    """A database, its streaming connector, and where the changes arrive."""

    addresses: Addresses
    database: psycopg.Connection[Any]
    connector: Connector


@contextmanager
def streaming(connection: StackConnection, table: str, *, avro: bool) -> Iterator[Stream]:
    """Make `table` (id, name) with one row, and a connector that streams it when this is entered."""
    addresses = Addresses(connection.status()["ports"])
    name = f"{table}_{'avro' if avro else 'json'}"
    config = addresses.debezium_connector_config(
        name,
        topic_prefix=name,
        slot_name=name,
        publication_name=name,
        table_include_list=[f"public.{table}"],
        extra_config=addresses.avro_converter() if avro else {},
    )
    with (
        postgres.connect(addresses.postgres_port, postgres.DATABASE) as database,
        DebeziumClient(addresses.debezium_url) as client,
    ):
        database.execute(f"CREATE TABLE IF NOT EXISTS {table} (id bigint PRIMARY KEY, name text)".encode())
        database.execute(f"INSERT INTO {table} VALUES (0, 'first') ON CONFLICT DO NOTHING".encode())
        connector = Connector(config, client)
        connect_to_stream(connector, database)
        yield Stream(addresses, database, connector)
        client.delete(connector.name)
