"""`up`, `down` and `logs` with the runtime "compose"."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from lakebed.cli.native_runtime import show_addresses
from lakebed.cli.output import StateLines, err
from lakebed.compose import runtime
from lakebed.compose.definitions import definition_named, definitions_for
from lakebed.compose.project import project_name
from lakebed.compose.record import RecordedProject, forget_project, record_project
from lakebed.config.settings import Settings
from lakebed.stack.addresses import Addresses


def up(services: tuple[str, ...], settings: Settings, chosen_ports: Mapping[str, int], as_json: bool) -> None:
    """Start services as containers and show their addresses."""

    def pulling(line: str) -> None:
        err.print(Text(f"          {line}", style="dim"))

    ports = {definition_named(name).name: port for name, port in chosen_ports.items()}
    if ports:
        settings = settings.model_copy(update={"ports": {**settings.ports, **ports}})
    addresses = runtime.up(services, settings, on_event=StateLines(), on_pull=pulling)
    started = tuple(definition.name for definition in definitions_for(services))
    record_project(settings.data_folder, RecordedProject(project_name(), started))
    found = {name: {name: address.port} for name, address in addresses.items()}
    show_addresses("compose", found, Addresses(found).environment(), as_json)
    err.print("`lakebed env --runtime compose` prints all of it for a shell, `down` with the same ends it")


def down(settings: Settings) -> bool:
    """Stop and remove lakebed's project; return whether there was a container of it."""
    ended = runtime.down(runtime.open_project())
    forget_project(settings.data_folder)
    return ended
