"""Kafka: one process that is broker and KRaft controller."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from lakebed.errors import ServiceFailed
from lakebed.provision.template import template_folder
from lakebed.services.definition import LOOPBACK, Place, Service
from lakebed.services.java_logging import log_flag, write_log_configuration
from lakebed.services.properties import write_properties

# Any 16 bytes in base64; the same one for all, so that a formatted data directory can be a template.
CLUSTER_ID = "bGFrZWJlZC1jbHVzdGVyIQ"


def server_properties(place: Place, log_folder: Path) -> dict[str, object]:
    """Return the broker's configuration: one node, one replica, no waiting for group members."""
    broker, controller = place.ports["kafka"], place.ports["controller"]
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{broker},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": log_folder,
        "num.partitions": 1,
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        "auto.create.topics.enable": True,
        "delete.topic.enable": True,
        # A deleted topic's files go at once; a hundred tests make many topics.
        "log.segment.delete.delay.ms": 0,
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "num.recovery.threads.per.data.dir": 1,
    }


def _run_storage_tool(place: Place, configuration: Path) -> None:
    command = [*place.java, "-cp", place.joined_class_path(), "kafka.tools.StorageTool", "format"]
    command += ["--cluster-id", CLUSTER_ID, "--config", str(configuration)]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode != 0:
        raise ServiceFailed(
            "format Kafka's data directory (StorageTool)",
            f"exit code {finished.returncode}\n{finished.stdout}{finished.stderr}".rstrip(),
            "run `lakebed doctor`; it checks Java, disk and the downloaded files",
        )


def _prepare(place: Place) -> None:
    log_folder = place.folder / "log"
    configuration = place.folder / "server.properties"

    def make(folder: Path) -> None:
        write_properties(configuration, server_properties(place, folder))
        _run_storage_tool(place, configuration)

    version = next(jar.stem for jar in place.class_path if jar.name.startswith("kafka-server-common"))
    formatted = template_folder(place.cache, f"{version}-{CLUSTER_ID}", make)
    shutil.copytree(formatted, log_folder)
    write_properties(configuration, server_properties(place, log_folder))
    write_log_configuration(place.folder, "warn")


def _command(place: Place) -> list[str]:
    configuration = str(place.folder / "server.properties")
    return [
        *place.java,
        log_flag(place.folder),
        "-cp",
        place.joined_class_path(),
        "kafka.Kafka",
        configuration,
    ]


def _check(place: Place) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{place.ports['kafka']}", "log_level": 0})
    if not admin.list_topics(timeout=5).brokers:
        raise ConnectionError("no broker in the cluster's metadata")


KAFKA = Service(
    name="kafka",
    title="Apache Kafka (KRaft)",
    ports={"kafka": 29092, "controller": None},
    memory_mb=330,
    jars="kafka",
    heap_mb=256,
    prepare=_prepare,
    command=_command,
    check=_check,
)
