"""The semantic check: each rule finds a file that breaks it, and says where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lakebed.compose.render import Options, render
from lakebed.compose.semantic import problems_of

Services = dict[str, dict[str, Any]]


def without(service: str, key: str) -> Callable[[Services], object]:
    return lambda services: services[service].pop(key)


def with_variable(service: str, name: str, value: object) -> Callable[[Services], object]:
    return lambda services: services[service]["environment"].update({name: value})


BROKEN: list[tuple[Callable[[Services], object], str]] = [
    (without("minio", "healthcheck"), "minio has no test, interval, timeout, retries in its healthcheck"),
    (lambda services: services["kafka"]["healthcheck"].update(test=["NONE"]), "which asks nothing"),
    (lambda services: services.pop("minio"), "iceberg-rest depends on minio, which is not in the file"),
    (
        lambda services: services["connect"]["depends_on"]["kafka"].update(condition="service_started"),
        "connect does not wait until kafka is healthy",
    ),
    (
        lambda services: services["kafka"].update(depends_on={"connect": {"condition": "service_healthy"}}),
        "kafka depends on connect, which does not stand before it",
    ),
    (
        lambda services: services["kafka"].update(profiles=["cdc"]),
        "connect can start without a profile of kafka",
    ),
    (
        lambda services: services["connect"]["environment"].update(BOOTSTRAP_SERVERS="minio:9000"),
        "connect names minio in BOOTSTRAP_SERVERS, but does not depend on it",
    ),
    (without("spark-worker", "depends_on"), "spark-worker names spark-master in command"),
    (
        lambda services: services["iceberg-rest"]["environment"].pop("CATALOG_IO__IMPL"),
        "iceberg-rest has no CATALOG_IO__IMPL",
    ),
    (
        with_variable("iceberg-rest", "CATALOG_S3_PATH__STYLE__ACCESS", "true"),
        "CATALOG_S3_PATH__STYLE__ACCESS",
    ),
    (with_variable("iceberg-rest", "CATALOG_WAREHOUSE", "warehouse"), "CATALOG_WAREHOUSE"),
    (with_variable("schema-registry", "SCHEMA_REGISTRY_DEBUG", "no"), "SCHEMA_REGISTRY_DEBUG"),
    (
        with_variable("schema-registry", "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR", "1"),
        "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR",
    ),
    (
        with_variable("schema-registry", "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR", True),
        "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR",
    ),
    (
        with_variable("schema-registry", "SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL", "SOMETIMES"),
        "SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL",
    ),
    (
        lambda services: services["kafka"].update(ports=["127.0.0.1:8081:29092"]),
        "both kafka and schema-registry",
    ),
    (lambda services: services["kafka"].update(ports=["29092:29092"]), "on more than 127.0.0.1"),
    (lambda services: services["kafka"].update(ports=["29092"]), "allowed: [HOST:]PORT:PORT"),
    (lambda services: services["kafka"].update(ports=["127.0.0.1:70000:29092"]), "not from 1 to 65535"),
    (lambda services: services["kafka"].update(container_name="cdc-minio"), "the container name cdc-minio"),
    (without("kafka", "networks"), "kafka is not on cdc-network"),
    (without("kafka", "image"), "kafka has the image None"),
]


@pytest.mark.parametrize(("breaks", "said"), BROKEN, ids=[said for _, said in BROKEN])
def test_a_broken_file_is_found(breaks: Callable[[Services], object], said: str) -> None:
    document = render()
    breaks(document["services"])
    assert said in "; ".join(problems_of(document))


def test_a_file_without_the_network_is_found() -> None:
    assert "the file has no network cdc-network" in problems_of({**render(), "networks": {}})


def test_a_profile_that_starts_all_it_needs_is_fine() -> None:
    document = render(options=Options(profiles=("cdc", "registry")))
    assert document["services"]["kafka"]["profiles"] == ["cdc", "registry"]
    assert problems_of(document) == []
