"""The commands. Each is a thin layer over the rooms to its left."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any

import click

from lakebed import __version__
from lakebed.cli import compose_runtime
from lakebed.cli.compose import compose, image_option, port_option
from lakebed.cli.doctor import doctor
from lakebed.cli.output import StateLines, err, out, services_table
from lakebed.cli.ui import ui
from lakebed.config.settings import Settings, load_settings
from lakebed.errors import StackFailed
from lakebed.provision.cache import cache_folder
from lakebed.provision.class_data import ensure_base_archive
from lakebed.provision.lock import SETS
from lakebed.provision.progress import RichProgress
from lakebed.provision.provide import provide
from lakebed.services import service_named, services_named
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import StackConnection, end_stack, find_stack, open_stack
from lakebed.stack.folders import NAME_OF_UP, stacks_folder
from lakebed.stack.leftovers import find_leftovers

NOT_RUNNING = "no stack runs"
ALL_FLIGHTS = 336_776


def client_name() -> str:
    """Return how this command names itself to the supervisor."""
    return f"lakebed command (pid {os.getpid()})"


def _found(settings: Settings) -> StackConnection:
    connection = find_stack(settings, NAME_OF_UP, client_name())
    if connection is None:
        raise StackFailed("find the running stack", _no_stack(settings), "start one with `lakebed up`")
    return connection


def _no_stack(settings: Settings) -> str:
    """Say that no stack runs, or what is left of one."""
    for leftover in find_leftovers(stacks_folder(settings.data_folder)):
        if leftover.folder.path.name == NAME_OF_UP and leftover.processes:
            way = "`lakebed up` takes them over, " if leftover.can_be_taken_over else ""
            servers = ", ".join(f"{name} (pid {one.pid})" for name, one in leftover.processes.items())
            return f"its supervisor was killed; still running: {servers}; {way}`lakebed down` ends them"
    return NOT_RUNNING


def _attach(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    attach: dict[str, str] = {}
    for value in values:
        name, separator, address = value.partition("=")
        if not separator or not address:
            raise click.BadParameter("write SERVICE=ADDRESS, such as kafka=broker:9092")
        attach[service_named(name).name] = address
    return attach


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lakebed")
def lakebed() -> None:
    """A real change-data-capture lakehouse for your tests, with no Docker daemon.

    Exit codes: 0 all is well; 1 failed; 2 wrong use; 3 the machine lacks a port, memory, disk or Docker;
    4 a server failed; 5 a download failed; 6 tables differ; 130 interrupted.
    """


@lakebed.command()
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@port_option("Another port.")
@click.option("--memory-mb", type=int, help="How much memory the servers may use together; native only.")
@click.option(
    "--attach",
    multiple=True,
    metavar="SERVICE=ADDRESS",
    callback=_attach,
    help="Use a server that somebody else runs; see docs/attach.md; native only.",
)
@image_option("Another image; Compose only.")
@compose_runtime.option
def up(
    services: tuple[str, ...],
    chosen_ports: dict[str, int],
    memory_mb: int | None,
    attach: dict[str, str],
    chosen_images: dict[str, str],
    runtime: str | None,
) -> None:
    """Start services on their well-known ports and leave them running.

    Without SERVICE: all of them. With what each needs. A second `up` adds to a running stack.
    `spark-cluster`, a Spark master with two workers, only where it is named.
    """
    settings = load_settings(
        {
            "ports": chosen_ports or None,
            "memory_mb": memory_mb,
            "attach": attach or None,
            "images": chosen_images or None,
            "runtime": runtime,
        }
    )
    if settings.runtime == "compose":
        if settings.attach:
            raise click.UsageError("the setting attach is for the native runtime, not for containers")
        compose_runtime.up(services, settings)
        return
    if chosen_images:
        raise click.UsageError("--image is for containers: give --runtime compose too")
    for name in services:
        services_named(name)
    connection = open_stack(settings, NAME_OF_UP, client=client_name(), well_known_ports=True)
    try:
        found = connection.start(services, settings, progress=RichProgress(), on_event=StateLines())
        # Only now: whatever comes before this, a kill included, leaves nothing half started.
        connection.keep()
    except BaseException:
        connection.close()
        raise
    for name, value in Addresses.of(found, settings).environment().items():
        if name.endswith(("_URL", "_URI", "_SERVERS", "_ENDPOINT", "POSTGRES_PORT")):
            out.print(f"{name}={value}", markup=False)
    err.print("`lakebed env` prints all of it for a shell, `lakebed down` ends it")
    connection.close()


@lakebed.command()
@compose_runtime.option
def down(runtime: str | None) -> None:
    """Stop the running stack and delete its data, also one whose supervisor was killed."""
    settings = load_settings({"runtime": runtime})
    with err.status("stopping"):
        if settings.runtime == "compose":
            ended = compose_runtime.down()
        else:
            ended = end_stack(settings, NAME_OF_UP, client_name())
    err.print("stopped" if ended else NOT_RUNNING)


@lakebed.command()
@click.option("--json", "as_json", is_flag=True, help="For a script; see docs/cli.md for the fields.")
@compose_runtime.option
def status(as_json: bool, runtime: str | None) -> None:
    """Show the services of the running stack with their states."""
    settings = load_settings({"runtime": runtime})
    if settings.runtime == "compose":
        compose_runtime.status(as_json)
        return
    connection = find_stack(settings, NAME_OF_UP, client_name())
    content: dict[str, Any] = {"services": []} if connection is None else connection.status()
    if as_json:
        click.echo(json.dumps(content, indent=2))
    elif connection is None:
        out.print(_no_stack(settings))
    else:
        out.print(services_table(content["services"]))
        for one in content["left"]:
            out.print(f"could not be removed: {one['kind']} {one['name']}: {one['why']}", markup=False)


@lakebed.command()
@click.argument("service", metavar="SERVICE")
@click.option("-n", "--lines", type=click.IntRange(min=1), help="Only the last lines.")
@compose_runtime.option
def logs(service: str, lines: int | None, runtime: str | None) -> None:
    """Print the log of a service of the running stack."""
    settings = load_settings({"runtime": runtime})
    if settings.runtime == "compose":
        compose_runtime.logs(service, lines)
        return
    name = service_named(service).name
    connection = _found(settings)
    log = connection.folder.log(name)
    if not log.exists():
        entries = connection.status()["services"]
        running = [entry["service"] for entry in entries if entry["state"] != "ATTACHED"]
        if name in connection.attached():
            address = connection.attached().endpoints()[name].address
            raise StackFailed(
                f"read the log of {name}", f"it is attached at {address}", "ask whoever runs it for its log"
            )
        raise StackFailed(f"read the log of {name}", "it was not started", f"started: {', '.join(running)}")
    text = log.read_text(errors="replace")
    click.echo("\n".join(text.splitlines()[-lines:]) if lines else text, nl=bool(lines))


@lakebed.command()
@compose_runtime.option
def env(runtime: str | None) -> None:
    """Print the running stack's addresses as shell exports: eval "$(lakebed env)"."""
    settings = load_settings({"runtime": runtime})
    if settings.runtime == "compose":
        compose_runtime.env()
        return
    connection = _found(settings)
    ports_of_own, attached = connection.status()["ports"], connection.attached()
    addresses = Addresses(ports_of_own, settings.registry_credentials, attached)
    for name, value in addresses.environment().items():
        click.echo(f"export {name}={shlex.quote(value)}")


@lakebed.command()
@click.argument("services", nargs=-1, metavar="[SERVICE|spark]...")
def prefetch(services: tuple[str, ...]) -> None:
    """Download all that services (and Spark) run from, so that later starts need no network."""
    sets = [jars for name in services for jars in _jar_sets(name)] if services else list(SETS)
    settings = load_settings()
    cache = cache_folder(settings.cache_folder)
    progress = RichProgress()
    provide(sets, cache=cache, mirror=settings.maven_mirror, progress=progress)
    ensure_base_archive(cache, progress.named)
    err.print(f"everything is in {cache}")


def _jar_sets(name: str) -> list[str]:
    if name == "spark":
        return ["spark"]
    return [service.jars for service in services_named(name) if service.jars]


def _rows(context: click.Context, parameter: click.Parameter, value: str) -> int:
    if value == "all":
        return ALL_FLIGHTS
    if value.isdigit() and 1 <= int(value) <= ALL_FLIGHTS:
        return int(value)
    raise click.BadParameter(f"{value!r}: write a number from 1 to {ALL_FLIGHTS}, or all")


@lakebed.command()
@click.option("--rows", default="50000", show_default=True, callback=_rows, help="Flights, or 'all'.")
def demo(rows: int) -> None:
    """Send real data through the whole chain and prove that it arrived.

    PostgreSQL -> Debezium (Avro) -> Kafka -> Spark -> Delta Lake and Iceberg on S3. Exit code 6 if any
    table differs from its source. Uses free ports and leaves nothing behind.
    """
    # Imported here: Spark's and Kafka's clients would cost every other command a second.
    from lakebed.cli.demo import run_demo

    run_demo(rows)


lakebed.add_command(doctor)
lakebed.add_command(compose)
lakebed.add_command(ui)
