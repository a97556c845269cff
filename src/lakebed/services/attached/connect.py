"""A Kafka Connect of somebody else's: is it one, of this Kafka, with the plugins that connectors need."""

from __future__ import annotations

from urllib.parse import urlsplit

from lakebed.config.endpoints import ConnectEndpoint
from lakebed.services.answers import found, request
from lakebed.services.attached.definition import AttachedService, Missing
from lakebed.services.attached.kafka import metadata
from lakebed.services.attached.probing import wrong
from lakebed.services.attached.questions import json_of
from lakebed.services.definition import Place
from lakebed.services.schema_registry import converter_settings

_NAME = "connect"
_DEBEZIUM = "io.debezium.connector.postgresql.PostgresConnector"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def _examine(place: Place) -> None:
    endpoint = place.endpoints.connect
    content = json_of(_NAME, endpoint, "/")
    if not isinstance(content, dict) or "kafka_cluster_id" not in content:
        raise wrong(_NAME, endpoint, f"GET / answered JSON without kafka_cluster_id: {str(content)[:80]}")
    kafka = place.attached.kafka
    if kafka is not None:
        of_kafka = metadata(kafka).cluster_id
        if of_kafka != content["kafka_cluster_id"]:
            raise wrong(
                _NAME,
                endpoint,
                f"a worker of the Kafka cluster {content['kafka_cluster_id']};"
                f" attach.kafka is the cluster {of_kafka}",
                "attach a Connect and a Kafka that belong together",
            )


def _missing(place: Place) -> list[Missing]:
    endpoint = place.endpoints.connect
    plugins = {one["class"] for one in found(endpoint, "/connector-plugins")}
    missing: list[Missing] = []
    if _DEBEZIUM not in plugins:
        missing.append(_without(_DEBEZIUM))
    elif place.attached.schema_registry is not None:
        converter = converter_settings(place.attached.schema_registry)[""]
        if not _has_converter(endpoint, converter):
            missing.append(_without(converter))
    far = urlsplit(endpoint.url).hostname not in _LOOPBACK_NAMES
    missing += [
        Missing(
            f"it is on another machine, and {service} is one that lakebed starts on the loopback of this one",
            f"set attach.{service} too",
        )
        for service in ("postgres", "schema-registry")
        if far and service not in place.attached and service in place.endpoints
    ]
    return missing


def _without(plugin: str) -> Missing:
    return Missing(
        f"it has no plugin {plugin}",
        "put its jars into a folder of the worker's plugin.path, and restart the workers",
    )


def _has_converter(endpoint: ConnectEndpoint, converter: str) -> bool:
    """Whether Connect finds a converter; not all that it finds does it list."""
    path = f"/connector-plugins/{_DEBEZIUM.rpartition('.')[2]}/config/validate"
    config = {"name": "lakebed-preflight", "connector.class": _DEBEZIUM, "value.converter": converter}
    answer = request("PUT", endpoint, path, json=config)
    values = [] if answer is None else [one["value"] for one in answer.json()["configs"]]
    errors = [error for value in values if value["name"] == "value.converter" for error in value["errors"]]
    return not any(converter in error for error in errors)


CONNECT_ELSEWHERE = AttachedService(_examine, _missing)
