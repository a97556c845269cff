"""The commands `up`, `down`, `env`, `prefetch` and `demo`: thin layers over the rooms to their left.

What a command needs is imported when it runs: a press of the Tab key imports this file too.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakebed.cli.group import lakebed
from lakebed.cli.names import GROUP_NAMES
from lakebed.cli.options import (
    attach_option,
    image_option,
    json_option,
    port_option,
    runtime_option,
    services_argument,
)

if TYPE_CHECKING:
    from lakebed.config.settings import Settings

ALL_FLIGHTS = 336_776


@lakebed.command()
@services_argument(*GROUP_NAMES)
@port_option("Another port.")
@click.option("--memory-mb", type=int, help="How much memory the servers may use together; native only.")
@attach_option("Use a server that somebody else runs; see docs/attach.md; native only.")
@image_option("Another image; Compose only.")
@runtime_option
@json_option
def up(
    services: tuple[str, ...],
    chosen_ports: dict[str, int],
    memory_mb: int | None,
    attach: dict[str, str],
    chosen_images: dict[str, str],
    runtime: str | None,
    as_json: bool,
) -> None:
    """Start services on their well-known ports and leave them running.

    Without SERVICE: all of them. With what each needs. A second `up` adds to a running stack.
    Clusters only where they are named or set: `kafka-cluster`, `connect-cluster`, `spark-cluster`.
    """
    from lakebed.cli import compose_runtime, native_runtime
    from lakebed.config.settings import load_settings

    settings = load_settings(
        {
            "memory_mb": memory_mb,
            "attach": attach or None,
            "images": chosen_images or None,
            "runtime": runtime,
        }
    )
    if settings.runtime == "compose":
        if settings.attach:
            raise click.UsageError("the setting attach is for the native runtime, not for containers")
        compose_runtime.up(services, settings, chosen_ports, as_json)
        return
    if chosen_images:
        raise click.UsageError("--image is for containers: give --runtime compose too")
    native_runtime.up(services, settings, chosen_ports, as_json)


@lakebed.command()
@runtime_option
@json_option
def down(runtime: str | None, as_json: bool) -> None:
    """Stop the running stack and delete its data, also one whose supervisor was killed."""
    from lakebed.cli import compose_runtime, native_runtime
    from lakebed.cli.json_output import show_json
    from lakebed.cli.output import err
    from lakebed.compose.record import recorded_project
    from lakebed.config.settings import load_settings

    settings = load_settings({"runtime": runtime})
    is_compose = settings.runtime == "compose"
    with err.status("stopping"):
        ended = compose_runtime.down(settings) if is_compose else native_runtime.down(settings)
    err.print("stopped" if ended else native_runtime.NOT_RUNNING)
    other = None if is_compose else recorded_project(settings.data_folder)
    if other is not None:
        err.print(f"{other.described}; `lakebed down --runtime compose` ends them", markup=False)
    if as_json:
        show_json({"stopped": ended, "compose_project": None if other is None else other.name})


@lakebed.command()
@runtime_option
@json_option
def env(runtime: str | None, as_json: bool) -> None:
    """Print the running stack's addresses as shell exports: eval "$(lakebed env)"."""
    from lakebed.cli.json_output import show_json
    from lakebed.cli.running import running_addresses
    from lakebed.config.settings import load_settings

    found = running_addresses(load_settings({"runtime": runtime})).environment()
    if as_json:
        show_json({"environment": found})
        return
    for name, value in found.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@lakebed.command()
@services_argument("spark", *GROUP_NAMES)
@json_option
def prefetch(services: tuple[str, ...], as_json: bool) -> None:
    """Download all that services (and Spark) run from, so that later starts need no network."""
    from lakebed.cli.json_output import show_json
    from lakebed.cli.output import err
    from lakebed.config.settings import load_settings
    from lakebed.provision.cache import cache_folder
    from lakebed.provision.class_data import ensure_base_archive
    from lakebed.provision.progress import RichProgress
    from lakebed.provision.provide import provide
    from lakebed.services import jar_sets_for

    settings = load_settings()
    named = [jars for name in services for jars in _jar_sets(name, settings)]
    sets = named if services else jar_sets_for(settings)
    cache = cache_folder(settings.cache_folder)
    progress = RichProgress()
    provide(sets, cache=cache, mirror=settings.maven_mirror, progress=progress)
    ensure_base_archive(cache, progress.named)
    err.print(f"everything is in {cache}")
    if as_json:
        show_json({"cache_folder": str(cache), "sets": list(dict.fromkeys(sets))})


def _jar_sets(name: str, settings: Settings) -> list[str]:
    from lakebed.services import jar_sets, services_named

    return ["spark"] if name == "spark" else jar_sets(services_named(name), settings)


def _rows(context: click.Context, parameter: click.Parameter, value: str) -> int:
    if value == "all":
        return ALL_FLIGHTS
    if value.isdigit() and 1 <= int(value) <= ALL_FLIGHTS:
        return int(value)
    raise click.BadParameter(f"{value!r}: write a number from 1 to {ALL_FLIGHTS}, or all")


@lakebed.command()
@click.option("--rows", default="50000", show_default=True, callback=_rows, help="Flights, or 'all'.")
@json_option
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Write a report of it.",
)
def demo(rows: int, as_json: bool, report: Path | None) -> None:
    """Send real data through the whole chain and prove that it arrived.

    PostgreSQL -> Debezium (Avro) -> Kafka -> Spark -> Delta Lake and Iceberg on S3. Exit code 6 if any
    table differs from its source. Uses free ports and leaves nothing behind.
    """
    # Imported here: Spark's and Kafka's clients would cost every other command a second.
    from lakebed.cli.demo import run_demo

    run_demo(rows, as_json, report)
