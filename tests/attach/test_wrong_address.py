"""An address that is not what it says: named within five seconds, with what was expected and seen."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebed.errors import CredentialsRefused, WrongAddress
from lakebed.services import Place
from lakebed.services.kafka import KAFKA, server_properties
from lakebed.services.properties import write_properties
from lakebed.stack.addresses import Addresses
from lakebed.stack.running import RunningService

# It has limits of time: see the Makefile.
pytestmark = pytest.mark.alone

SECONDS = 5.0
_KEYS = {"access_key": "minioadmin", "secret_key": "minioadmin"}


@pytest.fixture(scope="module")
def web_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A web server that answers every path there is with a page."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("index.html", "subjects", "v1/config"):
        page = folder / name
        page.parent.mkdir(exist_ok=True)
        page.write_text("<!doctype html><title>Welcome</title>")

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = {"": "text/html"}  # noqa: RUF012

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def refused(check: Any) -> Any:
    """Expect that a service is refused in time, and return the error."""

    def look(**attach: Any) -> WrongAddress:
        started = time.monotonic()
        with pytest.raises(WrongAddress) as caught:
            check(**attach)
        assert time.monotonic() - started < SECONDS
        (service,) = attach
        assert f"use the attached {service.replace('_', '-')} at " in caught.value.attempted
        assert caught.value.seen.startswith("expected ")
        assert caught.value.remedy
        return caught.value

    return look


def test_a_registry_that_is_a_web_site(refused: Any, web_site: str) -> None:
    error = refused(schema_registry=web_site)
    assert (
        "expected a schema registry with Confluent's API; seen: GET /subjects answered HTTP 200" in error.seen
    )
    assert "text/html: '<!doctype html><title>Welcome</title>'" in error.seen


def test_a_catalog_that_is_a_web_site(refused: Any, web_site: str) -> None:
    assert "text/html" in refused(iceberg_rest=web_site).seen


def test_a_store_that_is_a_web_site(refused: Any, web_site: str) -> None:
    assert "text/html" in refused(s3={"endpoint": web_site, **_KEYS}).seen


def test_a_connect_that_is_a_web_site(refused: Any, web_site: str) -> None:
    assert "text/html" in refused(connect=web_site).seen


def test_a_kafka_that_is_postgresql(refused: Any, addresses: Addresses) -> None:
    error = refused(kafka=f"127.0.0.1:{addresses.postgres_port}")
    assert error.seen == "expected a Kafka broker; seen: PostgreSQL answers there"
    assert error.remedy == "correct attach.kafka: host:port, several separated by commas"


def test_a_kafka_that_speaks_http(refused: Any, addresses: Addresses) -> None:
    port = addresses.ports["connect"]["connect"]
    assert "seen: HTTP (Jetty" in refused(kafka=f"127.0.0.1:{port}").seen


def test_a_kafka_that_says_nothing(refused: Any, silent: int) -> None:
    assert "a server that answers to none of" in refused(kafka=f"127.0.0.1:{silent}").seen


@pytest.mark.parametrize(("service", "seen"), [("connect", "HTTP"), ("kafka", "Kafka"), ("s3", "HTTP")])
def test_a_postgresql_that_is_something_else(
    refused: Any, addresses: Addresses, service: str, seen: str
) -> None:
    port = addresses.ports[service][service]
    error = refused(postgres=f"postgresql://cdcuser:cdcpass@127.0.0.1:{port}/postgres")
    assert f"expected PostgreSQL; seen: {seen}" in error.seen
    assert "cdcpass" not in str(error)


def test_a_registry_that_is_a_catalog(refused: Any, addresses: Addresses) -> None:
    assert "GET /subjects answered HTTP 400" in refused(schema_registry=addresses.iceberg_catalog_uri).seen


def test_a_registry_that_is_kafka(refused: Any, addresses: Addresses) -> None:
    error = refused(schema_registry=f"http://{addresses.kafka_bootstrap_servers}")
    assert error.seen.endswith("seen: Kafka answers there")


def test_a_catalog_that_is_no_catalog(refused: Any, addresses: Addresses) -> None:
    assert "GET /v1/config answered HTTP 404" in refused(iceberg_rest=addresses.debezium_url).seen


def test_a_catalog_under_another_path(refused: Any, addresses: Addresses, tmp_path: Path) -> None:
    error = refused(iceberg_rest=f"{addresses.iceberg_catalog_uri}/v2")
    assert "version 1 of the API answers there with defaults and overrides" in error.seen


def test_a_connect_that_is_a_registry(refused: Any, addresses: Addresses) -> None:
    assert "GET / answered HTTP" in refused(connect=addresses.schema_registry_url).seen


@pytest.mark.parametrize("service", ["schema_registry", "connect", "iceberg_rest"])
def test_https_where_http_is_spoken(refused: Any, addresses: Addresses, service: str) -> None:
    urls = {
        "schema_registry": addresses.schema_registry_url,
        "connect": addresses.debezium_url,
        "iceberg_rest": addresses.iceberg_catalog_uri,
    }
    error = refused(**{service: urls[service].replace("http://", "https://")})
    assert "plain HTTP is spoken there, and the address says https" in error.seen
    assert error.remedy == f"write http:// in attach.{service.replace('_', '-')}"


@pytest.mark.parametrize(
    ("host", "seen"),
    [
        ("no-such-host.invalid", "the name 'no-such-host.invalid' is not known|no name server answers"),
        ("127.0.0.1", "127.0.0.1:9 refuses the connection: nothing listens there"),
    ],
)
@pytest.mark.parametrize("service", ["postgres", "kafka", "connect", "schema_registry", "s3", "iceberg_rest"])
def test_an_address_where_nobody_is(refused: Any, service: str, host: str, seen: str) -> None:
    written = {
        "postgres": f"postgresql://user:secret@{host}:9/postgres",
        "kafka": f"{host}:9",
        "s3": f"http://user:secret@{host}:9",
    }
    error = refused(**{service: written.get(service, f"http://{host}:9")})
    assert re.search(seen, error.seen)
    assert "secret" not in str(error)


def test_an_address_that_takes_no_connection(refused: Any) -> None:
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        # As a firewall does: what comes when the queue is full is passed over in silence.
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        error = refused(kafka=f"127.0.0.1:{address[1]}")
    assert "does not answer in 1.5 s: no route, or a firewall" in error.seen


def test_all_that_is_wrong_is_said_at_once(check: Any) -> None:
    with pytest.raises(WrongAddress) as caught:
        check(kafka="127.0.0.1:9", connect="http://127.0.0.1:9")
    assert "expected a Kafka broker" in caught.value.seen
    assert "also: use the attached connect at http://127.0.0.1:9" in caught.value.seen


# -- who is not let in -------------------------------------------------------------------------------------


def test_a_wrong_password_of_postgresql(check: Any, addresses: Addresses) -> None:
    with pytest.raises(CredentialsRefused, match="password authentication failed for user") as caught:
        check(postgres=f"postgresql://cdcuser:hunter2@127.0.0.1:{addresses.postgres_port}/postgres")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("keys", [{**_KEYS, "secret_key": "hunter2"}, {**_KEYS, "access_key": "nobody"}])
def test_wrong_keys_of_the_store(check: Any, addresses: Addresses, keys: dict[str, str]) -> None:
    with pytest.raises(CredentialsRefused, match="use the attached s3") as caught:
        check(s3={"endpoint": addresses.s3_endpoint, **keys})
    assert "hunter2" not in str(caught.value)


# -- mixed runtimes ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other_kafka(start_server: Any) -> RunningService:
    """A Kafka that sends its clients on to an address where nobody is."""

    def prepare(place: Place) -> None:
        KAFKA.prepare(place)
        properties = server_properties(place, place.folder / "log")
        properties["advertised.listeners"] = "PLAINTEXT://127.0.0.1:9"
        write_properties(place.folder / "server.properties", properties)

    def check(place: Place) -> None:
        socket.create_connection(("127.0.0.1", place.ports["kafka"]), timeout=1).close()

    started: RunningService = start_server(dataclasses.replace(KAFKA, prepare=prepare, check=check))
    return started


def test_a_kafka_whose_listener_a_connect_of_lakebeds_own_could_not_reach(
    refused: Any, other_kafka: RunningService
) -> None:
    error = refused(kafka=f"127.0.0.1:{other_kafka.place.ports['kafka']}")
    assert (
        "sends its clients on to brokers that neither they nor a Connect started here can reach" in error.seen
    )
    assert re.search("broker 1(: | at )127.0.0.1:9.* refuse", error.seen)
    assert "advertised.listeners" in error.remedy


def test_nothing_is_started_when_an_address_is_wrong(
    run_tests: Any, other_kafka: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = other_kafka.place.ports["kafka"]
    monkeypatch.setenv("LAKEBED_ATTACH", f'{{"kafka": "127.0.0.1:{port}"}}')
    inner = """
        import pytest
        from lakebed.errors import WrongAddress

        @pytest.mark.parametrize("again", range(50))
        def test_connect_is_not_started(lakebed_stack, again):
            with pytest.raises(WrongAddress, match="advertised.listeners"):
                lakebed_stack.need("connect")
            assert [one["service"] for one in lakebed_stack.status()["services"]] == ["kafka"]
    """
    started = time.monotonic()
    run_tests("-q", test_inner=inner).assert_outcomes(passed=50)
    # It is asked once, and not fifty times.
    assert time.monotonic() - started < 30
