"""`up`, `down`, `status`, `logs` and `env` with the runtime "compose"."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from lakebed.cli.output import STATE_STYLES, StateLines, err, out
from lakebed.compose import runtime
from lakebed.compose.addresses import HostAddress
from lakebed.compose.definitions import definition_named
from lakebed.config.settings import Settings
from lakebed.errors import StackFailed
from lakebed.stack.addresses import Addresses

NOTHING_RUNS = "no container of lakebed's project is there"

option = click.option(
    "--runtime",
    type=click.Choice(["native", "compose"]),
    help="Plain processes, or containers by Docker Compose; over the setting `runtime`.",
)


def up(services: tuple[str, ...], settings: Settings) -> None:
    """Start services as containers and print their addresses."""

    def pulling(line: str) -> None:
        err.print(Text(f"          {line}", style="dim"))

    addresses = runtime.up(services, settings, on_event=StateLines(), on_pull=pulling)
    for name, value in variables(addresses).items():
        if name.endswith(("_URL", "_URI", "_SERVERS", "_ENDPOINT", "POSTGRES_PORT")):
            out.print(f"{name}={value}", markup=False)
    err.print("`lakebed env --runtime compose` prints all of it for a shell, `down` with the same ends it")


def variables(addresses: Mapping[str, HostAddress]) -> dict[str, str]:
    """Return the variables of `lakebed env` for the services that have an address."""
    ports = {name: {name: address.port} for name, address in addresses.items()}
    found = Addresses(ports).environment()
    if "spark-master" in addresses:
        master = addresses["spark-master"]
        found["SPARK_MASTER_URL"] = f"spark://{master.host}:{master.port}"
    return found


def down() -> bool:
    """Stop and remove lakebed's project; return whether there was a container of it."""
    return runtime.down(runtime.open_project())


def status(as_json: bool) -> None:
    """Show the containers with the states of their services."""
    content = runtime.status(runtime.open_project())
    if as_json:
        click.echo(json.dumps(content, indent=2))
    elif content["services"]:
        out.print(_table(content["services"]))
    else:
        out.print(NOTHING_RUNS)


def _table(services: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("service", "state", "health", "port", "container", "image"):
        table.add_column(column, justify="right" if column == "port" else "left")
    for service in services:
        table.add_row(
            service["service"],
            Text(service["state"], style=STATE_STYLES.get(service["state"], "")),
            service["health"] or "-",
            str(service["port"] or "-"),
            service["container"],
            service["image"],
        )
    return table


def logs(service: str, lines: int | None) -> None:
    """Print what a service's container has written."""
    name = definition_named(service).name
    project = runtime.open_project()
    there = [container.service for container in project.containers()]
    if name not in there:
        started = f"started: {', '.join(there) or 'nothing'}"
        raise StackFailed(f"read the log of {name}", "it was not started", started)
    click.echo(project.logs(name, lines), nl=False)


def env() -> None:
    """Print the addresses of the containers as shell exports."""
    for name, value in variables(runtime.addresses(runtime.open_project())).items():
        click.echo(f"export {name}={shlex.quote(value)}")
