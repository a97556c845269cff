"""What a Compose file must fulfil beyond its schema to work. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from typing import Any

from lakebed.config.environment import IcebergRestEnvironment, SchemaRegistryEnvironment
from lakebed.config.registry import CompatibilityMode
from lakebed.services.container import NETWORK
from lakebed.services.definition import LOOPBACK

# By service, the contract's table of its variables (sections 1.1 and 1.2).
TABLES: Mapping[str, type[IcebergRestEnvironment] | type[SchemaRegistryEnvironment]] = {
    "iceberg-rest": IcebergRestEnvironment,
    "schema-registry": SchemaRegistryEnvironment,
}

_IMAGE = re.compile(r"[a-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?")
_PUBLISHED = re.compile(r"(?:(?P<host>[\d.]+):)?(?P<published>\d+):(?P<target>\d+)")
_NAMED_HOST = re.compile(r"(?:^|[/,@])([a-z][a-z0-9-]*):\d+")
_HEALTHCHECK_KEYS = ("test", "interval", "timeout", "retries")

Services = Mapping[str, Mapping[str, Any]]


def problems_of(document: Mapping[str, Any]) -> list[str]:
    """Return what would keep a Compose file from working, a sentence each; none for a good one.

    Args:
        document: the file as `render` makes it: ports in the short form, `depends_on` and `environment` as
            mappings.
    """
    services: Services = document.get("services", {})
    checks = (
        _images(services),
        _health_checks(services),
        _needs(services),
        _profiles(services),
        _addresses(services),
        _tables(services),
        _ports(services),
        _container_names(services),
        _networks(services, document.get("networks", {})),
    )
    return [problem for check in checks for problem in check]


def _images(services: Services) -> Iterator[str]:
    for name, service in services.items():
        image = service.get("image")
        if not isinstance(image, str) or not _IMAGE.fullmatch(image):
            yield f"{name} has the image {image!r}, which is no name of one (write [HOST/]NAME[:TAG])"


def _health_checks(services: Services) -> Iterator[str]:
    for name, service in services.items():
        check = service.get("healthcheck", {})
        lacking = [key for key in _HEALTHCHECK_KEYS if not check.get(key)]
        if lacking:
            yield f"{name} has no {', '.join(lacking)} in its healthcheck"
        elif check["test"][0] not in ("CMD", "CMD-SHELL"):
            yield f"{name} has a healthcheck of kind {check['test'][0]}, which asks nothing"


def _needs(services: Services) -> Iterator[str]:
    started: set[str] = set()
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            if needed not in services:
                yield f"{name} depends on {needed}, which is not in the file"
            elif how.get("condition") != "service_healthy":
                yield f"{name} does not wait until {needed} is healthy"
            elif needed not in started:
                yield f"{name} depends on {needed}, which does not stand before it"
        started.add(name)


def _profiles(services: Services) -> Iterator[str]:
    for name, service in services.items():
        own = set(service.get("profiles", ()))
        for needed in service.get("depends_on", {}):
            there = set(services.get(needed, {}).get("profiles", ()))
            if there and not (own and own <= there):
                yield f"{name} can start without a profile of {needed}, which it depends on"


def _addresses(services: Services) -> Iterator[str]:
    """Find variables and commands that name a host which is not there, or which is not waited for."""
    for name, service in services.items():
        places = [
            *service.get("environment", {}).items(),
            *(("command", part) for part in service.get("command", ())),
        ]
        for place, value in places:
            for host in _NAMED_HOST.findall(str(value)):
                if host not in ("localhost", name) and host not in service.get("depends_on", {}):
                    yield f"{name} names {host} in {place}, but does not depend on it"


def _tables(services: Services) -> Iterator[str]:
    for name, table in TABLES.items():
        if name not in services:
            continue
        environment = services[name].get("environment", {})
        rows = fields(table)
        lacking = [row.metadata["variable"] for row in rows if row.metadata["variable"] not in environment]
        if lacking:
            yield f"{name} has no {', '.join(lacking)}"
            continue
        try:
            table(**{row.name: _read(row, environment[row.metadata["variable"]]) for row in rows})
        except (TypeError, ValueError) as error:
            yield f"{name}: {error}"


def _read(row: Field[Any], value: object) -> Any:
    """Return a compatibility mode for its name; all other types are those of the file."""
    is_mode = isinstance(row.default, CompatibilityMode) and value in CompatibilityMode.__members__
    return CompatibilityMode(value) if is_mode else value


def _ports(services: Services) -> Iterator[str]:
    users: dict[int, str] = {}
    for name, service in services.items():
        for text in service.get("ports", ()):
            match = _PUBLISHED.fullmatch(str(text))
            if match is None:
                yield f"{name} publishes {text!r}; allowed: [HOST:]PORT:PORT"
                continue
            published = int(match["published"])
            if not (1 <= published <= 65535 and 1 <= int(match["target"]) <= 65535):
                yield f"{name} publishes {text}, which has a port that is not from 1 to 65535"
            if published in users:
                yield f"port {published} of the host is asked for by both {users[published]} and {name}"
            users[published] = name
            if match["host"] != LOOPBACK and name not in TABLES:
                yield f"{name} publishes {text} on more than {LOOPBACK}"


def _container_names(services: Services) -> Iterator[str]:
    users: dict[str, str] = {}
    for name, service in services.items():
        container = service.get("container_name")
        if container is not None and container in users:
            yield f"the container name {container} is asked for by both {users[container]} and {name}"
        elif container is not None:
            users[container] = name


def _networks(services: Services, networks: Mapping[str, Any]) -> Iterator[str]:
    if NETWORK not in networks:
        yield f"the file has no network {NETWORK}"
    for name, service in services.items():
        if NETWORK not in service.get("networks", ()):
            yield f"{name} is not on {NETWORK}"
