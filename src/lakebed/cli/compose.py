"""`lakebed compose`: the services as a Docker Compose file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lakebed.cli.output import err
from lakebed.compose.definitions import (
    PROFILES,
    definition_named,
    definitions_for,
    refuse_clusters,
    values_for,
)
from lakebed.compose.files import write_compose_file
from lakebed.compose.render import Options, render
from lakebed.compose.text import compose_text
from lakebed.config.settings import load_settings
from lakebed.services import KNOWN_NAMES

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _images(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read the values of `--image`: by service name, the image."""
    found: dict[str, str] = {}
    for value in values:
        name, _, image = value.partition("=")
        if not name or not image:
            raise click.BadParameter(f"{value!r}: write SERVICE=IMAGE")
        found[definition_named(name).name] = image
    return found


def _ports(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    """Read the values of `--port`: by service name, the number."""
    found: dict[str, int] = {}
    for value in values:
        name, _, number = value.partition("=")
        if not number.isdigit() or not 1 <= int(number) <= 65535:
            raise click.BadParameter(f"{value!r}: write SERVICE=NUMBER with a number from 1 to 65535")
        found[_name_of(name)] = int(number)
    return found


def _name_of(service: str) -> str:
    """Return the name of a service that has a container, or is one of several servers of a cluster."""
    return service if service in KNOWN_NAMES else definition_named(service).name


def port_option(help_text: str) -> Decorator:
    """Return the option `--port SERVICE=NUMBER`, as the argument `chosen_ports`."""
    return _repeated("--port", "chosen_ports", "SERVICE=NUMBER", _ports, help_text)


def image_option(help_text: str) -> Decorator:
    """Return the option `--image SERVICE=IMAGE`, as the argument `chosen_images`."""
    return _repeated("--image", "chosen_images", "SERVICE=IMAGE", _images, help_text)


def _repeated(option: str, argument: str, form: str, read: Callable[..., Any], help_text: str) -> Decorator:
    return click.option(option, argument, multiple=True, metavar=form, callback=read, help=help_text)


@click.group()
def compose() -> None:
    """The services as a Docker Compose file."""


@compose.command(name="render")
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@port_option("Another port on the host.")
@image_option("Another image.")
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    type=click.Choice(PROFILES),
    help="Start the services of this group only with `docker compose --profile NAME up`.",
)
@click.option("--loopback", is_flag=True, help="Publish every port on 127.0.0.1 only, 8081 and 8181 too.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of standard output.",
)
@click.option("--force", is_flag=True, help="Write over a file that lakebed did not write.")
def render_command(
    services: tuple[str, ...],
    chosen_ports: dict[str, int],
    chosen_images: dict[str, str],
    profiles: tuple[str, ...],
    loopback: bool,
    output: Path | None,
    force: bool,
) -> None:
    """Write a Docker Compose file with services and all they need.

    Without SERVICE: all of them, Spark's master and worker too.
    """
    settings = load_settings()
    names = [definition.name for definition in definitions_for(services)]
    refuse_clusters(names, settings)
    options = Options(
        ports=values_for(names, settings.ports) | chosen_ports,
        images=values_for(names, settings.images) | chosen_images,
        profiles=profiles,
        loopback=loopback,
    )
    document = render(services, options)
    text = compose_text(document)
    if output is None:
        click.echo(text, nl=False)
        return
    write_compose_file(output, text, force=force)
    err.print(f"{output} has {', '.join(document['services'])}", markup=False)
