"""`up` and `down` with the runtime "native", and the stack that they and others look for."""

from __future__ import annotations

import os
from collections.abc import Mapping

from lakebed.cli.json_output import show_json
from lakebed.cli.output import StateLines, err, out
from lakebed.config.settings import Settings
from lakebed.errors import StackFailed
from lakebed.provision.progress import RichProgress
from lakebed.services import service_named, services_named
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import StackConnection, end_stack, find_stack, open_stack
from lakebed.stack.folders import NAME_OF_UP, stacks_folder
from lakebed.stack.leftovers import find_leftovers

NOT_RUNNING = "no stack runs"
# The endings of those variables that say where a service answers, and tell no secret.
_ADDRESSES = ("_URL", "_URI", "_SERVERS", "_ENDPOINT", "POSTGRES_PORT")


def client_name() -> str:
    """Return how this command names itself to the supervisor."""
    return f"lakebed command (pid {os.getpid()})"


def found_stack(settings: Settings) -> StackConnection:
    """Return a connection to the stack of `up`.

    Raises:
        StackFailed: none runs; it says what is left of one.
    """
    connection = find_stack(settings, NAME_OF_UP, client_name())
    if connection is None:
        raise StackFailed("find the running stack", no_stack(settings), "start one with `lakebed up`")
    return connection


def no_stack(settings: Settings) -> str:
    """Say that no stack runs, or what is left of one."""
    for leftover in find_leftovers(stacks_folder(settings.data_folder)):
        if leftover.folder.path.name == NAME_OF_UP and leftover.processes:
            way = "`lakebed up` takes them over, " if leftover.can_be_taken_over else ""
            servers = ", ".join(f"{name} (pid {one.pid})" for name, one in leftover.processes.items())
            return f"its supervisor was killed; still running: {servers}; {way}`lakebed down` ends them"
    return NOT_RUNNING


def up(services: tuple[str, ...], settings: Settings, chosen_ports: Mapping[str, int], as_json: bool) -> None:
    """Start services as plain processes and show their addresses."""
    ports = {service_named(name).name: port for name, port in chosen_ports.items()}
    for name in services:
        services_named(name)
    if ports:
        settings = settings.model_copy(update={"ports": {**settings.ports, **ports}})
    connection = open_stack(settings, NAME_OF_UP, client=client_name(), well_known_ports=True)
    try:
        found = connection.start(services, settings, progress=RichProgress(), on_event=StateLines())
        # Only now: whatever comes before this, a kill included, leaves nothing half started.
        connection.keep()
    except BaseException:
        connection.close()
        raise
    show_addresses("native", found, Addresses.of(found, settings).environment(), as_json)
    err.print("`lakebed env` prints all of it for a shell, `lakebed down` ends it")
    connection.close()


def show_addresses(
    runtime: str, ports: Mapping[str, Mapping[str, int]], variables: Mapping[str, str], as_json: bool
) -> None:
    """Show where the services of a stack answer, after they were started."""
    addresses = {name: value for name, value in variables.items() if name.endswith(_ADDRESSES)}
    if as_json:
        show_json({"runtime": runtime, "ports": ports, "addresses": addresses})
        return
    for name, value in addresses.items():
        out.print(f"{name}={value}", markup=False)


def down(settings: Settings) -> bool:
    """Stop the stack of `up` and delete its data; return whether there was one."""
    return end_stack(settings, NAME_OF_UP, client_name())
