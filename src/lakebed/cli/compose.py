"""`lakebed compose`: the services as a Docker Compose file."""

from __future__ import annotations

from pathlib import Path

import click

from lakebed.cli.group import lakebed
from lakebed.cli.names import PROFILES
from lakebed.cli.options import image_option, json_option, port_option, services_argument


@lakebed.group()
def compose() -> None:
    """The services as a Docker Compose file."""


@compose.command(name="render")
@services_argument("spark-cluster")
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
@json_option
def render_command(
    services: tuple[str, ...],
    chosen_ports: dict[str, int],
    chosen_images: dict[str, str],
    profiles: tuple[str, ...],
    loopback: bool,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a Docker Compose file with services and all they need.

    Without SERVICE: all of them, Spark's master and worker too. With --json: the same file as JSON, which
    Compose reads as well; with --output too, what was written.
    """
    from lakebed.cli.json_output import show_json
    from lakebed.cli.output import err
    from lakebed.compose.definitions import (
        definition_named,
        definitions_for,
        images_for,
        refuse_clusters,
        values_for,
    )
    from lakebed.compose.files import write_compose_file
    from lakebed.compose.render import Options, render
    from lakebed.compose.text import compose_text
    from lakebed.config.settings import load_settings

    settings = load_settings()
    settings = settings.model_copy(update={"images": {**settings.images, **chosen_images}})
    ports = {definition_named(name).name: port for name, port in chosen_ports.items()}
    names = [definition.name for definition in definitions_for(services)]
    refuse_clusters(names, settings)
    options = Options(
        ports=values_for(names, settings.ports) | ports,
        # Those of the command line as they are, too: one that changes nothing in the file is refused.
        images=images_for(names, settings) | chosen_images,
        profiles=profiles,
        loopback=loopback,
    )
    document = render(services, options)
    text = compose_text(document)
    if output is None:
        show_json(document) if as_json else click.echo(text, nl=False)
        return
    write_compose_file(output, text, force=force)
    err.print(f"{output} has {', '.join(document['services'])}", markup=False)
    if as_json:
        show_json({"output": str(output), "services": list(document["services"])})
