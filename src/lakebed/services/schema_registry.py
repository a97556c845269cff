"""The schema registry: Apicurio, answering Confluent's API at the root of its address."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from lakebed.config.environment import SchemaRegistryEnvironment
from lakebed.provision.template import template_folder
from lakebed.services.answers import answers_ok, loopback_client
from lakebed.services.definition import LOOPBACK, Place, Service

# Apicurio serves Confluent's API under this path; the contract has it at the root.
CONFLUENT_PATH = "/apis/ccompat/v7"
NATIVE_PATH = "/apis/registry/v2"

# The contract requires Kafka's address; Apicurio keeps its schemas in memory and does not use it.
_IN_MEMORY = "localhost:9092"

# Undertow, Apicurio's servlet container, looks for servlet extensions on the class path; the one named
# here is its own and reads the rewriting rule below. So the root is served by the registry itself, with
# no proxy in front (Undertow documentation, "Predicates Attributes and Handlers").
_EXTENSION_FILE = "META-INF/services/io.undertow.servlet.ServletExtension"
_EXTENSION = "io.quarkus.undertow.runtime.UndertowHandlersConfServletExtension\n"
_RULE_FILE = "META-INF/undertow-handlers.conf"
_ROOT_JAR = "root.jar"
_ROOTS = "subjects|schemas|config|mode|contexts|compatibility|v1"
_RULE = (
    f"regex(pattern='^/({_ROOTS})(/.*)?$', value='%U', full-match=true)"
    f" -> set(attribute='%U', value='{CONFLUENT_PATH}%U')\n"
)


def _make_root_jar(folder: Path) -> None:
    with zipfile.ZipFile(folder / _ROOT_JAR, "w") as jar:
        jar.writestr(_EXTENSION_FILE, _EXTENSION)
        jar.writestr(_RULE_FILE, _RULE)


def _root_jar(place: Place) -> Path:
    """Return the jar with the rule, in the cache: a class-data archive knows its jars by time stamp."""
    version = hashlib.sha256(_RULE.encode()).hexdigest()[:8]
    return template_folder(place.cache, f"schema-registry-root-{version}", _make_root_jar) / _ROOT_JAR


def _prepare(place: Place) -> None:
    _root_jar(place)
    (place.folder / "work").mkdir()


def _command(place: Place) -> list[str]:
    assert place.software is not None
    class_path = f"{place.software / 'quarkus-run.jar'}:{_root_jar(place)}"
    return [*place.java, "-cp", class_path, "io.quarkus.bootstrap.runner.QuarkusEntryPoint"]


def contract_environment(place: Place) -> SchemaRegistryEnvironment:
    """Return the service model of the contract for this instance."""
    return SchemaRegistryEnvironment(
        schema_registry_host_name="localhost",
        schema_registry_kafkastore_bootstrap_servers=f"{LOOPBACK}:{place.port_of('kafka', 'kafka')}"
        if "kafka" in place.stack_ports
        else _IN_MEMORY,
        schema_registry_listeners=f"http://{LOOPBACK}:{place.ports['schema-registry']}",
    )


def _environment(place: Place) -> dict[str, str]:
    contract = contract_environment(place)
    return {
        "QUARKUS_HTTP_HOST": LOOPBACK,
        "QUARKUS_HTTP_PORT": str(place.ports["schema-registry"]),
        "QUARKUS_MANAGEMENT_HOST": LOOPBACK,
        "QUARKUS_MANAGEMENT_PORT": str(place.ports["management"]),
        "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
        "QUARKUS_LOG_LEVEL": "DEBUG" if contract.schema_registry_debug else "WARN",
        # Deleting a subject is part of Confluent's API.
        "APICURIO_REST_DELETION_ARTIFACT_ENABLED": "true",
        "APICURIO_REST_DELETION_ARTIFACT_VERSION_ENABLED": "true",
        # Twenty idle connections to a database in the same memory cost start-up time only.
        "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "1",
        "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "1",
        "APICURIO_STORAGE_SNAPSHOT_LOCATION": str(place.folder / "work"),
        "APICURIO_IMPORT_WORK_DIR": str(place.folder / "work"),
    }


def _check(place: Place) -> None:
    answers_ok(place.ports["schema-registry"], "/subjects")


def _complete(place: Place) -> None:
    """Set the contract's compatibility: Apicurio enforces none until it is told."""
    level = contract_environment(place).schema_registry_schema_compatibility_level
    url = f"http://{LOOPBACK}:{place.ports['schema-registry']}/config"
    loopback_client().put(url, json={"compatibility": level.value}).raise_for_status()


SCHEMA_REGISTRY = Service(
    name="schema-registry",
    title="Schema registry with Confluent's API (Apicurio)",
    ports={"schema-registry": 8081, "management": None},
    memory_mb=270,
    jars="schema_registry",
    heap_mb=192,
    prepare=_prepare,
    command=_command,
    environment=_environment,
    check=_check,
    complete=_complete,
    other_names=("registry",),
)
