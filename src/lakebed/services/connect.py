"""Kafka Connect: a distributed worker with Debezium and the Avro converter on its class path, or several."""

from __future__ import annotations

import uuid
from dataclasses import replace

from lakebed.config.kafka_clients import java_security, java_settings
from lakebed.provision.lock import locked_version
from lakebed.services.answers import answers_ok
from lakebed.services.connect_resources import RESOURCES
from lakebed.services.connect_storage import CONFIGS, GROUP, OFFSETS, STATUS, storage_of, storage_topics
from lakebed.services.container import Container, HealthCheck, variables
from lakebed.services.definition import LOOPBACK, Place, Service
from lakebed.services.endpoints import WORKERS
from lakebed.services.java_logging import log_flag, write_log_configuration
from lakebed.services.properties import write_properties

# Says which connectors and tasks start, stop and fail.
_WORKER = "org.apache.kafka.connect.runtime.Worker"


def _group(place: Place) -> dict[str, object]:
    """Return the group of the workers.

    Every start of a single worker has one of its own: in the old one a worker that was killed counts as a
    member until its session is over, and the new one waits for it. What connectors there are, and how far
    they have come, is in the storage topics. Several workers have one in common: in it they see which of
    them has died, and carry on its connectors.
    """
    storage = storage_of(place)
    if not any(name in place.stack_ports for name in WORKERS[1:]):
        return {"group.id": f"{storage}-{uuid.uuid4().hex[:8]}"}
    # The shortest session that a broker allows unless it is told otherwise (`group.min.session.timeout.ms`).
    sooner = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}
    return {"group.id": storage, **({} if "kafka" in place.attached else sooner)}


def worker_properties(place: Place, name: str = "connect") -> dict[str, object]:
    """Return a worker's configuration: storage topics of one partition, no delay in rebalancing."""
    converter = "org.apache.kafka.connect.json.JsonConverter"
    storage = storage_of(place)
    kafka = place.endpoints.kafka
    # As many as the cluster's own topics have.
    replicas = -1
    return {
        **{
            f"{client}.{name}": value
            for client in ("producer", "consumer", "admin")
            for name, value in java_security(kafka).items()
        },
        **java_settings(kafka),
        **_group(place),
        "key.converter": converter,
        "key.converter.schemas.enable": False,
        "value.converter": converter,
        "value.converter.schemas.enable": False,
        "config.storage.topic": f"{storage}{CONFIGS}",
        "config.storage.replication.factor": replicas,
        "offset.storage.topic": f"{storage}{OFFSETS}",
        "offset.storage.partitions": 1,
        "offset.storage.replication.factor": replicas,
        "offset.flush.interval.ms": 50,
        "status.storage.topic": f"{storage}{STATUS}",
        "status.storage.partitions": 1,
        "status.storage.replication.factor": replicas,
        "listeners": f"http://{LOOPBACK}:{place.ports[name]}",
        "rest.advertised.host.name": LOOPBACK,
        "plugin.discovery": "service_load",
        "scheduled.rebalance.max.delay.ms": 0,
        # A change is handed on at once; while Kafka takes it, those behind it become one large batch.
        "producer.linger.ms": 0,
        "producer.batch.size": 256 * 1024,
        "topic.creation.enable": True,
    }


def _configure(place: Place, name: str) -> None:
    configuration = place.folder / "worker.properties"
    # It may hold a password of Kafka's.
    configuration.touch(mode=0o600)
    write_properties(configuration, worker_properties(place, name))


def _prepare(place: Place) -> None:
    write_log_configuration(place.folder, "warn", {"io.debezium": "info", _WORKER: "info"})


def _command(place: Place) -> list[str]:
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    flags = [*place.java, log_flag(place.folder), "-cp", place.joined_class_path()]
    return [*flags, main, str(place.folder / "worker.properties")]


def _check(place: Place, name: str) -> None:
    answers_ok(place.ports[name], "/health")


def _worker(name: str, port: int) -> Service:
    return Service(
        name=name,
        title="Kafka Connect with Debezium",
        needs=("kafka",),
        ports={name: port},
        memory_mb=360,
        jars="connect",
        heap_mb=384,
        prepare=_prepare,
        configure=lambda place: _configure(place, name),
        command=_command,
        check=lambda place: _check(place, name),
        things_elsewhere=storage_topics,
    )


CONNECT = replace(
    _worker("connect", 8083),
    resources=RESOURCES,
    # A slot is in use, and a topic is made again, for as long as its connector runs.
    resources_use=("postgres", "mariadb", "kafka", "schema-registry"),
    other_names=("debezium", "kafka-connect"),
    container=Container(
        service="connect",
        image="quay.io/debezium/connect:"
        + locked_version("io.debezium:debezium-connector-postgres", "connect"),
        port=8083,
        host_port=8083,
        # Names without a prefix are read by the image's start script, which sets the worker's properties of
        # that meaning itself; it hands on any other property as CONNECT_NAME (Debezium, container images).
        environment=variables(
            {
                "BOOTSTRAP_SERVERS": "kafka:9092",
                "GROUP_ID": GROUP,
                "CONFIG_STORAGE_TOPIC": f"{GROUP}{CONFIGS}",
                "OFFSET_STORAGE_TOPIC": f"{GROUP}{OFFSETS}",
                "STATUS_STORAGE_TOPIC": f"{GROUP}{STATUS}",
                "ADVERTISED_HOST_NAME": "connect",
                "OFFSET_FLUSH_INTERVAL_MS": 50,
                "ENABLE_APICURIO_CONVERTERS": True,
                "HEAP_OPTS": "-Xmx512m",
                "CONNECT_LISTENERS": "http://0.0.0.0:8083",
                "CONNECT_KEY_CONVERTER_SCHEMAS_ENABLE": False,
                "CONNECT_VALUE_CONVERTER_SCHEMAS_ENABLE": False,
                "CONNECT_CONFIG_STORAGE_REPLICATION_FACTOR": 1,
                "CONNECT_OFFSET_STORAGE_PARTITIONS": 1,
                "CONNECT_OFFSET_STORAGE_REPLICATION_FACTOR": 1,
                "CONNECT_STATUS_STORAGE_PARTITIONS": 1,
                "CONNECT_STATUS_STORAGE_REPLICATION_FACTOR": 1,
                "CONNECT_SCHEDULED_REBALANCE_MAX_DELAY_MS": 0,
            }
        ),
        healthcheck=HealthCheck(("CMD", "curl", "-f", "http://127.0.0.1:8083/health")),
        needs=("kafka",),
        profile="cdc",
        container_name="cdc-connect",
    ),
)

FURTHER_WORKERS = tuple(
    replace(_worker(name, 8083 + number), started_with=("connect",), same_program_as="connect")
    for number, name in enumerate(WORKERS[1:], 1)
)
"""Two more; with each of them there is the first one."""
