"""What a service is as a container: data from which a Compose file is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakebed.config.settings import Settings

NETWORK = "cdc-network"

Value = str | int | bool
Variables = Callable[[int | None], Mapping[str, Value]]


@dataclass(frozen=True)
class HealthCheck:
    """How the engine asks a container for its health (Compose specification, "healthcheck").

    Attributes:
        test: the command, "CMD" first; exit code 0 is healthy.
        interval: from the end of one check to the next.
        timeout: after which a check has failed.
        retries: failed checks in a row after which the container is unhealthy.
        start_period: how long failed checks do not count, or None for at once. A check that passes makes the
            container healthy in that time too, so short intervals make for a quick start on any machine.
    """

    test: tuple[str, ...]
    interval: str = "2s"
    timeout: str = "10s"
    retries: int = 5
    start_period: str | None = "60s"


def contract_check(url: str) -> HealthCheck:
    """Return the contract's health check: `curl -f URL` every 10 s, no time to start in."""
    return HealthCheck(("CMD", "curl", "-f", url), interval="10s", timeout="5s", start_period=None)


def variables(values: Mapping[str, Value]) -> Variables:
    """Return an `environment` that is the same on every host port."""
    return lambda host_port: values


@dataclass(frozen=True)
class Container:
    """How a service runs as a container; native and container definition stand in the same `Service`.

    Attributes:
        service: its name in the Compose file, by which the others reach it on the network.
        image: with its tag; of the version that runs natively, unless the contract says otherwise.
        image_for: where a setting chooses the version: returns the image to take instead; KeyError for one
            that there is no image of.
        port: what it listens on for clients on the host; None where it has none.
        host_port: where they find it, if no other port is asked for.
        healthcheck: its health, asked inside the container.
        environment: given the host port, its variables with their types.
        profile: the group it belongs to, for who wants it in a Compose profile.
        needs: services (names as in `lakebed up`) that must be healthy before it is started.
        command: what it is started with; nothing for what the image does by itself.
        container_name: a fixed name, or None where there may be several of it.
        host_gateway: whether it must reach servers on the host, as `host.docker.internal`.
        every_interface: whether the contract publishes its port on every interface of the host; all others
            are published on 127.0.0.1 only.
    """

    service: str
    image: str
    healthcheck: HealthCheck
    profile: str
    image_for: Callable[[Settings], str] | None = None
    port: int | None = None
    host_port: int | None = None
    environment: Variables = field(default=variables({}))
    needs: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    container_name: str | None = None
    host_gateway: bool = False
    every_interface: bool = False
