"""Kafka: one process that is broker and KRaft controller."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from lakebed.config.kafka_clients import client_settings
from lakebed.errors import ServiceFailed
from lakebed.provision.lock import locked_version
from lakebed.provision.template import template_folder
from lakebed.services.connect import STORAGE_TOPICS
from lakebed.services.consumer_groups import delete_group, groups
from lakebed.services.container import Container, HealthCheck, Value
from lakebed.services.definition import LOOPBACK, Place, ResourceKind, Service
from lakebed.services.java_logging import log_flag, write_log_configuration
from lakebed.services.properties import write_properties
from lakebed.services.topics import admin_client, delete_topics, topics_with_prefix

# Any 16 bytes in base64; the same one for all, so that a formatted data directory can be a template.
CLUSTER_ID = "bGFrZWJlZC1jbHVzdGVyIQ"

_OWN_TOPICS = frozenset(("__consumer_offsets", "__transaction_state", "__share_group_state", *STORAGE_TOPICS))
# Debezium documentation, PostgreSQL connector, `topic.heartbeat.prefix`.
HEARTBEATS = "__debezium-heartbeat"


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
        # A single controller has nothing to wait for before it writes that a topic is made or deleted.
        "controller.quorum.append.linger.ms": 0,
        "auto.create.topics.enable": True,
        "delete.topic.enable": True,
        # A broker that was killed may register again only when its last session is over: 9 s by default.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
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
    try:
        shutil.copytree(template_folder(place.cache, f"{version}-{CLUSTER_ID}", make), log_folder)
    except OSError:
        # Where nothing can be kept, it is formatted at every start.
        shutil.rmtree(log_folder, ignore_errors=True)
        log_folder.mkdir()
        make(log_folder)
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

    admin = AdminClient({**client_settings(place.endpoints.kafka), "log_level": 0})
    if not admin.list_topics(timeout=5).brokers:
        raise ConnectionError("no broker in the cluster's metadata")


def _topics(place: Place) -> dict[str, str]:
    names = topics_with_prefix(admin_client(place.endpoints.kafka), "")
    return dict.fromkeys((name for name in names if name not in _OWN_TOPICS), "")


def _remove_topic(place: Place, name: str) -> None:
    delete_topics(admin_client(place.endpoints.kafka), [name])


def _remove_topic_prefix(place: Place, prefix: str) -> None:
    admin = admin_client(place.endpoints.kafka)
    names = topics_with_prefix(admin, f"{prefix}.")
    delete_topics(admin, [*names, f"{HEARTBEATS}.{prefix}"])


def _groups(place: Place) -> dict[str, str]:
    return dict.fromkeys(groups(admin_client(place.endpoints.kafka)), "")


def _is_plain(place: Place) -> bool:
    return place.endpoints.kafka.security_protocol == "PLAINTEXT"


def _remove_group(place: Place, name: str) -> None:
    delete_group(admin_client(place.endpoints.kafka), name, plain=_is_plain(place))


def _has_topic(place: Place, name: str) -> bool:
    return name in topics_with_prefix(admin_client(place.endpoints.kafka), name)


def _has_topic_prefix(place: Place, prefix: str) -> bool:
    admin = admin_client(place.endpoints.kafka)
    return bool(topics_with_prefix(admin, f"{prefix}.")) or _has_topic(place, f"{HEARTBEATS}.{prefix}")


def _has_group(place: Place, name: str) -> bool:
    return name in groups(admin_client(place.endpoints.kafka))


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
        "KAFKA_LOG_DIRS": "/tmp/kraft-combined-logs",
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
    resources=(
        ResourceKind("topic-prefix", _remove_topic_prefix, exists=_has_topic_prefix),
        ResourceKind("consumer-group", _remove_group, _groups, exists=_has_group),
        ResourceKind("topic", _remove_topic, _topics, exists=_has_topic),
    ),
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
