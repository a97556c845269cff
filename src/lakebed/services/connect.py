"""Kafka Connect, one distributed worker with Debezium and the Avro converter on its class path."""

from __future__ import annotations

import uuid
from urllib.parse import quote

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
_CONFIGS, _OFFSETS, _STATUS = f"{GROUP}-configs", f"{GROUP}-offsets", f"{GROUP}-status"
STORAGE_TOPICS = (_CONFIGS, _OFFSETS, _STATUS)
_PATIENCE_SECONDS = 30.0
# Says which connectors and tasks start, stop and fail.
_WORKER = "org.apache.kafka.connect.runtime.Worker"


def worker_properties(place: Place) -> dict[str, object]:
    """Return the worker's configuration: storage topics of one partition, no delay in rebalancing.

    Every start has a group of its own: in the old one a worker that was killed counts as a member until its
    session is over (`session.timeout.ms`, 10 s), and the new one waits for it. What connectors there are, and
    how far they have come, is in the storage topics.
    """
    converter = "org.apache.kafka.connect.json.JsonConverter"
    return {
        "bootstrap.servers": f"{LOOPBACK}:{place.port_of('kafka', 'kafka')}",
        "group.id": f"{GROUP}-{uuid.uuid4().hex[:8]}",
        "key.converter": converter,
        "key.converter.schemas.enable": False,
        "value.converter": converter,
        "value.converter.schemas.enable": False,
        "config.storage.topic": _CONFIGS,
        "config.storage.replication.factor": 1,
        "offset.storage.topic": _OFFSETS,
        "offset.storage.partitions": 1,
        "offset.storage.replication.factor": 1,
        "offset.flush.interval.ms": 50,
        "status.storage.topic": _STATUS,
        "status.storage.partitions": 1,
        "status.storage.replication.factor": 1,
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
    write_properties(place.folder / "worker.properties", worker_properties(place))


def _prepare(place: Place) -> None:
    write_log_configuration(place.folder, "warn", {"io.debezium": "info", _WORKER: "info"})


def _command(place: Place) -> list[str]:
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    flags = [*place.java, log_flag(place.folder), "-cp", place.joined_class_path()]
    return [*flags, main, str(place.folder / "worker.properties")]


def _check(place: Place) -> None:
    answers_ok(place.ports["connect"], "/health")


def _connectors(place: Place) -> dict[str, str]:
    return dict.fromkeys(found(place.ports["connect"], "/connectors"), "")


def _remove_connector(place: Place, name: str) -> None:
    """Delete a connector and return when its tasks have ended: until then they write topics and offsets.

    The leader deletes the status last, when the tasks have been stopped (Kafka, `DistributedHerder`,
    `updateDeletedConnectorStatus`).
    """
    path = f"/connectors/{quote(name, safe='')}"
    port = place.ports["connect"]

    def accepted() -> bool:
        try:
            request("DELETE", port, path)
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
        lambda: request("GET", port, f"{path}/status") is None,
        f"the tasks of connector {name!r} to end",
        deadline_seconds=_PATIENCE_SECONDS,
        longest_pause_seconds=0.02,
        remedy="`lakebed logs connect` shows what the worker says",
    )


def _offsets(place: Place) -> dict[str, str]:
    """Return the keys of the source offsets, JSON such as `["orders",{"server":"shop"}]`."""
    live = last_values(place.port_of("kafka", "kafka"), _OFFSETS)
    return {key.decode(): "" for key in live}


def _remove_offset(place: Place, key: str) -> None:
    """Delete a source offset: a connector of that name would go on there, instead of with a snapshot."""
    delete_key(place.port_of("kafka", "kafka"), _OFFSETS, key.encode())


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
        ResourceKind("connector", _remove_connector, _connectors),
        ResourceKind("connector-offset", _remove_offset, _offsets),
    ),
    other_names=("debezium", "kafka-connect"),
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
                "CONFIG_STORAGE_TOPIC": _CONFIGS,
                "OFFSET_STORAGE_TOPIC": _OFFSETS,
                "STATUS_STORAGE_TOPIC": _STATUS,
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
