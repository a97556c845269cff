"""Where the services of a Compose file answer on this machine. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakebed.compose.definitions import DEFINITIONS
from lakebed.services.definition import LOOPBACK


@dataclass(frozen=True)
class HostAddress:
    """Where programs on this machine reach a container.

    Attributes:
        host: 127.0.0.1, whichever interfaces its port is published on.
        port: the published port.
    """

    host: str
    port: int


def host_addresses(document: Mapping[str, Any]) -> dict[str, HostAddress]:
    """Return, by lakebed's name of the service ("s3" for `minio`), the address on this machine.

    Args:
        document: the file as `render` makes it.

    Returns:
        Those that publish a port, in the file's order.
    """
    names = {definition.container.service: definition.name for definition in DEFINITIONS}
    return {
        names[service]: HostAddress(LOOPBACK, int(content["ports"][0].split(":")[-2]))
        for service, content in document["services"].items()
        if content.get("ports")
    }
