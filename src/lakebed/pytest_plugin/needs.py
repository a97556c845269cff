"""Which services the collected tests need: by the fixtures they use and by their marks. Pure."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Container, Iterable, Sequence
from dataclasses import fields

import pytest

from lakebed.config.debezium import DebeziumConnectorConfig
from lakebed.errors import LakebedError
from lakebed.services import GROUPS, KNOWN_NAMES, services_named
from lakebed.stack.plan import services_for

SERVICES_OF_FIXTURES: dict[str, tuple[str, ...]] = {
    "kafka_admin_client": ("kafka",),
    "spark_session": ("s3",),
    "schema_registry_client": ("schema-registry",),
    "debezium_client": ("connect",),
    "iceberg_catalog": ("iceberg-rest",),
    "postgres_connection": ("postgres",),
    "mariadb_connection": ("mariadb",),
    "mariadb_connector": ("mariadb", "connect"),
    "kafka_topic": ("kafka",),
    "delta_table_path": ("s3",),
    "iceberg_namespace": ("iceberg-rest",),
    "debezium_connector": ("postgres", "connect"),
    "debezium_connectors": ("postgres", "connect"),
    "cdc_pipeline": ("postgres", "connect", "schema-registry", "s3"),
    "change_events": ("postgres", "connect"),
}

# What a fixture imports when it is made, where that takes long.
_CLIENTS_OF_FIXTURES = {
    "postgres_connection": "psycopg",
    "mariadb_connection": "pymysql",
    "kafka_admin_client": "confluent_kafka.admin",
    "debezium_client": "lakebed.clients.debezium",
    "schema_registry_client": "lakebed.clients.registry",
    "iceberg_catalog": "pyiceberg.catalog.rest",
}

MARKS = {
    "lakebed": "lakebed(*services): start these services for the test, beside those its fixtures need",
    "debezium": "debezium(**fields): fields of DebeziumConnectorConfig for the test's connectors;"
    " avro=True for Avro through the schema registry, signals=True for a signal table and notifications",
}

AVRO = "avro"
SIGNALS = "signals"
CONNECTOR_FIELDS = (*(field.name for field in fields(DebeziumConnectorConfig)), AVRO, SIGNALS)


def services_needed(items: Iterable[pytest.Item], attached: Container[str] = ()) -> list[str]:
    """Return the names of the services that the tests need, needed ones first.

    Args:
        items: the tests.
        attached: services that somebody else runs: what they need is not looked for.

    Raises:
        pytest.UsageError: a mark names a service or field that does not exist, or looks like a mark of
            lakebed's and is none.
    """
    names: dict[str, None] = {}
    for item in items:
        check_marks(item)
        names.update(dict.fromkeys(asked_by(item)))
    # The order of a test's fixtures is pytest's own affair; the plan's is ours.
    ordered = sorted(names, key=KNOWN_NAMES.index)
    return [service.name for service in services_for(ordered, attached)] if names else []


def asked_by(item: pytest.Item) -> list[str]:
    """Return the names of the services that one test's fixtures and marks ask for."""
    asked: list[str] = []
    for fixture in getattr(item, "fixturenames", ()):
        asked += SERVICES_OF_FIXTURES.get(fixture, ())
    for mark in item.iter_markers("lakebed"):
        asked += [service.name for name in mark.args for service in services_named(name)]
    if any(mark.kwargs.get(AVRO) for mark in item.iter_markers("debezium")):
        asked.append("schema-registry")
    return asked


def import_clients(items: Iterable[pytest.Item]) -> None:
    """Import the clients that the tests' fixtures are going to import, while their servers start."""
    fixtures = {name for item in items for name in getattr(item, "fixturenames", ())}
    for fixture, module in _CLIENTS_OF_FIXTURES.items():
        if fixture in fixtures:
            # What is not installed is the error of the fixture.
            with contextlib.suppress(ImportError):
                importlib.import_module(module)


def check_marks(item: pytest.Item) -> None:
    """Refuse marks that lakebed would misunderstand, naming the known ones."""
    for mark in item.iter_markers():
        if mark.name not in MARKS and mark.name.startswith(tuple(MARKS)):
            _refuse(item, f"unknown mark {mark.name!r}", "known marks", tuple(MARKS))
        if mark.name == "lakebed":
            _check_services(item, mark)
        if mark.name == "debezium":
            unknown = [name for name in mark.kwargs if name not in CONNECTOR_FIELDS]
            if unknown or mark.args:
                what = f"mark debezium with unknown {', '.join(unknown) or 'positional arguments'}"
                _refuse(item, what, "known fields", CONNECTOR_FIELDS)


def _check_services(item: pytest.Item, mark: pytest.Mark) -> None:
    if mark.kwargs or not mark.args:
        _refuse(item, "mark lakebed takes the names of services", "known services", (*KNOWN_NAMES, *GROUPS))
    for name in mark.args:
        try:
            services_named(name)
        except LakebedError:
            _refuse(
                item, f"mark lakebed with unknown service {name!r}", "known services", (*KNOWN_NAMES, *GROUPS)
            )


def _refuse(item: pytest.Item, what: str, known: str, names: Sequence[str]) -> None:
    raise pytest.UsageError(f"{item.nodeid}: {what}; {known}: {', '.join(names)}")
