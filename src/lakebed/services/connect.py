"""Kafka Connect, one distributed worker with Debezium and the Avro converter on its class path."""

from __future__ import annotations

import uuid
from contextlib import suppress
from urllib.parse import quote

from lakebed.config.endpoints import ConnectEndpoint
from lakebed.config.kafka_clients import java_security, java_settings
from lakebed.errors import StackFailed
from lakebed.provision.lock import locked_version
from lakebed.services.answers import answers_ok, found, request
from lakebed.services.compacted_topics import delete_key, last_values
from lakebed.services.container import Container, HealthCheck, variables
from lakebed.services.definition import LOOPBACK, Place, ResourceKind, Service
from lakebed.services.java_logging import log_flag, write_log_configuration
from lakebed.services.properties import write_properties
from lakebed.waiting import wait_until

GROUP = "lakebed-connect"
_CONFIGS, _OFFSETS, _STATUS = _SUFFIXES = ("-configs", "-offsets", "-status")
STORAGE_TOPICS = tuple(f"{GROUP}{suffix}" for suffix in _SUFFIXES)
_PATIENCE_SECONDS = 30.0
# Says which connectors and tasks start, stop and fail.
_WORKER = "org.apache.kafka.connect.runtime.Worker"


def _storage(place: Place) -> str:
    """Return how the names of the worker's topics begin: as no others where others use the same Kafka."""
    if "kafka" not in place.attached:
        return GROUP
    file = place.folder / "storage"
    if not file.exists():
        file.write_text(f"{GROUP}-{uuid.uuid4().hex[:12]}")
    return file.read_text()


def _storage_topics(place: Place) -> list[tuple[str, str]]:
    return [("topic", f"{_storage(place)}{suffix}") for suffix in _SUFFIXES]


def worker_properties(place: Place) -> dict[str, object]:
    """Return the worker's configuration: storage topics of one partition, no delay in rebalancing.

    Every start has a group of its own: in the old one a worker that was killed counts as a member until its
    session is over (`session.timeout.ms`, 10 s), and the new one waits for it. What connectors there are, and
    how far they have come, is in the storage topics.
    """
    converter = "org.apache.kafka.connect.json.JsonConverter"
    storage = _storage(place)
    kafka = place.endpoints.kafka
    replicas = -1 if "kafka" in place.attached else 1
    return {
        **{
            f"{client}.{name}": value
            for client in ("producer", "consumer", "admin")
            for name, value in java_security(kafka).items()
        },
        **java_settings(kafka),
        "group.id": f"{storage}-{uuid.uuid4().hex[:8]}",
        "key.converter": converter,
        "key.converter.schemas.enable": False,
        "value.converter": converter,
        "value.converter.schemas.enable": False,
        "config.storage.topic": f"{storage}{_CONFIGS}",
        "config.storage.replication.factor": replicas,
        "offset.storage.topic": f"{storage}{_OFFSETS}",
        "offset.storage.partitions": 1,
        "offset.storage.replication.factor": replicas,
        "offset.flush.interval.ms": 50,
        "status.storage.topic": f"{storage}{_STATUS}",
        "status.storage.partitions": 1,
        "status.storage.replication.factor": replicas,
        "listeners": f"http://{LOOPBACK}:{place.ports['connect']}",
        "rest.advertised.host.name": LOOPBACK,
        "plugin.discovery": "service_load",
        "scheduled.rebalance.max.delay.ms": 0,
        # A change is handed on at once; while Kafka takes it, those behind it become one large batch.
        "producer.linger.ms": 0,
        "producer.batch.size": 256 * 1024,
        "topic.creation.enable": True,
    }


def _configure(place: Place) -> None:
    configuration = place.folder / "worker.properties"
    # It may hold a password of Kafka's.
    configuration.touch(mode=0o600)
    write_properties(configuration, worker_properties(place))


def _prepare(place: Place) -> None:
    write_log_configuration(place.folder, "warn", {"io.debezium": "info", _WORKER: "info"})


def _command(place: Place) -> list[str]:
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    flags = [*place.java, log_flag(place.folder), "-cp", place.joined_class_path()]
    return [*flags, main, str(place.folder / "worker.properties")]


def _check(place: Place) -> None:
    answers_ok(place.endpoints.connect, "/health")


def _connectors(place: Place) -> dict[str, str]:
    return dict.fromkeys(found(place.endpoints.connect, "/connectors"), "")


def _remove_connector(place: Place, name: str) -> None:
    """Delete a connector and return when its tasks have ended: until then they write topics and offsets.

    The leader deletes the status last, when the tasks have been stopped (Kafka, `DistributedHerder`,
    `updateDeletedConnectorStatus`).
    """
    path = f"/connectors/{quote(name, safe='')}"
    where = place.endpoints.connect
    if place.is_attached:
        _forget_offsets(where, path, name)

    def accepted() -> bool:
        try:
            request("DELETE", where, path)
        except StackFailed as error:
            # The workers are just rebalancing (Kafka documentation, "REST API").
            if not error.seen.startswith("HTTP 409"):
                raise
            return False
        return True

    wait_until(
        accepted,
        f"Connect to delete connector {name!r}",
        deadline_seconds=_PATIENCE_SECONDS,
        remedy="`lakebed logs connect` shows what the worker says",
    )
    wait_until(
        lambda: request("GET", where, f"{path}/status") is None,
        f"the tasks of connector {name!r} to end",
        deadline_seconds=_PATIENCE_SECONDS,
        longest_pause_seconds=0.02,
        remedy="`lakebed logs connect` shows what the worker says",
    )


def _has_connector(place: Place, name: str) -> bool:
    return request("GET", place.endpoints.connect, f"/connectors/{quote(name, safe='')}") is not None


def _forget_offsets(where: ConnectEndpoint, path: str, name: str) -> None:
    """Delete the offsets of a connector through Connect: nobody else's topics are written to (KIP-875).

    A worker before Kafka 3.6 cannot, and keeps them.
    """

    def is_stopped() -> bool:
        status = found(where, f"{path}/status")
        return bool(status["connector"]["state"] == "STOPPED" and not status["tasks"])

    with suppress(StackFailed):
        if request("PUT", where, f"{path}/stop") is not None:
            wait_until(is_stopped, f"connector {name!r} to be stopped", deadline_seconds=_PATIENCE_SECONDS)
            request("DELETE", where, f"{path}/offsets")


def _offsets(place: Place) -> dict[str, str]:
    """Return the keys of the source offsets, JSON such as `["orders",{"server":"shop"}]`."""
    live = last_values(place.endpoints.kafka, f"{_storage(place)}{_OFFSETS}")
    return {key.decode(): "" for key in live}


def _remove_offset(place: Place, key: str) -> None:
    """Delete a source offset: a connector of that name would go on there, instead of with a snapshot."""
    delete_key(place.endpoints.kafka, f"{_storage(place)}{_OFFSETS}", key.encode())


CONNECT = Service(
    name="connect",
    title="Kafka Connect with Debezium",
    needs=("kafka",),
    ports={"connect": 8083},
    memory_mb=360,
    jars="connect",
    heap_mb=384,
    prepare=_prepare,
    configure=_configure,
    command=_command,
    check=_check,
    resources=(
        ResourceKind("connector", _remove_connector, _connectors, exists=_has_connector),
        ResourceKind("connector-offset", _remove_offset, _offsets),
    ),
    other_names=("debezium", "kafka-connect"),
    things_elsewhere=_storage_topics,
    container=Container(
        service="connect",
        image=f"quay.io/debezium/connect:{locked_version('io.debezium:debezium-connector-postgres')}",
        port=8083,
        host_port=8083,
        # Names without a prefix are read by the image's start script, which sets the worker's properties of
        # that meaning itself; it hands on any other property as CONNECT_NAME (Debezium, container images).
        environment=variables(
            {
                "BOOTSTRAP_SERVERS": "kafka:9092",
                "GROUP_ID": GROUP,
                "CONFIG_STORAGE_TOPIC": f"{GROUP}{_CONFIGS}",
                "OFFSET_STORAGE_TOPIC": f"{GROUP}{_OFFSETS}",
                "STATUS_STORAGE_TOPIC": f"{GROUP}{_STATUS}",
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
