"""What runs, of either runtime: for commands that use it and do not care who has started it."""

from __future__ import annotations

from lakebed.cli.native_runtime import client_name, found_stack
from lakebed.compose import runtime as compose
from lakebed.config.settings import Settings
from lakebed.errors import StackFailed
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import find_stack
from lakebed.stack.folders import NAME_OF_UP


def running_addresses(settings: Settings) -> Addresses:
    """Return the addresses of the stack that runs.

    Raises:
        StackFailed: none does.
        ComposeUnavailable: with the runtime "compose", Docker is not there.
    """
    if settings.runtime == "compose":
        found = compose.addresses(compose.open_project())
        return Addresses({name: {name: address.port} for name, address in found.items()})
    connection = found_stack(settings)
    try:
        ports, attached = connection.status()["ports"], connection.attached()
    finally:
        connection.hang_up()
    return Addresses(ports, settings.registry_credentials, attached)


def usable_addresses(settings: Settings, service: str) -> Addresses:
    """Return the addresses of the stack that runs, or, without one, those of the setting `attach`.

    Args:
        service: the one that is needed.

    Raises:
        StackFailed: neither has it.
    """
    if settings.runtime == "native" and service in settings.attach:
        connection = find_stack(settings, NAME_OF_UP, client_name())
        if connection is None:
            return Addresses({}, settings.registry_credentials, settings.attach)
        connection.hang_up()
    addresses = running_addresses(settings)
    if service not in addresses:
        there = ", ".join(addresses) or "nothing"
        remedy = f"start it with `lakebed up {service}`, or name another with the setting attach.{service}"
        raise StackFailed(f"find {service}", f"the stack that runs has only: {there}", remedy)
    return addresses
