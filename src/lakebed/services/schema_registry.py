"""The schema registry: Apicurio, answering Confluent's API at the root of its address."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lakebed.config.endpoints import RegistryEndpoint
from lakebed.config.environment import SchemaRegistryEnvironment, typed_variables
from lakebed.errors import ServiceFailed
from lakebed.provision.template import template_folder
from lakebed.services.answers import found, request, require_ok, send
from lakebed.services.container import Container, contract_check, variables
from lakebed.services.definition import LOOPBACK, Place, ResourceKind, Service
from lakebed.services.endpoints import BROKERS

if TYPE_CHECKING:
    import httpx

# Apicurio serves Confluent's API under this path; the contract has it at the root.
CONFLUENT_PATH = "/apis/ccompat/v7"
NATIVE_PATH = "/apis/registry/v2"
APICURIO_CONVERTER = "io.apicurio.registry.utils.converter.AvroConverter"
CONFLUENT_CONVERTER = "io.confluent.connect.avro.AvroConverter"
_DATABASE = "schemas"
# H2 holds a file locked that it has failed to open, and from then on says so in place of the reason.
_CANNOT_OPEN = "Database may be already in use"
_EXPORT_PATH = "/apis/registry/v3/admin/export"

# The contract requires Kafka's address; Apicurio keeps its schemas in a file and does not use it.
_UNUSED = "localhost:9092"

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

# A page of the Internet may have its own host name resolved to 127.0.0.1, and then ask as if the registry
# were its own server (DNS rebinding). Such a name has a dot, and is no address (RFC 9110, "421 Misdirected
# Request").
_HOSTS = (
    "not regex(pattern='^([0-9.]+|([A-Za-z0-9_-]+[.])?localhost|[A-Za-z0-9_-]+)(:[0-9]+)?$',"
    " value='%{i,Host}', full-match=true) -> response-code(421)\n"
)


def _guard(credentials: tuple[str, str]) -> str:
    """Return the rule that answers 401 to whoever does not send these credentials.

    It stands before the rest, so it holds for everything the registry serves (RFC 7617, "The 'Basic' HTTP
    Authentication Scheme").
    """
    expected = base64.b64encode(":".join(credentials).encode()).decode()
    return (
        f"not equals(%{{i,Authorization}}, 'Basic {expected}')"
        " -> { set(attribute='%{o,WWW-Authenticate}', value='Basic realm=\"schema registry\"');"
        " response-code(401) }\n"
    )


def _write_root_jar(jar: Path, rules: str, mode: int = 0o644) -> None:
    descriptor = os.open(jar, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_EXTENSION_FILE, _EXTENSION)
        archive.writestr(_RULE_FILE, rules)


def _root_jar(place: Place) -> Path:
    """Return the jar with the rules, in the cache: a class-data archive knows its jars by time stamp.

    With credentials, or where nothing can be kept there, it is in the service's own folder.
    """
    own = place.folder / _ROOT_JAR
    if own.exists():
        return own
    if place.credentials is not None:
        _write_root_jar(own, _HOSTS + _guard(place.credentials) + _RULE, 0o600)
        return own
    rules = _HOSTS + _RULE
    version = hashlib.sha256(rules.encode()).hexdigest()[:8]
    try:
        return (
            template_folder(
                place.cache,
                f"schema-registry-root-{version}",
                lambda folder: _write_root_jar(folder / _ROOT_JAR, rules),
            )
            / _ROOT_JAR
        )
    except OSError:
        _write_root_jar(own, rules)
        return own


def converter_settings(registry: RegistryEndpoint) -> dict[str, str]:
    """Return the settings of the Avro converter, each without "key.converter" or "value.converter".

    Sources: Apicurio Registry documentation, "Configuring Kafka serializers/deserializers"; Confluent
    documentation, "Kafka Connect and Schema Registry".
    """
    url = (registry.url_from_connect or registry.url).rstrip("/")
    if registry.converter == "confluent":
        settings = {"": CONFLUENT_CONVERTER, ".schema.registry.url": url}
        if registry.basic is not None:
            settings[".basic.auth.credentials.source"] = "USER_INFO"
            settings[".basic.auth.user.info"] = ":".join(registry.basic)
        if registry.token is not None:
            settings[".bearer.auth.credentials.source"] = "STATIC_TOKEN"
            settings[".bearer.auth.token"] = registry.token.get_secret_value()
        return settings
    settings = {
        "": APICURIO_CONVERTER,
        ".apicurio.registry.url": f"{url}{NATIVE_PATH}",
        ".apicurio.registry.auto-register": "true",
        ".apicurio.registry.find-latest": "true",
        ".apicurio.registry.as-confluent": "true",
        ".apicurio.registry.headers.enabled": "false",
        ".apicurio.registry.use-id": "contentId",
    }
    if registry.basic is not None:
        username, password = registry.basic
        settings |= {".apicurio.auth.username": username, ".apicurio.auth.password": password}
    return settings


def _prepare(place: Place) -> None:
    _root_jar(place)
    (place.folder / "work").mkdir()


def _command(place: Place) -> list[str]:
    assert place.software is not None
    root_jar = _root_jar(place)
    class_path = f"{place.software / 'quarkus-run.jar'}:{root_jar}"
    java = list(place.java)
    if root_jar.parent == place.folder:
        # An archive made with this jar on the class path would be of no use to any other start.
        java = [flag for flag in java if not flag.startswith("-XX:ArchiveClassesAtExit")]
    return [*java, "-cp", class_path, "io.quarkus.bootstrap.runner.QuarkusEntryPoint"]


def contract_environment(place: Place) -> SchemaRegistryEnvironment:
    """Return the service model of the contract for this instance."""
    return SchemaRegistryEnvironment(
        schema_registry_host_name="localhost",
        schema_registry_kafkastore_bootstrap_servers=place.endpoints.kafka.bootstrap_servers
        if "kafka" in place.endpoints
        else _UNUSED,
        schema_registry_kafkastore_topic_replication_factor=max(
            1, sum(name in place.stack_ports for name in BROKERS)
        ),
        schema_registry_listeners=f"http://{LOOPBACK}:{place.ports['schema-registry']}",
    )


def _environment(place: Place) -> dict[str, str]:
    contract = contract_environment(place)
    return {
        "QUARKUS_HTTP_HOST": LOOPBACK,
        "QUARKUS_HTTP_PORT": str(place.ports["schema-registry"]),
        # Health and metrics, which nobody asks here: their port would let a page of any site read them.
        "QUARKUS_MANAGEMENT_HOST_ENABLED": "false",
        "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
        "QUARKUS_LOG_LEVEL": "DEBUG" if contract.schema_registry_debug else "WARN",
        # Deleting a subject is part of Confluent's API.
        "APICURIO_REST_DELETION_ARTIFACT_ENABLED": "true",
        "APICURIO_REST_DELETION_ARTIFACT_VERSION_ENABLED": "true",
        # In its folder, and written before it is confirmed: what was registered outlives a kill -9, as the
        # topics do that need it (H2 documentation, "SET WRITE_DELAY").
        "APICURIO_DATASOURCE_URL": f"jdbc:h2:{place.folder / _DATABASE};DB_CLOSE_ON_EXIT=FALSE;WRITE_DELAY=0",
        # Twenty idle connections to a database in the same process cost start-up time only.
        "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "1",
        "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "1",
        "APICURIO_STORAGE_SNAPSHOT_LOCATION": str(place.folder / "work"),
        "APICURIO_IMPORT_WORK_DIR": str(place.folder / "work"),
    }


def _check(place: Place) -> None:
    answer = send("GET", place.endpoints.schema_registry, "/subjects")
    if answer.status_code == 500 and _CANNOT_OPEN in answer.text and not place.is_attached:
        raise ServiceFailed(
            "start schema-registry",
            f"it cannot open {place.folder / _DATABASE}.mv.db, which nobody else uses: the file is damaged",
            "begin anew with a stack of its own (`lakebed down`); the schemas in that file are lost",
        )
    require_ok(answer, "/subjects")


def _complete(place: Place) -> None:
    """Set the contract's compatibility: Apicurio enforces none until it is told."""
    level = contract_environment(place).schema_registry_schema_compatibility_level
    _set_compatibility(place, "", level.value)


def _ask(method: str, place: Place, path: str, **arguments: Any) -> httpx.Response | None:
    return request(method, place.endpoints.schema_registry, path, **arguments)


def _subjects(place: Place) -> dict[str, str]:
    # Those deleted for the time being are there too: a new version of one would be its second.
    return dict.fromkeys(found(place.endpoints.schema_registry, "/subjects", params={"deleted": "true"}), "")


def _remove_subject(place: Place, name: str) -> None:
    """Delete a subject for good, with a compatibility of its own: Confluent's API wants it said twice."""
    path = f"/subjects/{quote(name, safe='')}"
    _ask("DELETE", place, path)
    _ask("DELETE", place, path, params={"permanent": "true"})


def _remove_subject_prefix(place: Place, prefix: str) -> None:
    for name in _subjects(place):
        if name.startswith(prefix):
            _remove_subject(place, name)


def _has_subject(place: Place, name: str) -> bool:
    path = f"/subjects/{quote(name, safe='')}/versions"
    return _ask("GET", place, path, params={"deleted": "true"}) is not None


def _has_subject_prefix(place: Place, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in _subjects(place))


def _has_compatibility(place: Place, subject: str) -> bool:
    """Whether a subject has a level of its own; the global one is everybody's, and always there."""
    return not subject or _ask("GET", place, _config_path(subject)) is not None


def _config_path(subject: str) -> str:
    return f"/config/{quote(subject, safe='')}" if subject else "/config"


def _compatibilities(place: Place) -> dict[str, str]:
    """Return the levels by subject, the global one by "".

    They come from the registry's export: one can be set for a subject that does not exist, and Confluent's
    API lists none (Apicurio Registry documentation, "Exporting and importing registry data").
    """
    levels = {"": str(found(place.endpoints.schema_registry, "/config")["compatibilityLevel"])}
    exported = _ask("GET", place, _EXPORT_PATH, headers={"Accept": "application/zip"})
    assert exported is not None
    with zipfile.ZipFile(io.BytesIO(exported.content)) as archive:
        for name in archive.namelist():
            if name.endswith("COMPATIBILITY.ArtifactRule.json"):
                rule = json.loads(archive.read(name))
                if rule["groupId"] in (None, "default"):
                    levels[rule["artifactId"]] = rule["configuration"]
    return levels


def _set_compatibility(place: Place, subject: str, level: str) -> None:
    _ask("PUT", place, _config_path(subject), json={"compatibility": level})


def _remove_compatibility(place: Place, subject: str) -> None:
    """Delete the level of a subject; the global one becomes the contract's."""
    if subject:
        # Apicurio's own API: Confluent's DELETE leaves a level of NONE in force.
        path = f"/apis/registry/v3/groups/default/artifacts/{quote(subject, safe='')}/rules/COMPATIBILITY"
        if _ask("DELETE", place, path) is None and place.is_attached:
            _ask("DELETE", place, _config_path(subject))
    else:
        _complete(place)


SCHEMA_REGISTRY = Service(
    name="schema-registry",
    title="Schema registry with Confluent's API (Apicurio)",
    ports={"schema-registry": 8081},
    memory_mb=270,
    jars="schema_registry",
    heap_mb=192,
    prepare=_prepare,
    command=_command,
    environment=_environment,
    check=_check,
    complete=_complete,
    resources=(
        ResourceKind("subject-prefix", _remove_subject_prefix, exists=_has_subject_prefix),
        ResourceKind("subject", _remove_subject, _subjects, exists=_has_subject),
        ResourceKind(
            "compatibility",
            _remove_compatibility,
            _compatibilities,
            _set_compatibility,
            _has_compatibility,
        ),
    ),
    other_names=("registry",),
    # The contract, section 1.2: Confluent's own server.
    container=Container(
        service="schema-registry",
        image="confluentinc/cp-schema-registry:7.5.0",
        port=8081,
        host_port=8081,
        environment=variables(
            typed_variables(
                SchemaRegistryEnvironment(
                    schema_registry_host_name="schema-registry",
                    schema_registry_kafkastore_bootstrap_servers="kafka:9092",
                    schema_registry_listeners="http://0.0.0.0:8081",
                )
            )
        ),
        healthcheck=contract_check("http://localhost:8081/subjects"),
        needs=("kafka",),
        profile="registry",
        container_name="cdc-schema-registry",
        every_interface=True,
    ),
)
