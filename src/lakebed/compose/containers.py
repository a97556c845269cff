"""What `docker compose ps` says of containers, and what that is in the life of a service. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lakebed.compose.addresses import HostAddress
from lakebed.compose.definitions import DEFINITIONS
from lakebed.errors import StackFailed
from lakebed.lifecycle import ServiceLifecycle, ServiceState
from lakebed.lifecycle.service import MAX_FAILED_CHECKS
from lakebed.services.definition import LOOPBACK

_NAMES = {definition.container.service: definition.name for definition in DEFINITIONS}
_TARGETS = {definition.name: definition.container.port for definition in DEFINITIONS}

_ENDED = ("exited", "dead")


@dataclass(frozen=True)
class SeenContainer:
    """A container as the engine shows it.

    Attributes:
        service: lakebed's name of its service ("s3" for `minio`).
        name: of the container.
        image: it was made from.
        state: created, running, paused, restarting, removing, exited or dead.
        health: starting, healthy or unhealthy; empty without a health check, or while it does not run.
        exit_code: of its process, once that has ended.
        published: ports on the host by its own ports.
        identity: the engine's id.
    """

    service: str
    name: str
    image: str
    state: str
    health: str
    exit_code: int
    published: dict[int, int]
    identity: str

    @property
    def has_ended(self) -> bool:
        """Whether its process was started and has ended."""
        return self.state in _ENDED

    @property
    def is_healthy(self) -> bool:
        """Whether it runs and answers; without a health check, whether it runs."""
        return self.state == "running" and self.health in ("healthy", "")


def containers_from_json(text: str) -> list[SeenContainer]:
    """Read the output of `docker compose ps --format json`; containers of unknown services are left out.

    Compose 2.21 and later write an object a line, earlier ones an array (docker/compose, release notes).

    Raises:
        StackFailed: it is neither, or a field is missing.
    """
    try:
        entries = json.loads(text) if text.lstrip().startswith("[") else _lines(text)
        return [_container(entry) for entry in entries if entry["Service"] in _NAMES]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        seen = f"{type(error).__name__}: {error}; it wrote: {text[:200]!r}"
        raise StackFailed(
            "read what `docker compose ps` says", seen, "update Docker's Compose plug-in"
        ) from error


def _lines(text: str) -> Iterable[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _container(entry: dict[str, Any]) -> SeenContainer:
    published = {
        int(one["TargetPort"]): int(one["PublishedPort"])
        for one in entry.get("Publishers") or []
        if one["PublishedPort"]
    }
    return SeenContainer(
        service=_NAMES[entry["Service"]],
        name=entry["Name"],
        image=entry.get("Image", ""),
        state=entry["State"],
        health=entry.get("Health", ""),
        exit_code=int(entry.get("ExitCode", 0)),
        published=published,
        identity=entry["ID"],
    )


def published_addresses(containers: Iterable[SeenContainer]) -> dict[str, HostAddress]:
    """Return, by lakebed's name of the service, where the containers that run answer on this machine."""
    found = {}
    for container in containers:
        target = _TARGETS[container.service]
        if target is not None and target in container.published:
            found[container.service] = HostAddress(LOOPBACK, container.published[target])
    return found


def observe(
    lifecycle: ServiceLifecycle, container: SeenContainer, failed_checks: int, last_output: str
) -> None:
    """Tell a life cycle that was started what is seen of its container now.

    Args:
        failed_checks: how many of the engine's checks failed in a row up to now.
        last_output: what the last one said.
    """
    state = lifecycle.state
    if state is ServiceState.STOPPED:
        return
    if container.has_ended:
        lifecycle.terminated(container.exit_code)
    elif container.is_healthy:
        lifecycle.check_passed()
    elif container.state == "running":
        # Unhealthy is what five failed checks are, whatever has been seen of them.
        failed = MAX_FAILED_CHECKS if container.health == "unhealthy" else failed_checks
        seen = last_output or f"the engine calls the container {container.health}"
        for _ in range(lifecycle.failed_checks, failed):
            lifecycle.check_failed(seen)


def life_of(container: SeenContainer) -> ServiceLifecycle:
    """Return the life cycle of a container, as far as it can be told from one look."""
    lifecycle = ServiceLifecycle(container.service)
    lifecycle.start("its container was made")
    if container.state == "removing":
        lifecycle.check_passed()
        lifecycle.stop("its container is being removed")
    else:
        observe(lifecycle, container, 0, "")
    return lifecycle
