"""Kafka Connect, one distributed worker with Debezium and the Avro converter on its class path."""

from __future__ import annotations

from lakebed.services.answers import answers_ok
from lakebed.services.definition import LOOPBACK, Place, Service
from lakebed.services.java_logging import log_flag, write_log_configuration
from lakebed.services.properties import write_properties

GROUP = "lakebed-connect"
# Says which connectors and tasks start, stop and fail.
_WORKER = "org.apache.kafka.connect.runtime.Worker"


def worker_properties(place: Place) -> dict[str, object]:
    """Return the worker's configuration: storage topics of one partition, no delay in rebalancing."""
    converter = "org.apache.kafka.connect.json.JsonConverter"
    return {
        "bootstrap.servers": f"{LOOPBACK}:{place.port_of('kafka', 'kafka')}",
        "group.id": GROUP,
        "key.converter": converter,
        "key.converter.schemas.enable": False,
        "value.converter": converter,
        "value.converter.schemas.enable": False,
        "config.storage.topic": f"{GROUP}-configs",
        "config.storage.replication.factor": 1,
        "offset.storage.topic": f"{GROUP}-offsets",
        "offset.storage.partitions": 1,
        "offset.storage.replication.factor": 1,
        "offset.flush.interval.ms": 500,
        "status.storage.topic": f"{GROUP}-status",
        "status.storage.partitions": 1,
        "status.storage.replication.factor": 1,
        "listeners": f"http://{LOOPBACK}:{place.ports['connect']}",
        "rest.advertised.host.name": LOOPBACK,
        "plugin.discovery": "service_load",
        "scheduled.rebalance.max.delay.ms": 0,
        "topic.creation.enable": True,
    }


def _prepare(place: Place) -> None:
    write_properties(place.folder / "worker.properties", worker_properties(place))
    write_log_configuration(place.folder, "warn", {"io.debezium": "info", _WORKER: "info"})


def _command(place: Place) -> list[str]:
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    flags = [*place.java, log_flag(place.folder), "-cp", place.joined_class_path()]
    return [*flags, main, str(place.folder / "worker.properties")]


def _check(place: Place) -> None:
    answers_ok(place.ports["connect"], "/health")


CONNECT = Service(
    name="connect",
    title="Kafka Connect with Debezium",
    needs=("kafka",),
    ports={"connect": 8083},
    memory_mb=360,
    jars="connect",
    heap_mb=384,
    prepare=_prepare,
    command=_command,
    check=_check,
    other_names=("debezium", "kafka-connect"),
)
