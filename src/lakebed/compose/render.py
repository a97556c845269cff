"""A Compose file as data: plain dictionaries in the form of the Compose specification. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakebed.compose.definitions import PROFILES, Definition, definition_named, definitions_for
from lakebed.compose.semantic import problems_of
from lakebed.errors import ComposeInvalid
from lakebed.services.container import NETWORK, HealthCheck
from lakebed.services.definition import LOOPBACK

Document = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What a Compose file may have otherwise than the definitions say.

    Attributes:
        ports: by service (any of its names), its port on the host.
        images: by service (any of its names), its image.
        profiles: the groups that get a Compose profile of their name, so that they start only with
            `docker compose --profile NAME up`.
        loopback: publish every port on 127.0.0.1 only, those of the contract as well.
    """

    ports: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    loopback: bool = False


def render(names: Iterable[str] = (), options: Options | None = None) -> Document:
    """Return the Compose file for the named services and all they need; no name means every service.

    Raises:
        UnknownService: a name that no service has, also in the options.
        ComposeInvalid: an option that changes nothing in this file or that makes it unusable, such as two
            services on one host port; every problem is named.
    """
    options = options or Options()
    definitions = definitions_for(names)
    ports = _by_name(options.ports)
    images = _by_name(options.images)
    _refuse_what_changes_nothing(definitions, ports, images, options.profiles)
    profiles = profiles_of(definitions, options.profiles)
    services = {
        definition.container.service: _service(
            definition, ports.get(definition.name), images.get(definition.name), profiles, options.loopback
        )
        for definition in definitions
    }
    document = {"services": services, "networks": {NETWORK: {"driver": "bridge"}}}
    problems = problems_of(document)
    if problems:
        raise ComposeInvalid(
            "write a Compose file", "; ".join(problems), "change the options named; nothing was written"
        )
    return document


def profiles_of(definitions: Iterable[Definition], chosen: Iterable[str]) -> dict[str, list[str]]:
    """Return the profiles of each service, by its name; none for one that always starts.

    A service that is needed by one without a profile has none, and one that is needed by several has all of
    theirs: otherwise Compose would refuse to start what needs it (Compose specification, "Using profiles").
    """
    definitions, chosen = list(definitions), set(chosen)
    profiles: dict[str, list[str]] = {}
    # Those that need it come after a service.
    for definition in reversed(definitions):
        own = {definition.container.profile} & chosen
        dependants = [one.name for one in definitions if definition.name in one.container.needs]
        if not own or any(not profiles[dependant] for dependant in dependants):
            profiles[definition.name] = []
        else:
            profiles[definition.name] = sorted(own.union(*(profiles[name] for name in dependants)))
    return profiles


def _by_name(given: Mapping[str, Any]) -> dict[str, Any]:
    return {definition_named(name).name: value for name, value in given.items()}


def _refuse_what_changes_nothing(
    definitions: list[Definition],
    ports: Mapping[str, int],
    images: Mapping[str, str],
    profiles: Iterable[str],
) -> None:
    rendered = {definition.name: definition for definition in definitions}
    problems = [
        f"{name} is not in the file, so its {what} changes nothing"
        for what, given in (("port", ports), ("image", images))
        for name in given
        if name not in rendered
    ]
    problems += [
        f"{name} has no port on the host"
        for name in ports
        if name in rendered and rendered[name].container.port is None
    ]
    problems += [
        f"there is no profile {name!r}; known profiles: {', '.join(PROFILES)}"
        for name in profiles
        if name not in PROFILES
    ]
    if problems:
        remedy = f"services in the file: {', '.join(rendered)}"
        raise ComposeInvalid("write a Compose file", "; ".join(problems), remedy)


def _service(
    definition: Definition,
    port: int | None,
    image: str | None,
    profiles: Mapping[str, list[str]],
    loopback: bool,
) -> Document:
    """Return one service, its keys in the contract's order."""
    container = definition.container
    host_port = port or container.host_port
    service: Document = {"image": image or container.image}
    if container.container_name is not None:
        service["container_name"] = container.container_name
    if profiles[definition.name]:
        service["profiles"] = profiles[definition.name]
    if container.command:
        service["command"] = [literal(part) for part in container.command]
    if container.needs:
        service["depends_on"] = {
            definition_named(needed).container.service: {"condition": "service_healthy"}
            for needed in container.needs
        }
    environment = container.environment(host_port)
    if environment:
        service["environment"] = {name: literal(value) for name, value in environment.items()}
    if container.port is not None:
        interface = "" if container.every_interface and not loopback else f"{LOOPBACK}:"
        service["ports"] = [f"{interface}{host_port}:{container.port}"]
    if container.host_gateway:
        service["extra_hosts"] = ["host.docker.internal:host-gateway"]
    service["healthcheck"] = _healthcheck(container.healthcheck)
    service["networks"] = [NETWORK]
    return service


def _healthcheck(check: HealthCheck) -> Document:
    period = {} if check.start_period is None else {"start_period": check.start_period}
    test = [literal(part) for part in check.test]
    return {
        "test": test,
        "interval": check.interval,
        "timeout": check.timeout,
        "retries": check.retries,
        **period,
    }


def literal(value: Any) -> Any:
    """Return a value that Compose takes as it is: it reads `$` as the beginning of a variable."""
    return value.replace("$", "$$") if isinstance(value, str) else value
