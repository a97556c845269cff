"""Kafka: one process that is broker and KRaft controller; or three, each both, which are one quorum.

How many there are, the ports of the stack say: all are given theirs before the first one is prepared.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lakebed.errors import ServiceFailed
from lakebed.provision.lock import locked_version
from lakebed.provision.template import template_folder
from lakebed.services.container import Container, HealthCheck, Value
from lakebed.services.definition import LOOPBACK, Place, Service
from lakebed.services.endpoints import BROKERS
from lakebed.services.java_logging import log_flag, write_log_configuration
from lakebed.services.kafka_resources import RESOURCES
from lakebed.services.properties import write_properties
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    from confluent_kafka.admin._metadata import ClusterMetadata

# Any 16 bytes in base64; the same one for all, so that a formatted data directory can be a template.
CLUSTER_ID = "bGFrZWJlZC1jbHVzdGVyIQ"

_CATCH_UP_SECONDS = 60.0


# A stack ends its brokers at the same time: the last of them would ask a quorum that is gone whether it may
# (Kafka, `BrokerServer.shutdown`).
_OF_SEVERAL = {"controlled.shutdown.enable": False}


def nodes_of(place: Place) -> dict[str, int]:
    """Return the brokers of the stack's cluster by name, each with its node id."""
    return {name: number for number, name in enumerate(BROKERS, 1) if name in place.stack_ports}


def server_properties(place: Place, log_folder: Path, name: str = "kafka") -> dict[str, object]:
    """Return a broker's configuration: a replica on each, no waiting for group members."""
    broker, controller = place.ports[name], place.ports["controller"]
    nodes = nodes_of(place)
    replicas, in_sync = len(nodes), len(nodes) // 2 + 1
    voters = (f"{node}@{LOOPBACK}:{place.stack_ports[one]['controller']}" for one, node in nodes.items())
    return {
        "process.roles": "broker,controller",
        "node.id": nodes[name],
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{broker},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": log_folder,
        "num.partitions": 1,
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": 0,
        # A single controller has nothing to wait for before it writes that a topic is made or deleted.
        "controller.quorum.append.linger.ms": 0,
        "auto.create.topics.enable": True,
        "delete.topic.enable": True,
        # A broker that was killed may register again only when its last session is over: 9 s by default.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # A deleted topic's files go soon; a hundred tests make many topics. With 0 the broker would look for
        # some without a pause, a thousand times a second (Kafka's source, `LogManager.deleteLogs`).
        "log.segment.delete.delay.ms": 500,
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "num.recovery.threads.per.data.dir": 1,
        **(_OF_SEVERAL if replicas > 1 else {}),
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


def _prepare(place: Place, name: str) -> None:
    log_folder = place.folder / "log"
    configuration = place.folder / "server.properties"

    def make(folder: Path) -> None:
        write_properties(configuration, server_properties(place, folder, name))
        _run_storage_tool(place, configuration)

    version = next(jar.stem for jar in place.class_path if jar.name.startswith("kafka-server-common"))
    # The node's id is in it.
    node = nodes_of(place)[name]
    template = f"{version}-{CLUSTER_ID}" + (f"-{node}" if node > 1 else "")
    try:
        shutil.copytree(template_folder(place.cache, template, make), log_folder)
    except OSError:
        # Where nothing can be kept, it is formatted at every start.
        shutil.rmtree(log_folder, ignore_errors=True)
        log_folder.mkdir()
        make(log_folder)
    write_properties(configuration, server_properties(place, log_folder, name))
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


def _metadata_from(place: Place, name: str) -> ClusterMetadata:
    """Return what one broker says of the cluster; the others may not be there yet, or no more."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{place.ports[name]}", "log_level": 0})
    return admin.list_topics(timeout=5)


def _check(place: Place, name: str) -> None:
    if nodes_of(place)[name] not in _metadata_from(place, name).brokers:
        raise ConnectionError("the broker is not in the cluster's metadata")


def _complete(place: Place, name: str) -> None:
    """Wait until a broker that was killed has all that was written meanwhile: until then no other may go."""
    nodes = nodes_of(place)
    if len(nodes) == 1:
        return
    node = nodes[name]

    def behind() -> list[str]:
        return [
            f"{topic.topic}-{one.id}"
            for topic in _metadata_from(place, name).topics.values()
            for one in topic.partitions.values()
            if node in one.replicas and node not in one.isrs and one.leader >= 0
        ]

    wait_until(
        lambda: not behind(),
        f"{name} to have caught up with the other brokers",
        deadline_seconds=_CATCH_UP_SECONDS,
        explain=lambda: f"still behind: {', '.join(behind())}",
        remedy=f"`lakebed logs {name}` shows what it says",
    )


def _container_environment(host_port: int | None) -> dict[str, Value]:
    """Return the broker's variables: containers find it as kafka:9092, the host as 127.0.0.1:`host_port`."""
    return {
        "CLUSTER_ID": CLUSTER_ID,
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_NODE_ID": 1,
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9092,HOST://0.0.0.0:29092,CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://kafka:9092,HOST://{LOOPBACK}:{host_port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,HOST:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_LOG_DIRS": "/tmp/kraft-combined-logs",  # noqa: S108  inside of the container
        "KAFKA_NUM_PARTITIONS": 1,
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": 1,
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": 1,
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": 1,
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": 1,
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": 1,
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": 1,
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": 0,
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": True,
        "KAFKA_HEAP_OPTS": "-Xmx512m",
    }


def _ends_abruptly(place: Place) -> bool:
    """The leader of the quorum would wait 5 s for a successor (Kafka, `KafkaRaftClient`, graceful shutdown).

    Only a JVM that ends in order leaves class data behind; that is worth the wait, once.
    """
    leaves_class_data = any(flag.startswith("-XX:ArchiveClassesAtExit") for flag in place.java)
    return len(nodes_of(place)) > 1 and not leaves_class_data


def _broker(name: str, port: int) -> Service:
    return Service(
        name=name,
        title="Apache Kafka (KRaft)",
        ports={name: port, "controller": None},
        memory_mb=330,
        jars="kafka",
        heap_mb=256,
        prepare=lambda place: _prepare(place, name),
        command=_command,
        check=lambda place: _check(place, name),
        complete=lambda place: _complete(place, name),
        ends_abruptly=_ends_abruptly,
    )


def _further_broker(name: str, port: int) -> Service:
    others = tuple(one for one in BROKERS if one != name)
    return replace(_broker(name, port), started_with=others, same_program_as="kafka")


KAFKA = replace(
    _broker("kafka", 29092),
    resources=RESOURCES,
    container=Container(
        service="kafka",
        image=f"apache/kafka:{locked_version('org.apache.kafka:kafka-server')}",
        port=29092,
        host_port=29092,
        environment=_container_environment,
        healthcheck=HealthCheck(
            ("CMD", "/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "localhost:9092", "--list")
        ),
        profile="cdc",
        container_name="cdc-kafka",
    ),
)

FURTHER_BROKERS = tuple(_further_broker(name, 29092 + number) for number, name in enumerate(BROKERS[1:], 1))
"""Two more: three can lose any one of them."""
