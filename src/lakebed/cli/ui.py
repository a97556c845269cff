"""`lakebed ui`: the stack in a browser."""

from __future__ import annotations

from functools import partial

import click

from lakebed.cli.group import lakebed
from lakebed.cli.json_output import show_json
from lakebed.cli.options import json_option
from lakebed.cli.output import err, out
from lakebed.config.settings import load_settings
from lakebed.errors import LakebedError
from lakebed.stack.folders import NAME_OF_UP


@lakebed.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Listen there; without it a free port."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option(
    "--stack",
    "name",
    default=NAME_OF_UP,
    show_default=True,
    help="Another one: the name of its folder, such as a running test session's.",
)
@json_option
def ui(port: int, no_browser: bool, name: str, as_json: bool) -> None:
    """Show the running stack in a browser: a live page, until Ctrl-C.

    Services with their logs, connectors with pause, resume and restart, topics with decoded messages,
    subjects with what differs between versions, Delta and Iceberg tables with their changes. The page is for
    you only: on 127.0.0.1, and for who has the printed address. It waits for a stack when none runs.
    """
    try:
        from lakebed.ui.looking import look
        from lakebed.ui.serving import serve
    except ModuleNotFoundError as error:
        raise LakebedError(
            "show the page", f"the package {error.name} is not installed", 'pip install "lakebed[ui]"'
        ) from error
    if "/" in name or name in ("", ".", ".."):
        raise click.BadParameter(f"{name!r} is no name of a stack", param_hint="--stack")
    settings = load_settings()

    def say(address: str) -> None:
        if as_json:
            show_json({"address": address})
        else:
            out.print(address, markup=False)
        err.print("open it in a browser; Ctrl-C ends the page, and nothing else")

    serve(partial(look, settings, name), port, browser=not no_browser, on_ready=say)
