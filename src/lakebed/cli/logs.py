"""`lakebed logs`: what the servers have written, and what they write now."""

from __future__ import annotations

import click

from lakebed.cli.group import lakebed
from lakebed.cli.names import GROUP_NAMES
from lakebed.cli.options import json_option, runtime_option, services_argument


@lakebed.command()
@services_argument(*GROUP_NAMES)
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with what they write, until Ctrl-C (exit code 130)."
)
@click.option("-n", "--lines", type=click.IntRange(min=1), help="Only the last lines, of each service.")
@runtime_option
@json_option
def logs(
    services: tuple[str, ...], follow: bool, lines: int | None, runtime: str | None, as_json: bool
) -> None:
    """Print the logs of services of the running stack; without SERVICE those of all.

    Several are merged by time, each line with the name of its service. With --follow, the end of a service is
    said on standard error, and the end of the stack ends the command.
    """
    from lakebed.cli.log_sources import open_logs
    from lakebed.cli.log_view import show_logs
    from lakebed.config.settings import load_settings

    settings = load_settings({"runtime": runtime})
    with open_logs(settings, services, lines=lines, follow=follow) as source:
        code = show_logs(source, as_json=as_json, prefixed=len(source.services) > 1, follow=follow)
    raise click.exceptions.Exit(code)
