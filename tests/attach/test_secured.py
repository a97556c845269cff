"""Servers that ask for TLS, users, tokens and keys: what they do not allow is found, the rest is used."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from guards import Authority, Certificates, gate  # type: ignore[import-not-found]

from lakebed.clients.debezium import DebeziumClient
from lakebed.config.attach import Attach
from lakebed.config.endpoints import ConnectEndpoint
from lakebed.config.iceberg import IcebergCatalogConfig
from lakebed.errors import CredentialsRefused, PermissionMissing, WrongAddress
from lakebed.services import Place
from lakebed.services.iceberg_rest import ICEBERG_REST
from lakebed.services.kafka import KAFKA, server_properties
from lakebed.services.postgres import POSTGRES
from lakebed.services.properties import write_properties
from lakebed.services.s3 import S3
from lakebed.services.schema_registry import SCHEMA_REGISTRY
from lakebed.stack.addresses import Addresses
from lakebed.stack.running import RunningService

CHAIN = (Path(__file__).parent / "test_chain.py").read_text()
TESTS = CHAIN.count("\ndef test_") + 1
PASSWORD = 'pa$$"w\\rd'
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
TOKEN = "eyJ.a-token-of-theirs"
BASIC = f"Basic {b64encode(f'tester:{PASSWORD}'.encode()).decode()}"
CLUSTER = "c29tZWJvZHkgZWxzZSdzIQ"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the clients are told to trust."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificates(authority: Authority) -> Certificates:
    """Of the servers."""
    return authority.issue("server")


# -- Kafka ------------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@pytest.fixture(scope="module")
def kafka(start_server: Any, certificates: Certificates) -> RunningService:
    """A broker with a listener for each protocol, users, and an authorizer."""
    listeners = {"INNER": "inner", "SASL": "sasl", "TLS": "tls", "BOTH": "kafka"}

    def prepare(place: Place) -> None:
        properties = server_properties(place, place.folder / "log")
        addresses = [f"{name}://127.0.0.1:{place.ports[port]}" for name, port in listeners.items()]
        users = f'user_admin="{_quoted(PASSWORD)}" user_weak="weak"'
        properties |= {
            "listeners": ",".join([*addresses, f"CONTROLLER://127.0.0.1:{place.ports['controller']}"]),
            "advertised.listeners": ",".join(addresses),
            "listener.security.protocol.map": "INNER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,BOTH:SASL_SSL,"
            "CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INNER",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": certificates.both,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": certificates.ca,
            "listener.name.tls.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:admin;User:tester;User:CN=tester",
        }
        for name in ("sasl", "both"):
            properties[f"listener.name.{name}.plain.sasl.jaas.config"] = f"{_PLAIN} required {users};"
            properties[f"listener.name.{name}.scram-sha-512.sasl.jaas.config"] = f"{_SCRAM} required;"
        configuration = place.folder / "server.properties"
        write_properties(configuration, properties)
        command = [*place.java, "-cp", place.joined_class_path(), "kafka.tools.StorageTool", "format"]
        subprocess.run(
            [*command, "--cluster-id", CLUSTER, "--config", str(configuration)],
            check=True,
            capture_output=True,
        )
        (place.folder / "log4j2.properties").touch()

    def check(place: Place) -> None:
        assert _admin(place).list_topics(timeout=5).brokers

    def command(place: Place) -> list[str]:
        configuration = str(place.folder / "server.properties")
        return [*place.java, "-cp", place.joined_class_path(), "kafka.Kafka", configuration]

    service = dataclasses.replace(KAFKA, prepare=prepare, check=check, command=command)
    running: RunningService = start_server(service, ("inner", "sasl", "tls"))
    scram = UserScramCredentialUpsertion(
        "tester", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode()
    )
    admin = _admin(running.place)
    for done in admin.alter_user_scram_credentials([scram]).values():
        done.result(30)
    return running


def _admin(place: Place) -> AdminClient:
    return AdminClient({"bootstrap.servers": f"127.0.0.1:{place.ports['inner']}", "log_level": 0})


def _kafka(kafka: RunningService, port: str, **more: object) -> dict[str, object]:
    return {"bootstrap_servers": f"127.0.0.1:{kafka.place.ports[port]}", **more}


@pytest.fixture(scope="module")
def scram_over_tls(kafka: RunningService, certificates: Certificates) -> dict[str, object]:
    """The setting for a user of SCRAM on the listener with TLS."""
    return _kafka(
        kafka,
        "kafka",
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        username="tester",
        password=PASSWORD,
        ca_file=str(certificates.ca),
    )


def test_a_user_with_scram_and_tls(check: Any, scram_over_tls: dict[str, object]) -> None:
    check(kafka=scram_over_tls)


def test_a_user_with_a_plain_password(check: Any, kafka: RunningService) -> None:
    user = {"username": "admin", "password": PASSWORD}
    check(kafka=_kafka(kafka, "sasl", security_protocol="SASL_PLAINTEXT", **user))


def test_a_client_with_a_certificate(
    check: Any, kafka: RunningService, certificates: Certificates, authority: Authority
) -> None:
    own = authority.issue("tester")
    files = {"certificate_file": str(own.certificate), "key_file": str(own.key), "ca_file": str(own.ca)}
    check(kafka=_kafka(kafka, "tls", security_protocol="SSL", **files))


def test_a_wrong_password_of_kafka(check: Any, kafka: RunningService) -> None:
    user = {"username": "admin", "password": "hunter2"}
    with pytest.raises(CredentialsRefused, match="uthentication failed") as caught:
        check(kafka=_kafka(kafka, "sasl", security_protocol="SASL_PLAINTEXT", **user))
    assert "hunter2" not in str(caught.value)


def test_a_protocol_of_kafka_that_is_another(
    check: Any, kafka: RunningService, certificates: Certificates
) -> None:
    with pytest.raises(WrongAddress, match="TLS is spoken there"):
        check(kafka=_kafka(kafka, "kafka"))
    with pytest.raises(WrongAddress, match="Kafka answers there, without TLS"):
        check(kafka=_kafka(kafka, "inner", security_protocol="SSL", ca_file=str(certificates.ca)))
    with pytest.raises(WrongAddress, match="another security_protocol than PLAINTEXT"):
        check(kafka=_kafka(kafka, "sasl"))
    with pytest.raises(WrongAddress, match="a certificate that is not trusted"):
        check(kafka=_kafka(kafka, "tls", security_protocol="SSL"))


def _missing(check: Any, **attach: Any) -> PermissionMissing:
    with pytest.raises(PermissionMissing) as caught:
        check(**attach)
    return caught.value


def test_what_a_user_of_kafka_may_not(check: Any, kafka: RunningService) -> None:
    weak = _kafka(kafka, "sasl", security_protocol="SASL_PLAINTEXT", username="weak", password="weak")
    error = _missing(check, kafka=weak)
    assert "kafka: a topic cannot be created" in error.seen
    address = weak["bootstrap_servers"]
    grant = f"kafka-acls.sh --bootstrap-server {address} --add --allow-principal 'User:weak' --operation"
    assert f"{grant} Create --topic '*'" in error.remedy
    # What each error asks for is granted, until there is nothing left to ask for.
    for _ in range(8):
        operations = re.findall(r"--operation (\w+) --topic", error.remedy)
        assert operations
        _allow(kafka.place, operations)
        try:
            check(kafka=weak)
            break
        except PermissionMissing as again:
            error = again
    else:
        pytest.fail(str(error))
    admin = _admin(kafka.place)
    for name in admin.list_topics(timeout=10).topics:
        if "preflight" in name:
            admin.delete_topics([name])[name].result(30)


def _allow(place: Place, operations: list[str]) -> None:
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AclBinding,
        AclOperation,
        AclPermissionType,
        ResourcePatternType,
        ResourceType,
    )

    bindings = [
        AclBinding(
            ResourceType.TOPIC,
            "*",
            ResourcePatternType.LITERAL,
            "User:weak",
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    admin = _admin(place)
    for made in admin.create_acls(bindings).values():
        made.result(30)


# -- PostgreSQL -------------------------------------------------------------------------------------------


def _with_tls(certificates: Certificates, *settings: str) -> Any:
    def prepare(place: Place) -> None:
        POSTGRES.prepare(place)
        for file, name in ((certificates.certificate, "server.crt"), (certificates.key, "server.key")):
            own = place.folder / "data" / name
            own.touch(mode=0o600)
            own.write_bytes(file.read_bytes())
            if place.owner is not None:
                os.chown(own, *place.owner)
        (place.folder / "data" / "pg_hba.conf").write_text(
            "hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl replication all 127.0.0.1/32 scram-sha-256\n"
        )

    def command(place: Place) -> list[str]:
        more = [part for setting in ("ssl=on", *settings) for part in ("-c", setting)]
        return [*POSTGRES.command(place), *more]

    return dataclasses.replace(POSTGRES, prepare=prepare, command=command)


@pytest.fixture(scope="module")
def postgres(start_server: Any, certificates: Certificates) -> RunningService:
    """A server that lets nobody in without TLS and a password, with a role that is no superuser."""
    running: RunningService = start_server(_with_tls(certificates))
    _execute(running, f"CREATE ROLE tester LOGIN CREATEDB REPLICATION PASSWORD '{PASSWORD}'")
    _execute(running, "GRANT pg_read_all_stats TO tester")
    return running


def _execute(running: RunningService, statement: str) -> None:
    from lakebed.services.postgres_connection import administer

    administer(running.place.endpoints.postgres, lambda connection: connection.execute(statement.encode()))


@pytest.fixture(scope="module")
def scram_with_tls(postgres: RunningService, certificates: Certificates) -> dict[str, object]:
    """The setting for that role, which trusts only the tests' own authority."""
    return {
        "host": "127.0.0.1",
        "port": postgres.place.ports["postgres"],
        "user": "tester",
        "password": PASSWORD,
        "sslmode": "verify-full",
        "ca_file": str(certificates.ca),
    }


def test_a_role_with_what_it_needs(check: Any, scram_with_tls: dict[str, object]) -> None:
    check(postgres=scram_with_tls)


def test_a_postgresql_whose_certificate_is_not_trusted(
    check: Any, scram_with_tls: dict[str, object], tmp_path: Path
) -> None:
    other = Authority(tmp_path).ca
    with pytest.raises(WrongAddress, match="certificate verify failed"):
        check(postgres={**scram_with_tls, "ca_file": str(other)})


def test_a_postgresql_without_tls(
    check: Any, scram_with_tls: dict[str, object], addresses: Addresses
) -> None:
    with pytest.raises(WrongAddress, match="server does not support SSL"):
        check(postgres={**scram_with_tls, "port": addresses.postgres_port})
    with pytest.raises(CredentialsRefused, match="entry for host"):
        check(postgres={**scram_with_tls, "sslmode": "disable", "ca_file": None})


def test_what_a_role_may_not_and_a_server_does_not(
    check: Any, start_server: Any, certificates: Certificates
) -> None:
    few = ("wal_level=replica", "max_replication_slots=0", "max_wal_senders=0")
    running: RunningService = start_server(_with_tls(certificates, *few))
    _execute(running, "CREATE ROLE \"wea'k\" LOGIN PASSWORD 'weak'")
    weak = {
        "host": "127.0.0.1",
        "port": running.place.ports["postgres"],
        "user": "wea'k",
        "password": "weak",
        "sslmode": "require",
    }
    error = _missing(check, postgres=weak)
    for line in (
        'postgres: role "wea\'k" may not create databases',
        'postgres: role "wea\'k" may not replicate',
        'postgres: role "wea\'k" may not see how senders do',
        "postgres: wal_level is replica, not logical",
        "postgres: all 0 of max_replication_slots are in use",
        "postgres: all 0 of max_wal_senders are in use",
    ):
        assert line in error.seen
    assert 'postgres: ALTER ROLE "wea\'k" CREATEDB;' in error.remedy
    # The very statements that it names.
    for statement in re.findall(r"postgres: ((?:ALTER|GRANT) [^;]+;)", error.remedy):
        _execute(running, statement)
    again = _missing(check, postgres=weak).seen
    assert "may not" not in again
    assert "wal_level" in again


# -- the store, the registry, the catalog, Connect ----------------------------------------------------------


@pytest.fixture(scope="module")
def store(start_server: Any) -> dict[str, object]:
    """A store with keys that are not the contract's."""
    keys = {"access_key": "a-key-of-theirs", "secret_key": PASSWORD}
    environment = {"AWS_ACCESS_KEY_ID": keys["access_key"], "AWS_SECRET_ACCESS_KEY": keys["secret_key"]}
    service = dataclasses.replace(S3, environment=lambda place: {**S3.environment(place), **environment})
    running: RunningService = start_server(service)
    return {"endpoint": f"http://127.0.0.1:{running.place.ports['s3']}", **keys}


def test_the_keys_of_the_store(check: Any, store: dict[str, object]) -> None:
    check(s3=store)
    with pytest.raises(CredentialsRefused):
        check(s3={**store, "secret_key": "minioadmin"})


def test_a_bucket_that_is_not_there(check: Any, store: dict[str, object]) -> None:
    error = _missing(check, s3={**store, "delta_bucket": "nowhere"})
    assert "s3: there is no bucket 'nowhere'" in error.seen
    assert "create it, or name another one with attach.s3.delta_bucket" in error.remedy


@pytest.fixture(scope="module")
def catalog(
    start_server: Any, store: dict[str, object], certificates: Certificates
) -> Iterator[dict[str, object]]:
    """A catalog on that store, behind a gate with TLS that asks for a token."""
    attach = Attach.model_validate({"s3": store})

    def on_that_store(place: Place) -> Place:
        return dataclasses.replace(place, attached=attach)

    service = dataclasses.replace(
        ICEBERG_REST,
        prepare=lambda place: ICEBERG_REST.prepare(on_that_store(place)),
        environment=lambda place: ICEBERG_REST.environment(on_that_store(place)),
    )
    running: RunningService = start_server(service)
    url = f"http://127.0.0.1:{running.place.ports['iceberg-rest']}"
    with gate(url, f"Bearer {TOKEN}", certificates) as guarded:
        yield {"url": guarded, "token": TOKEN, "ca_file": str(certificates.ca)}


def test_the_token_of_a_catalog(check: Any, catalog: dict[str, object]) -> None:
    check(iceberg_rest=catalog)
    with pytest.raises(CredentialsRefused, match="GET /v1/config answered HTTP 401"):
        check(iceberg_rest={**catalog, "token": "hunter2"})


@pytest.fixture(scope="module")
def registry(start_server: Any, certificates: Certificates) -> Iterator[dict[str, object]]:
    """A registry behind a gate that speaks TLS and asks for a user; Connect goes through another one."""
    running: RunningService = start_server(SCHEMA_REGISTRY)
    url = f"http://127.0.0.1:{running.place.ports['schema-registry']}"
    user = {"username": "tester", "password": PASSWORD}
    with gate(url, BASIC, certificates) as with_tls, gate(url, BASIC) as plain:
        yield {"url": with_tls, "url_from_connect": plain, "ca_file": str(certificates.ca), **user}


def test_the_user_of_a_registry_with_tls(check: Any, registry: dict[str, object]) -> None:
    check(schema_registry=registry)
    with pytest.raises(CredentialsRefused, match="answered HTTP 401: text/plain: 'who are you"):
        check(schema_registry={**registry, "password": "hunter2"})
    without = {name: value for name, value in registry.items() if name != "ca_file"}
    with pytest.raises(WrongAddress, match="a certificate that is not trusted"):
        check(schema_registry=without)
    with pytest.raises(WrongAddress, match="TLS is spoken there, and the address says http"):
        check(schema_registry=str(registry["url"]).replace("https", "http"))


@pytest.mark.parametrize(
    ("authorization", "credentials"),
    [
        (BASIC, {"username": "tester", "password": PASSWORD}),
        (f"Bearer {TOKEN}", {"token": TOKEN}),
    ],
)
def test_connect_behind_a_gate(
    check: Any,
    addresses: Addresses,
    certificates: Certificates,
    authorization: str,
    credentials: dict[str, str],
) -> None:
    with gate(addresses.debezium_url, authorization, certificates) as url:
        setting = {"url": url, "ca_file": str(certificates.ca), **credentials}
        check(connect=setting)
        with DebeziumClient(ConnectEndpoint.model_validate(setting)) as client:
            assert client.version()["kafka_cluster_id"]
        with pytest.raises(CredentialsRefused):
            check(connect={"url": url, "ca_file": str(certificates.ca), "token": "hunter2"})


def test_a_connect_of_another_kafka(
    check: Any, addresses: Addresses, scram_over_tls: dict[str, object]
) -> None:
    with pytest.raises(WrongAddress, match=f"attach.kafka is the cluster {CLUSTER}"):
        check(connect=addresses.debezium_url, kafka=scram_over_tls)


# -- all of it ---------------------------------------------------------------------------------------------


_SHOWN = """
    def test_a_failure(postgres_connection, kafka_topic, lakebed_stack):
        addresses = lakebed_stack.need("s3")
        options, parameters = addresses.delta_storage_options(), addresses.postgres.connection_parameters()
        settings = lakebed_stack.settings
        assert False

    def test_a_refusal(lakebed_stack):
        lakebed_stack.need("connect")
"""


def test_a_failure_with_local_variables_tells_no_secret(
    run_tests: Any,
    monkeypatch: pytest.MonkeyPatch,
    scram_over_tls: dict[str, object],
    scram_with_tls: dict[str, object],
    store: dict[str, object],
) -> None:
    refused = {"url": "http://127.0.0.1:9", "token": TOKEN}
    attach = {"kafka": scram_over_tls, "postgres": scram_with_tls, "s3": store, "connect": refused}
    monkeypatch.setenv("LAKEBED_ATTACH", json.dumps(attach))
    result = run_tests("-q", "--showlocals", "--full-trace", test_shown=_SHOWN)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*options * = {*AWS_SECRET_ACCESS_KEY*", "*127.0.0.1:9 refuses*"])
    told = result.stdout.str() + result.stderr.str()
    # As it is, and as Python writes it.
    assert not any(secret in told for secret in (PASSWORD, repr(PASSWORD)[1:-1], TOKEN))


_SECRETS = """
    import psutil

    def test_no_log_and_no_process_tells_a_secret(lakebed_stack):
        secrets = {secrets!r}
        status = lakebed_stack.status()
        logs = [log.read_text(errors="replace") for log in lakebed_stack.folder.glob("*.log")]
        assert len(logs) > 1
        processes = [psutil.Process(one["pid"]) for one in status["services"] if one["pid"]]
        assert [one["service"] for one in status["services"] if one["pid"]] == ["connect"]
        told = [*logs, str(status), *(str((one.cmdline(), one.environ())) for one in processes)]
        for secret in secrets:
            assert not any(secret in text for text in told)
        configuration = lakebed_stack.folder / "connect" / "worker.properties"
        assert configuration.stat().st_mode & 0o077 == 0
"""


def test_a_connect_of_lakebeds_own_with_a_certificate(
    run_tests: Any,
    monkeypatch: pytest.MonkeyPatch,
    kafka: RunningService,
    scram_with_tls: dict[str, object],
    authority: Authority,
) -> None:
    own = authority.issue("tester")
    files = {"certificate_file": str(own.certificate), "key_file": str(own.key), "ca_file": str(own.ca)}
    by_certificate = _kafka(kafka, "tls", security_protocol="SSL", **files)
    monkeypatch.setenv("LAKEBED_ATTACH", json.dumps({"kafka": by_certificate, "postgres": scram_with_tls}))
    run_tests("-q", "-k", "become_events or signal", test_chain=CHAIN).assert_outcomes(
        passed=3, deselected=TESTS - 3
    )


# One more run of the whole chain: `make test-large`.
@pytest.mark.large
def test_the_chain_with_tls_users_tokens_and_keys(
    run_tests: Any,
    monkeypatch: pytest.MonkeyPatch,
    kafka: RunningService,
    scram_over_tls: dict[str, object],
    scram_with_tls: dict[str, object],
    store: dict[str, object],
    catalog: dict[str, object],
    registry: dict[str, object],
) -> None:
    assert IcebergCatalogConfig().warehouse == "s3://warehouse/"
    attach = {
        "kafka": scram_over_tls,
        "postgres": scram_with_tls,
        "s3": store,
        "iceberg-rest": catalog,
        "schema-registry": registry,
    }
    monkeypatch.setenv("LAKEBED_ATTACH", json.dumps(attach))
    # PyIceberg's requests would trust what these name, and not what they are told to.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    result = run_tests("-q", test_chain=CHAIN, test_secrets=_SECRETS.format(secrets=[PASSWORD, TOKEN]))
    result.assert_outcomes(passed=TESTS + 1)
    result.stdout.no_fnmatch_line("*could not*")
    for secret in (PASSWORD, TOKEN):
        assert secret not in result.stdout.str() + result.stderr.str()
    own = ("__consumer_offsets",)
    assert [name for name in _admin(kafka.place).list_topics(timeout=10).topics if name not in own] == []
