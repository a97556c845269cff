"""Containers are configured so that their servers start: here as plain processes, on loopback.

What only the images can show is named in docs/compose.md. Ports, hosts and folders are put in for those of
the container; the rest is as the Compose file has it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyspark
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from tests.free_ports import free_port

from lakebed.compose.render import render
from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.provision.java import java_executable
from lakebed.provision.provide import provide
from lakebed.services import service_named
from lakebed.services.definition import LOOPBACK
from lakebed.waiting import wait_until

Start = Callable[..., subprocess.Popen[bytes]]
SERVICES: Mapping[str, dict[str, Any]] = render()["services"]
# Of every port of the S3 store's one; the others here need fewer.
_PORTS = tuple(service_named("s3").ports)


@pytest.fixture
def ports() -> list[int]:
    """Free ports."""
    return [free_port() for _ in _PORTS]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that is killed when the test is over."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(*command: str, **variables: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{len(processes)}.log").open("wb") as log:
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "TMPDIR": str(tmp_path),
                **variables,
            }
            processes.append(
                subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
            )
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def text_of(value: object) -> str:
    """A variable's value as a container gets it (Compose specification, "environment")."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def put(text: str, replacements: Mapping[str, object]) -> str:
    for old, new in replacements.items():
        text = text.replace(old, str(new))
    return text


def wait_for_health(
    service: str, server: subprocess.Popen[bytes], replacements: Mapping[str, object], folder: Path
) -> None:
    """Run the container's own health check until it passes, or its server has ended."""
    kind, *command = SERVICES[service]["healthcheck"]["test"]
    if kind == "CMD-SHELL":
        command = ["sh", "-c", *command]
    asked = [put(part, replacements) for part in command]

    def logs() -> str:
        return "\n".join(log.read_text()[-2000:] for log in sorted(folder.glob("*.log")))

    def is_healthy() -> bool:
        if server.poll() is not None:
            pytest.fail(f"{service} has ended with {server.returncode}:\n{logs()}")
        return subprocess.run(asked, capture_output=True).returncode == 0

    wait_until(is_healthy, f"{service} to be healthy", deadline_seconds=120, explain=logs)


def java(name: str) -> tuple[str, ...]:
    """The Java command with the jars of a set."""
    settings = load_settings()
    jars = provide(
        [name], cache=cache_folder(settings.cache_folder), mirror=settings.maven_mirror
    ).class_path(name)
    return (str(java_executable()), "-Xmx512m", "-cp", os.pathsep.join(map(str, jars)))


def write_properties(file: Path, properties: Mapping[str, str]) -> None:
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


def start_kafka(start: Start, ports: list[int], folder: Path) -> tuple[int, int]:
    """Start Kafka; return the ports of its listeners for the network and for the host."""
    network, host, controller = ports[:3]
    # KAFKA_NAME_OF is name.of (Apache Kafka, documentation of the Docker image).
    properties = {
        name.removeprefix("KAFKA_").replace("_", ".").lower(): put(
            text_of(value),
            {
                "0.0.0.0": LOOPBACK,
                "//kafka:9092": f"//{LOOPBACK}:{network}",
                ":9092": f":{network}",
                ":29092": f":{host}",
                "localhost:9093": f"{LOOPBACK}:{controller}",
                "/tmp/kraft-combined-logs": folder / "kraft",
            },
        )
        for name, value in SERVICES["kafka"]["environment"].items()
        if name not in ("CLUSTER_ID", "KAFKA_HEAP_OPTS")
    }
    configuration = folder / "server.properties"
    write_properties(configuration, properties)
    cluster = SERVICES["kafka"]["environment"]["CLUSTER_ID"]
    tool = [*java("kafka"), "kafka.tools.StorageTool", "format", "--cluster-id", cluster]
    subprocess.run([*tool, "--config", str(configuration)], check=True, capture_output=True)
    start(*java("kafka"), "kafka.Kafka", str(configuration))
    return network, host


def brokers_of(admin: AdminClient) -> list[Any]:
    return list(admin.list_topics(timeout=2).brokers.values())


def test_kafka_answers_each_listener_with_the_address_that_its_clients_can_reach(
    start: Start, ports: list[int], tmp_path: Path
) -> None:
    for port in start_kafka(start, ports, tmp_path):
        admin = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{port}", "log_level": 0})
        brokers = wait_until(
            partial(brokers_of, admin), f"Kafka on {port}", deadline_seconds=120, ignore=(KafkaException,)
        )
        assert [broker.port for broker in brokers] == [port]


def test_connect_starts_with_the_properties_of_its_container(
    start: Start, ports: list[int], tmp_path: Path
) -> None:
    _, kafka = start_kafka(start, ports, tmp_path)
    # Debezium, container images, docker-entrypoint.sh of connect-base.
    named = {
        "BOOTSTRAP_SERVERS": "bootstrap.servers",
        "GROUP_ID": "group.id",
        "CONFIG_STORAGE_TOPIC": "config.storage.topic",
        "OFFSET_STORAGE_TOPIC": "offset.storage.topic",
        "STATUS_STORAGE_TOPIC": "status.storage.topic",
        "ADVERTISED_HOST_NAME": "rest.advertised.host.name",
        "OFFSET_FLUSH_INTERVAL_MS": "offset.flush.interval.ms",
    }
    environment = SERVICES["connect"]["environment"]
    converter = "org.apache.kafka.connect.json.JsonConverter"
    # The last one, because the jars here come without the scanner that the image has.
    properties = {
        "key.converter": converter,
        "value.converter": converter,
        "plugin.discovery": "service_load",
    }
    replacements = {"kafka:9092": f"{LOOPBACK}:{kafka}", "0.0.0.0:8083": f"{LOOPBACK}:{ports[3]}"}
    for name, value in environment.items():
        property_name = named.get(name, name.removeprefix("CONNECT_").replace("_", ".").lower())
        if name in named or name.startswith("CONNECT_"):
            properties[property_name] = put(text_of(value), replacements)
    configuration = tmp_path / "worker.properties"
    write_properties(configuration, properties)
    server = start(*java("connect"), "org.apache.kafka.connect.cli.ConnectDistributed", str(configuration))
    wait_for_health("connect", server, {":8083": f":{ports[3]}"}, tmp_path)


def test_the_s3_store_starts_with_the_command_of_its_container(
    start: Start, ports: list[int], tmp_path: Path
) -> None:
    service = SERVICES["minio"]
    by_name = dict(zip(_PORTS, ports, strict=True))
    program = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    assert program is not None
    (tmp_path / "data").mkdir()
    # Inside a container all ports are its own.
    listening = [f"-{name}={port}" for name, port in by_name.items() if "." in name]
    command = [
        put(part, {"0.0.0.0": LOOPBACK, "=9000": f"={by_name['s3']}", "/data": tmp_path / "data"})
        for part in service["command"]
    ]
    try:
        server = start(program, "-logtostderr", *command, *listening, **service["environment"])
        health = {":9000": f":{by_name['s3']}", ":8888": f":{by_name['filer.port']}"}
        wait_for_health("minio", server, health, tmp_path)
    finally:
        # It has no setting for where these are.
        for port in ports:
            for file in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                file.unlink()


def test_a_spark_worker_finds_its_master(start: Start, ports: list[int], tmp_path: Path) -> None:
    master, master_page, worker_page = ports[:3]
    replacements = {"spark-master": LOOPBACK, "7077": master, "8080": master_page, "8081": worker_page}
    home = Path(pyspark.__file__).parent
    opened = ("java.lang", "java.nio", "sun.nio.ch")
    flags = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in opened]
    for name in ("spark-master", "spark-worker"):
        _, main, *arguments = (put(part, replacements) for part in SERVICES[name]["command"])
        server = start(
            *(str(java_executable()), "-Xmx256m", *flags, "-cp", f"{home}/jars/*", main, *arguments),
            SPARK_LOCAL_IP=LOOPBACK,
            SPARK_HOME=str(home),
            SPARK_WORKER_DIR=str(tmp_path / "work"),
        )
        wait_for_health(name, server, replacements, tmp_path)
