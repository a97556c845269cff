"""Run by test_stack.py in a process of its own: the whole chain with passwords that can be recognised.

Four of its tests fail on purpose, so that all that pytest shows of a failure can be searched. It is shown
with the source, so that no password may stand in here: they come in the environment.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lakebed.config.environment import IcebergRestEnvironment
from lakebed.pytest_plugin.session import SessionStack

SERVICES = ("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest", "spark-cluster")
NUMBERS = itertools.count(1)
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
# Given by lakebed to nobody but its own programs, in files for its user only.
HOLDERS = {"request.json", "root.jar", "jetty.xml"}


def _secrets() -> list[str]:
    return os.environ["SECRETS_TO_LOOK_FOR"].split()


def _family(stack: SessionStack) -> list[psutil.Process]:
    """Return every process of the stack and of this session, this one too."""
    status = stack.status()
    assert status is not None
    pids = [os.getpid(), status["pid"], *(one["pid"] for one in status["services"])]
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        process = psutil.Process(pid)
        found.update({one.pid: one for one in (process, *process.children(recursive=True))})
    return list(found.values())


def _command_line(process: psutil.Process) -> str:
    """Return a process's command line; "" for one that has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def _connections(process: psutil.Process, kind: str) -> list[Any]:
    """Return a process's sockets; none for one that has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.net_connections(kind=kind)
    return []


@pytest.fixture(scope="session", autouse=True)
def command_lines() -> Iterator[set[str]]:
    """Every command line that this process and its children have had, also of those that end soon."""
    seen: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process().children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        seen.add(" ".join(child.cmdline()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield seen
    ended.set()
    thread.join()


@pytest.fixture
def chain(
    lakebed_stack: SessionStack,
    postgres_connection: Any,
    debezium_connectors: Any,
    cdc_pipeline: Any,
    delta_table_path: str,
    spark_session: Any,
    iceberg_catalog: Any,
    lakebed_record: Any,
) -> Any:
    """A connector with a user and a password of its own, and its changes in a Delta table."""
    lakebed_stack.need(*SERVICES)
    # Roles are the whole server's, and each test has one of its own.
    role = f"watcher_{next(NUMBERS)}"
    postgres_connection.execute(
        f"CREATE ROLE {role} SUPERUSER REPLICATION LOGIN PASSWORD '{os.environ['PASSWORD_OF_ROLE']}'"
    )
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    connector = debezium_connectors(database_user=role, database_password=os.environ["PASSWORD_OF_ROLE"])
    cdc_pipeline(connector, "orders", delta=delta_table_path).run_available()
    assert spark_session.read.format("delta").load(delta_table_path).count() == 1
    return connector


@pytest.mark.debezium(avro=True)
@pytest.mark.lakebed(*SERVICES)
def test_every_listener_is_on_loopback(lakebed_stack: SessionStack, chain: Any) -> None:
    family = _family(lakebed_stack)
    listeners = {
        f"{process.name()} {process.pid}: {one.laddr.ip}:{one.laddr.port}"
        for process in family
        for one in _connections(process, "inet")
        if one.laddr and not one.raddr and (one.status == psutil.CONN_LISTEN or one.type == socket.SOCK_DGRAM)
    }
    elsewhere = {one for one in listeners if one.split(": ")[1].rpartition(":")[0] not in LOOPBACK}
    assert elsewhere == set()
    # Those of every service, the Spark session's JVM and the executors on the cluster.
    ports = {int(one.rpartition(":")[2]) for one in listeners}
    status = lakebed_stack.status()
    assert status is not None
    asked = {port for ports in status["ports"].values() for port in ports.values()}
    assert len(status["ports"]) == 9
    assert {port for port in asked if port not in ports} <= _admin_ports(status)
    assert sum(one.startswith("java ") for one in listeners) > len(status["ports"])


def _admin_ports(status: dict[str, Any]) -> set[int]:
    """Return the ports that SeaweedFS does not open with its administration switched off."""
    return {port for name, port in status["ports"]["s3"].items() if name.startswith("admin.")}


@pytest.mark.debezium(avro=True)
@pytest.mark.lakebed(*SERVICES)
def test_every_file_is_for_its_user_only(lakebed_stack: SessionStack, chain: Any) -> None:
    open_to_others, seen = [], 0
    passable = {lakebed_stack.folder, lakebed_stack.folder / "postgres"}
    folders = [lakebed_stack.folder]
    while folders:
        for path in folders.pop().iterdir():
            mode = path.lstat().st_mode
            seen += 1
            # PostgreSQL's user must be able to read its programs, in which no secret is.
            if path == lakebed_stack.folder / "postgres" / "software" or stat.S_ISLNK(mode):
                continue
            if stat.S_ISDIR(mode) and (path in passable or not mode & 0o077):
                folders += [path] if path in passable else []
                passed = os.geteuid() == 0 and stat.S_IMODE(mode) == 0o711
                if path in passable and not (passed or not mode & 0o077):
                    open_to_others.append(f"{stat.filemode(mode)} {path}")
            elif mode & 0o077:
                open_to_others.append(f"{stat.filemode(mode)} {path}")
    assert open_to_others == []
    assert seen > 25
    sockets = {
        Path(str(one.laddr))
        for process in _family(lakebed_stack)
        for one in _connections(process, "unix")
        if one.laddr and one.status != psutil.CONN_ESTABLISHED
    }
    # One without a file (Linux manual, unix(7), "abstract") is open to everybody.
    assert not [path for path in sockets if str(path).startswith(("@", "\x00"))]
    of_ours = [path for path in sockets if "seaweedfs" in path.name or path.suffix == ".sock"]
    assert of_ours
    assert [path for path in of_ours if path.exists() and path.stat().st_mode & 0o077] == []


@pytest.mark.debezium(avro=True)
@pytest.mark.lakebed(*SERVICES)
def test_no_secret_is_where_others_may_see_it(
    lakebed_stack: SessionStack, chain: Any, command_lines: set[str]
) -> None:
    secrets = _secrets()
    told = [
        *command_lines,
        *(_command_line(process) for process in _family(lakebed_stack)),
        json.dumps(lakebed_stack.status()),
        repr(lakebed_stack.settings),
        repr(lakebed_stack.need(*SERVICES)),
        repr(chain),
        repr(chain.config),
        chain.describe(),
    ]
    assert len(command_lines) > 3
    assert [text for text in told if any(secret in text for secret in secrets)] == []
    logs = [*lakebed_stack.folder.glob("*.log"), *lakebed_stack.folder.glob("spark-worker-*/work/**/std*")]
    assert len(logs) > 10
    found = {
        f"{path.name} has number {secrets.index(secret)}"
        for path in logs
        for secret in secrets
        # SeaweedFS logs the id of its key, which in the contract is the same word as the key.
        if secret in path.read_text(errors="replace")
        and (path.name, secret) != ("s3.log", os.environ["ID_OF_STORES_KEY"])
    }
    assert found == set()
    # Not in Kafka's data, which is the connectors' own, and not in PostgreSQL's.
    files = [
        path
        for path in lakebed_stack.folder.rglob("*")
        if path.is_file()
        and path.suffix in (".json", ".jsonl", ".jar", ".properties", ".xml", ".toml")
        and "data" not in path.parts
    ]
    holders = {path for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)}
    assert {path.name for path in holders} <= HOLDERS
    assert {path.name for path in holders if stat.S_IMODE(path.stat().st_mode) != 0o600} == set()


@pytest.mark.debezium(avro=True)
@pytest.mark.lakebed(*SERVICES)
def test_fails_and_is_shown_with_all_its_locals(
    lakebed_stack: SessionStack, chain: Any, lakebed_settings: Any, debezium_client: Any
) -> None:
    addresses: Any = lakebed_stack.need(*SERVICES)
    registry, catalog = addresses.schema_registry_config(), addresses.iceberg_catalog_config()
    session, config = addresses.delta_spark_config("local[2]"), chain.config
    environment: Any = IcebergRestEnvironment(
        aws_access_key_id=addresses.s3.access_key.get_secret_value(),
        aws_secret_access_key=addresses.s3.secret_key.get_secret_value(),
        catalog_warehouse="s3://warehouse/",
        catalog_io_impl="org.apache.iceberg.aws.s3.S3FileIO",
        catalog_s3_endpoint=addresses.s3.endpoint,
        catalog_s3_path_style_access=True,
    )
    shown: Any = (registry, catalog, session, config, environment, addresses, lakebed_settings)
    assert shown == ()


def test_fails_with_a_configuration_that_connect_refuses(debezium_connectors: Any) -> None:
    debezium_connectors(
        database_password=os.environ["PASSWORD_OF_ROLE"], extra_config={"heartbeat.interval.ms": "never"}
    )


def test_fails_with_a_field_that_no_connector_can_have(debezium_connectors: Any) -> None:
    debezium_connectors(database_password=os.environ["PASSWORD_OF_ROLE"], database_port=-1)


def test_fails_with_a_password_that_postgres_refuses(debezium_connectors: Any) -> None:
    debezium_connectors(database_user="nobody_of_that_name", database_password=os.environ["PASSWORD_OF_ROLE"])
