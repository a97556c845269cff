"""PostgreSQL with logical decoding, from the binaries of `embedded-postgres-binaries`."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebed.config.debezium import DebeziumConnectorConfig
from lakebed.errors import ServiceFailed
from lakebed.services.definition import LOOPBACK, Place, Service

if TYPE_CHECKING:
    import psycopg

_CONTRACT = DebeziumConnectorConfig(name="contract")
USER = _CONTRACT.database_user
PASSWORD = _CONTRACT.database_password
DATABASE = _CONTRACT.database_dbname

# Durable writes protect against power loss; a test's database does not outlive its process.
# synchronous_commit stays on: the WAL sender hands out only what has been flushed, and a delayed flush
# would add up to 0.6 s to every change (PostgreSQL documentation, "Asynchronous Commit").
SERVER_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_replication_slots": "100",
    "max_wal_senders": "100",
    "max_connections": "250",
    "shared_buffers": "32MB",
    "fsync": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def _data(place: Place) -> Path:
    return place.folder / "data"


def _program(place: Place, name: str) -> str:
    assert place.software is not None
    return str(place.software / "bin" / name)


def _prepare(place: Place) -> None:
    password_file = place.folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(PASSWORD)
    data = _data(place)
    data.mkdir(mode=0o700)
    user, group = place.owner or (None, None)
    if place.owner is not None:
        os.chown(password_file, *place.owner)
        os.chown(data, *place.owner)
    arguments = ["--username", USER, "--pwfile", str(password_file), "--auth", "scram-sha-256"]
    arguments += ["--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"]
    finished = subprocess.run(
        [_program(place, "initdb"), "--pgdata", str(data), *arguments],
        user=user,
        group=group,
        extra_groups=[] if place.owner is not None else None,
        capture_output=True,
        text=True,
        cwd=place.folder,
    )
    password_file.unlink()
    if finished.returncode != 0:
        raise ServiceFailed(
            "make PostgreSQL's data directory (initdb)",
            f"exit code {finished.returncode}\n{finished.stdout}{finished.stderr}".rstrip(),
            "run `lakebed doctor`; it checks disk, locale and who may read the folders",
        )


def _command(place: Place) -> list[str]:
    settings = [part for name, value in SERVER_SETTINGS.items() for part in ("-c", f"{name}={value}")]
    port = str(place.ports["postgres"])
    return [_program(place, "postgres"), "-D", str(_data(place)), "-p", port, *settings]


def connect(port: int, database: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection in autocommit mode to a database of the server on `port`."""
    import psycopg

    return psycopg.connect(
        host=LOOPBACK,
        port=port,
        user=USER,
        password=PASSWORD,
        dbname=database,
        autocommit=True,
        connect_timeout=5,
    )


def _check(place: Place) -> None:
    with connect(place.ports["postgres"], "postgres") as connection:
        connection.execute("SELECT 1")


def _complete(place: Place) -> None:
    with connect(place.ports["postgres"], "postgres") as connection:
        connection.execute(f'CREATE DATABASE "{DATABASE}"')


POSTGRES = Service(
    name="postgres",
    title="PostgreSQL, the source of changes",
    ports={"postgres": 5432},
    memory_mb=90,
    jars="postgres",
    prepare=_prepare,
    command=_command,
    check=_check,
    complete=_complete,
    # SIGINT is the fast shutdown; SIGTERM would wait for every client to leave
    # (PostgreSQL documentation, "Shutting Down the Server").
    stop_signal=signal.SIGINT,
    refuses_root=True,
    other_names=("postgresql",),
)
