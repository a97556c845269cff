"""The setting `attach`: how addresses are written, what is refused, and that no secret is shown."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lakebed.config.attach import Attach
from lakebed.config.endpoints import KafkaEndpoint, PostgresEndpoint, S3Endpoint
from lakebed.config.kafka_clients import client_settings, java_settings
from lakebed.config.settings import Settings, load_settings
from lakebed.errors import SettingsInvalid
from lakebed.services import SERVICE_NAMES
from lakebed.services.attached import ELSEWHERE
from lakebed.services.endpoints import LOOPBACK, Endpoints
from lakebed.stack.addresses import Addresses
from lakebed.stack.plan import services_for
from lakebed.stack.resources import _BY_KIND


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and no variable of ours."""
    for name in [name for name in os.environ if name.startswith("LAKEBED_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def attached(**services: Any) -> Attach:
    """Return the setting with these services."""
    given = {name.replace("_", "-"): endpoint for name, endpoint in services.items()}
    return load_settings({"attach": given}).attach


def refusal(**services: Any) -> str:
    """Return how these services are refused."""
    with pytest.raises(SettingsInvalid) as caught:
        attached(**services)
    assert "hunter2" not in str(caught.value)
    return caught.value.seen


def test_every_service_can_be_attached_and_nothing_else() -> None:
    assert [field.alias or name for name, field in Attach.model_fields.items()] == list(SERVICE_NAMES)
    assert sorted(ELSEWHERE) == sorted(SERVICE_NAMES)
    assert not Attach()
    assert list(attached(kafka="a:1", schema_registry="http://r:2")) == ["kafka", "schema-registry"]


def test_every_kind_of_thing_says_whether_it_is_there_but_offsets() -> None:
    """What is there on a server of somebody else's is never removed; an offset can be recorded on none."""
    kinds = {name: kind for name, (service, kind) in _BY_KIND.items() if service.name in ELSEWHERE}
    assert [name for name, kind in kinds.items() if kind.exists is None] == ["connector-offset"]


# -- where it is written -----------------------------------------------------------------------------------


def test_the_sources_of_settings_add_up_and_the_higher_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("lakebed.toml").write_text(
        '[attach]\nkafka = "file:1"\nconnect = "http://file:2"\n[attach.schema-registry]\nurl = "http://file:3"\n'
        'username = "me"\n'
    )
    more = {"connect": "http://variable:2", "schema-registry": {"password": "hunter2"}}
    monkeypatch.setenv("LAKEBED_ATTACH", json.dumps(more))
    attach = load_settings({"attach": {"postgres": "postgresql://me@option"}}).attach
    assert {name: one.address for name, one in attach.endpoints().items()} == {
        "postgres": "option:5432",
        "kafka": "file:1",
        "connect": "http://variable:2",
        "schema-registry": "http://file:3",
    }
    assert attach.schema_registry is not None
    assert attach.schema_registry.basic == ("me", "hunter2")


def test_a_url_of_postgresql_says_everything() -> None:
    url = "postgresql://us%40er:p%2Fw@db.example:6543/shop?sslmode=verify-full&sslrootcert=/ca.pem"
    server = attached(postgres=url).postgres
    assert server is not None
    assert server.connection_parameters() == {
        "host": "db.example",
        "port": 6543,
        "user": "us@er",
        "password": "p/w",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.pem",
    }
    assert server.database == "shop"


def test_user_and_password_are_taken_out_of_urls() -> None:
    attach = attached(connect="https://me:hunter2@connect:8083/", s3="http://key:hunter2@store:9000")
    assert attach.connect is not None
    assert attach.s3 is not None
    assert (attach.connect.address, attach.connect.base) == ("https://connect:8083/", "https://connect:8083")
    assert attach.connect.basic == ("me", "hunter2")
    assert attach.s3.endpoint == "http://store:9000"
    assert attach.s3.access_key.get_secret_value() == "key"


def test_host_and_port_of_every_server() -> None:
    attach = attached(kafka="a:1,b:2,[::1]:3", connect="https://c", s3="http://k:s@d:9000")
    assert {name: one.servers() for name, one in attach.endpoints().items()} == {
        "kafka": [("a", 1), ("b", 2), ("::1", 3)],
        "connect": [("c", 443)],
        "s3": [("d", 9000)],
    }


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("services", "seen"),
    [
        ({"kafkka": "a:1"}, "unknown service kafkka; known: postgres, kafka, connect, schema-registry, s3,"),
        (
            {"kafka": {"bootstrap_servers": "a:1", "pasword": "hunter2"}},
            "unknown pasword; known fields: boots",
        ),
        ({"kafka": "PLAINTEXT://a:1"}, "scheme 'PLAINTEXT' is not one of a Kafka broker; allowed: host:port"),
        ({"kafka": "a"}, "it is no such address; allowed: host:port, several separated by commas"),
        ({"kafka": "a:1, b:2"}, "it is no such address"),
        ({"kafka": {}}, "attach.kafka.bootstrap_servers: Field required"),
        ({"kafka": {"bootstrap_servers": "a:1", "username": "me"}}, "belong together"),
        (
            {"kafka": {"bootstrap_servers": "a:1", "username": "me", "password": "hunter2"}},
            "a username needs security_protocol SASL_SSL or SASL_PLAINTEXT",
        ),
        ({"kafka": {"bootstrap_servers": "a:1", "ca_file": "x"}}, "ca_file needs security_protocol"),
        ({"kafka": {"bootstrap_servers": "a:1", "security_protocol": "TLS"}}, "Input should be 'PLAINTEXT'"),
        (
            {"postgres": "http://me:hunter2@db"},
            "scheme 'http' is not one of PostgreSQL; allowed: postgresql://",
        ),
        ({"postgres": "postgresql://me:hunter2@db:x/"}, "it is no URL; allowed: postgresql://"),
        ({"postgres": "postgresql://db/"}, "attach.postgres.user"),
        ({"postgres": "postgresql://me:hunter2@db?sslmod=x"}, "unknown sslmod; known fields: host, port"),
        ({"connect": "connect:8083"}, "scheme 'connect' is not one of Kafka Connect's REST interface"),
        ({"connect": "https://me@c"}, "username and password belong together"),
        ({"connect": {"url": "http://c", "token": "hunter2", "username": "me", "password": "x"}}, "not both"),
        ({"connect": {"url": "http://c", "ca_file": "/ca.pem"}}, "ca_file is for https"),
        ({"connect": "http://c/?x=1"}, "it is no such URL"),
        ({"schema_registry": {"url": "http://r", "converter": "other"}}, "'apicurio' or 'confluent'"),
        ({"s3": "http://store:9000"}, "attach.s3.access_key: Field required"),
        ({"s3": {"endpoint": "s3://bucket", "access_key": "k", "secret_key": "hunter2"}}, "scheme 's3'"),
        ({"iceberg_rest": 7}, "attach.iceberg-rest"),
    ],
)
def test_what_cannot_be_is_refused_naming_what_can(services: dict[str, Any], seen: str) -> None:
    assert seen in refusal(**services)


# -- secrets -----------------------------------------------------------------------------------------------


def test_no_secret_is_shown_to_who_does_not_ask() -> None:
    settings = load_settings(
        {
            "attach": {
                "postgres": "postgresql://me:hunter2@db",
                "kafka": {"bootstrap_servers": "a:1", "librdkafka": {"any": "hunter2"}},
                "connect": {"url": "http://c", "token": "hunter2"},
                "s3": "http://key:hunter2@store:9000",
            }
        }
    )
    masked = settings.model_dump(mode="json")
    shown = (repr(settings), str(settings), str(settings.model_dump()), json.dumps(masked))
    assert not any("hunter2" in text for text in shown)
    told = settings.model_dump(mode="json", context={"secrets": True})
    assert Settings.model_validate(told) == settings
    assert "hunter2" not in repr(Addresses.of({}, settings))


# -- clients -----------------------------------------------------------------------------------------------


def test_kafkas_clients_in_their_own_words(tmp_path: Path) -> None:
    (tmp_path / "certificate").write_text("CERTIFICATE")
    (tmp_path / "key").write_text("KEY")
    kafka = KafkaEndpoint.model_validate(
        {
            "bootstrap_servers": "a:1",
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-256",
            "username": "me",
            "password": 'a"b\\c',
            "ca_file": "/ca.pem",
            "certificate_file": tmp_path / "certificate",
            "key_file": tmp_path / "key",
            "librdkafka": {"socket.timeout.ms": "5000"},
            "java": {"request.timeout.ms": "6000"},
        }
    )
    assert client_settings(kafka) == {
        "bootstrap.servers": "a:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "me",
        "sasl.password": 'a"b\\c',
        "ssl.ca.location": "/ca.pem",
        "ssl.certificate.location": str(tmp_path / "certificate"),
        "ssl.key.location": str(tmp_path / "key"),
        "socket.timeout.ms": "5000",
    }
    assert java_settings(kafka, "kafka.") == {
        "kafka.bootstrap.servers": "a:1",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "SCRAM-SHA-256",
        "kafka.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required"
        ' username="me" password="a\\"b\\\\c";',
        "kafka.ssl.truststore.type": "PEM",
        "kafka.ssl.truststore.location": "/ca.pem",
        "kafka.ssl.keystore.type": "PEM",
        "kafka.ssl.keystore.certificate.chain": "CERTIFICATE",
        "kafka.ssl.keystore.key": "KEY",
        "kafka.request.timeout.ms": "6000",
    }
    assert client_settings("a:1") == java_settings("a:1") == {"bootstrap.servers": "a:1"}


def test_a_server_of_lakebeds_own_has_an_endpoint_as_any_other() -> None:
    ports = {name: {name: number} for number, name in enumerate(SERVICE_NAMES, 1)}
    own = Endpoints(ports)
    assert own.postgres == PostgresEndpoint.model_validate(
        f"postgresql://cdcuser:cdcpass@{LOOPBACK}:1/postgres"
    )
    assert own.kafka.bootstrap_servers == f"{LOOPBACK}:2"
    assert own.s3 == S3Endpoint.model_validate(f"http://minioadmin:minioadmin@{LOOPBACK}:5")
    with pytest.raises(KeyError):
        _ = Endpoints({}).kafka


def test_the_contracts_models_say_where_attached_services_are() -> None:
    addresses = Addresses(
        {},
        None,
        attached(
            postgres={
                "host": "db",
                "user": "me",
                "password": "x",
                "host_from_connect": "inner",
                "sslmode": "require",
            },
            kafka="k:1",
            schema_registry={"url": "https://r/", "url_from_connect": "http://inner:8081"},
            s3={"endpoint": "http://store", "access_key": "k", "secret_key": "s", "session_token": "t"},
            iceberg_rest={"url": "http://catalog/iceberg/", "token": "t", "warehouse": "shop"},
        ),
    )
    config = addresses.debezium_connector_config("one", extra_config={"more": "1"})
    assert (config.database_hostname, config.database_port, config.database_user) == ("inner", 5432, "me")
    assert config.extra_config == {
        "database.sslmode": "require",
        "topic.creation.default.replication.factor": "-1",
        "topic.creation.default.partitions": "1",
        "more": "1",
    }
    assert addresses.schema_registry_config().url == "https://r"
    converter = addresses.avro_converter()
    assert converter["value.converter.apicurio.registry.url"] == "http://inner:8081/apis/registry/v2"
    catalog = addresses.iceberg_catalog_config()
    assert (catalog.uri, catalog.warehouse) == ("http://catalog/iceberg", "s3://warehouse/")
    assert addresses.iceberg_client_properties() == {"token": "t", "warehouse": "shop"}
    assert addresses.spark_settings()["spark.sql.catalog.iceberg.warehouse"] == "shop"
    assert addresses.spark_settings()["spark.sql.catalog.iceberg.token"] == "t"
    assert addresses.spark_settings()["spark.hadoop.fs.s3a.session.token"] == "t"
    assert addresses.delta_storage_options()["AWS_SESSION_TOKEN"] == "t"
    assert addresses.environment()["POSTGRES_DB"] == "postgres"
    assert "DEBEZIUM_URL" not in addresses.environment()
    assert list(addresses) == ["postgres", "kafka", "schema-registry", "s3", "iceberg-rest"]


def test_confluents_converter_is_told_in_its_own_words() -> None:
    user = {"url": "http://me:pw@r:8081", "converter": "confluent"}
    converter = Addresses({}, None, attached(schema_registry=user)).avro_converter()
    assert converter["key.converter"] == "io.confluent.connect.avro.AvroConverter"
    assert converter["key.converter.schema.registry.url"] == "http://r:8081"
    assert converter["key.converter.basic.auth.user.info"] == "me:pw"


def test_what_an_attached_service_needs_is_not_started() -> None:
    assert [one.name for one in services_for(["connect"], ("connect",))] == ["connect"]
    assert [one.name for one in services_for(["connect", "kafka"], ("connect",))] == ["connect", "kafka"]
    assert [one.name for one in services_for(["connect"], ("kafka",))] == ["kafka", "connect"]


def test_an_endpoint_cannot_be_changed() -> None:
    kafka = KafkaEndpoint(bootstrap_servers="a:1")
    with pytest.raises(ValidationError):
        kafka.bootstrap_servers = "b:1"


def test_what_clients_are_configured_with_is_shown_without_secrets() -> None:
    attach = attached(
        postgres="postgresql://me:hunter2@db",
        s3="http://hunter2:hunter2@store:9000",
        kafka={
            "bootstrap_servers": "a:1",
            "security_protocol": "SASL_SSL",
            "username": "me",
            "password": "hunter2",
            "librdkafka": {"ssl.key.pem": "hunter2"},
            "java": {"ssl.keystore.key": "hunter2"},
        },
    )
    assert attach.postgres is not None
    assert attach.kafka is not None
    assert attach.s3 is not None
    told = (
        attach.postgres.connection_parameters(),
        attach.s3.storage_options(),
        client_settings(attach.kafka),
        java_settings(attach.kafka),
        attach.to_json(secrets=True),
    )
    for one in told:
        assert "hunter2" in json.dumps(one)
        assert "hunter2" not in repr(one)
        assert "***" in repr({"within": one})
