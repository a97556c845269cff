"""The runtime "compose": what `lakebed up`, `down`, `status` and `env` do with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lakebed.compose.addresses import HostAddress, host_addresses
from lakebed.compose.containers import SeenContainer, life_of, published_addresses
from lakebed.compose.definitions import (
    definition_named,
    definitions_for,
    images_for,
    refuse_clusters,
    values_for,
)
from lakebed.compose.docker import find_docker
from lakebed.compose.project import Project, project_name
from lakebed.compose.render import Document, Options, render
from lakebed.compose.starting import OnEvent, OnPull, start_services
from lakebed.compose.text import compose_text
from lakebed.config.settings import Settings
from lakebed.errors import SettingsInvalid, StackFailed
from lakebed.stack.ports import refuse_taken

NOTHING_RUNS = "no container of lakebed's project is there"


def open_project() -> Project:
    """Return this user's project, after a look at Docker.

    Raises:
        ComposeUnavailable: Docker, its Compose plug-in or an engine on this machine is missing.
    """
    return Project(find_docker(), project_name())


def up(
    names: Iterable[str], settings: Settings, *, on_event: OnEvent, on_pull: OnPull
) -> dict[str, HostAddress]:
    """Start services and what they need, and return where they answer on this machine.

    What is wrong in the request, with Docker or with a port is found before anything is started.

    Services that run already stay as they are, with the ports they have.

    Raises:
        UnknownService, ComposeInvalid, SettingsInvalid: the request cannot work.
        ComposeUnavailable: as for `open_project`.
        PortTaken: a port is held by another process.
        ServiceFailed, DownloadFailed, StackFailed: as for `start_services`.
    """
    services = [definition.name for definition in definitions_for(names)]
    document = _document(services, settings)
    project = open_project()
    there = {container.service for container in project.containers()}
    wanted = {name: address for name, address in host_addresses(document).items() if name not in there}
    refuse_taken(
        "publish the ports of the services", ((name, address.port) for name, address in wanted.items())
    )
    start_services(project, compose_text(document), services, on_event=on_event, on_pull=on_pull)
    # Not those of the file: what ran before has kept its ports.
    return published_addresses(project.containers())


def _document(services: list[str], settings: Settings) -> Document:
    refuse_clusters(services, settings)
    if settings.registry_credentials is not None and "schema-registry" in services:
        raise SettingsInvalid(
            "start the schema registry with docker compose",
            "registry_username and registry_password are set, but the contract's container asks for none",
            "unset them, or use the native runtime",
        )
    ports, images = values_for(services, settings.ports), images_for(services, settings)
    return render(services, Options(ports=ports, images=images, loopback=True))


def addresses(project: Project) -> dict[str, HostAddress]:
    """Return, by lakebed's name of the service, where the containers that run answer on this machine.

    Raises:
        StackFailed: none runs.
    """
    found = published_addresses(project.containers())
    if not found:
        raise StackFailed(
            "find the running stack",
            "no container of it runs",
            "start one with `lakebed up --runtime compose`",
        )
    return found


def down(project: Project) -> bool:
    """Stop and remove everything of the project; return whether there was a container of it."""
    there = bool(project.containers())
    # Also without a container: a network or a volume may be left of one that was killed.
    project.down()
    return there


def status(project: Project) -> dict[str, Any]:
    """Return what `lakebed status --json` shows: the fields of the native runtime that containers have."""
    return {
        "runtime": "compose",
        "project": project.name,
        "services": [_entry(container) for container in project.containers()],
    }


def _entry(container: SeenContainer) -> dict[str, Any]:
    definition = definition_named(container.service)
    return {
        "service": container.service,
        "title": definition.title,
        "port": container.published.get(definition.container.port or 0),
        "container": container.name,
        "image": container.image,
        "health": container.health or None,
        "exit_code": container.exit_code if container.has_ended else None,
        **life_of(container).to_json(),
    }
