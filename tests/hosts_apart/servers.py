"""lakebed's own definitions of the servers, as the administrator of a host of their own would run them.

lakebed's servers listen on loopback only. Here each listens on the address of its host, and what is said of
the others are their addresses; the rest is as it is.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from xml.etree import ElementTree

from tests.hosts_apart.network import HOSTS

from lakebed.config.attach import Attach
from lakebed.services import Place, Service
from lakebed.services.answers import answers_ok
from lakebed.services.connect import CONNECT, worker_properties
from lakebed.services.iceberg_rest import ICEBERG_REST, jetty_configuration
from lakebed.services.kafka import KAFKA, server_properties
from lakebed.services.postgres import PASSWORD, POSTGRES, USER
from lakebed.services.properties import write_properties
from lakebed.services.s3 import ACCESS_KEY, S3, SECRET_KEY
from lakebed.services.schema_registry import SCHEMA_REGISTRY
from lakebed.services.topics import admin_client

WAL_SENDER_TIMEOUT_SECONDS = 4
CONNECT_SESSION_SECONDS = 6
_PORTS = {"postgres": 5432, "kafka": 9092, "connect": 8083, "schema-registry": 8081, "s3": 9000}
_PORTS |= {"iceberg-rest": 8181}
# A world has all ports to itself, but shares the files that SeaweedFS makes in /tmp and names by its ports.
_FIRST_PORT = random.randrange(20_000, 32_000)
_HOST_OF = {"postgres": "database", "kafka": "broker", "schema-registry": "broker", "connect": "connect"}
_HOST_OF |= {"s3": "lake", "iceberg-rest": "lake"}


def _address(service: str) -> str:
    return HOSTS[_HOST_OF[service]].address


def attach() -> dict[str, object]:
    """Return the setting with which lakebed uses them."""
    url = {name: f"http://{_address(name)}:{port}" for name, port in _PORTS.items()}
    return {
        "postgres": f"postgresql://{USER}:{PASSWORD}@{_address('postgres')}:{_PORTS['postgres']}/postgres",
        "kafka": f"{_address('kafka')}:{_PORTS['kafka']}",
        "connect": url["connect"],
        "schema-registry": url["schema-registry"],
        "s3": {"endpoint": url["s3"], "access_key": ACCESS_KEY, "secret_key": SECRET_KEY},
        "iceberg-rest": url["iceberg-rest"],
    }


ATTACHED = Attach.model_validate(attach())


def ports_of(service: Service) -> dict[str, int]:
    """Return the ports of a service on its host."""
    first = _FIRST_PORT + 20 * list(_PORTS).index(service.name)
    others = {name: first + number for number, name in enumerate(service.ports)}
    return {**others, service.main_port: _PORTS[service.name]}


def _prepare_postgres(place: Place) -> None:
    POSTGRES.prepare(place)
    anybody = "".join(f"host {what} all 10.77.0.0/16 scram-sha-256\n" for what in ("all", "replication"))
    with (place.folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write(anybody)


def _postgres_command(place: Place) -> list[str]:
    more = (f"listen_addresses={_address('postgres')}", f"wal_sender_timeout={WAL_SENDER_TIMEOUT_SECONDS}s")
    return [*POSTGRES.command(place), *(part for setting in more for part in ("-c", setting))]


def _prepare_kafka(place: Place) -> None:
    KAFKA.prepare(place)
    listener = f"PLAINTEXT://{_address('kafka')}:{place.ports['kafka']}"
    properties = server_properties(place, place.folder / "log")
    properties["listeners"] = f"{listener},CONTROLLER://127.0.0.1:{place.ports['controller']}"
    properties["advertised.listeners"] = listener
    write_properties(place.folder / "server.properties", properties)


def _configure_connect(place: Place) -> None:
    # Shorter than by default (10 s, 30 s), so that a cut outlasts them in a test's time.
    more = {
        "listeners": f"http://{_address('connect')}:{place.ports['connect']}",
        "rest.advertised.host.name": _address("connect"),
        "session.timeout.ms": 1000 * CONNECT_SESSION_SECONDS,
        "heartbeat.interval.ms": 1500,
        "producer.request.timeout.ms": 5000,
    }
    write_properties(place.folder / "worker.properties", {**worker_properties(place), **more})


def _check_kafka(place: Place) -> None:
    if not admin_client(place.endpoints.kafka).list_topics(timeout=5).brokers:
        raise ConnectionError("no broker in the cluster's metadata")


def _check_connect(place: Place) -> None:
    answers_ok(place.endpoints.connect, "/health")


def _registry_environment(place: Place) -> dict[str, str]:
    return {**SCHEMA_REGISTRY.environment(place), "QUARKUS_HTTP_HOST": _address("schema-registry")}


def _s3_command(place: Place) -> list[str]:
    return [part.replace("-ip.bind=127.0.0.1", "-ip.bind=0.0.0.0") for part in S3.command(place)]


def _prepare_catalog(place: Place) -> None:
    ICEBERG_REST.prepare(place)
    configuration = jetty_configuration(place)
    for host in configuration.iterfind(".//Set[@name='host']"):
        host.text = _address("iceberg-rest")
    for names in configuration.iterfind(".//Set[@name='virtualHosts']/Array"):
        ElementTree.SubElement(names, "Item").text = _address("iceberg-rest")
    ElementTree.ElementTree(configuration).write(
        place.folder / "jetty.xml", encoding="utf-8", xml_declaration=True
    )


_CHANGED: dict[str, Callable[[], Service]] = {
    "postgres": lambda: dataclasses.replace(POSTGRES, prepare=_prepare_postgres, command=_postgres_command),
    "kafka": lambda: dataclasses.replace(KAFKA, prepare=_prepare_kafka, check=_check_kafka),
    "connect": lambda: dataclasses.replace(CONNECT, configure=_configure_connect, check=_check_connect),
    "schema-registry": lambda: dataclasses.replace(SCHEMA_REGISTRY, environment=_registry_environment),
    "s3": lambda: dataclasses.replace(S3, command=_s3_command),
    "iceberg-rest": lambda: dataclasses.replace(ICEBERG_REST, prepare=_prepare_catalog),
}


def servers_of(host: str) -> list[Service]:
    """Return the servers of a host."""
    return [change() for name, change in _CHANGED.items() if _HOST_OF[name] == host]
