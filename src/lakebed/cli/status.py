"""`lakebed status`, once or as long as somebody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lakebed.cli.group import lakebed
from lakebed.cli.options import json_option, runtime_option

if TYPE_CHECKING:
    from lakebed.config.settings import Settings


@lakebed.command()
@click.option(
    "-w", "--watch", is_flag=True, help="Go on, and show every change, until Ctrl-C (exit code 130)."
)
@click.option(
    "--interval",
    "interval_seconds",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: how long to wait between two looks.",
)
@runtime_option
@json_option
def status(watch: bool, interval_seconds: float, runtime: str | None, as_json: bool) -> None:
    """Show the services of the running stack with their states; connectors and slots too.

    With --watch on a terminal, a table that is drawn anew; elsewhere a line for each change, with --json one
    with all of it.
    """
    from lakebed.cli.json_output import show_json
    from lakebed.cli.observation import look_for
    from lakebed.cli.output import out
    from lakebed.cli.status_view import status_view
    from lakebed.config.settings import load_settings

    settings = load_settings({"runtime": runtime})
    look = look_for(settings)
    if watch:
        from lakebed.cli.watching import watch_status

        raise click.exceptions.Exit(watch_status(look, interval_seconds, as_json=as_json))
    content = look()
    if as_json:
        show_json(content)
    elif content["services"]:
        out.print(status_view(content))
    else:
        out.print(_nothing(settings), markup=False)


def _nothing(settings: Settings) -> str:
    from lakebed.cli.native_runtime import no_stack
    from lakebed.compose.runtime import NOTHING_RUNS

    return NOTHING_RUNS if settings.runtime == "compose" else no_stack(settings)
