"""What the command shows: errors, tables, and progress for anything that takes over a second."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakebed.cli.json_output import known_ones
from lakebed.cli.visible import visible


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let it end the command with its own exit code, see `lakebed.cli.main`."""
        raise BrokenPipeError


# What a script reads goes to standard output, what a person watches to standard error.
out = _Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

STATE_STYLES = {
    "STOPPED": "red",
    "STARTING": "yellow",
    "HEALTHY": "green",
    "RUNNING": "bold green",
    "STOPPING": "yellow",
    # No state of a life cycle: somebody else runs it.
    "ATTACHED": "cyan",
}


def show_error(error: Exception | str) -> None:
    """Show an error's three parts on standard error."""
    if isinstance(error, click.ClickException):
        if isinstance(error, click.UsageError) and error.ctx is not None:
            err.print(error.ctx.get_usage(), markup=False)
        known = known_ones(error)
        text = error.format_message() + (f"\n  {known}" if known else "")
    else:
        text = str(error) or type(error).__name__
    # Log lines of servers stand in it.
    err.print(Text("error: ", style="bold red") + Text(visible(text)))


class StateLines:
    """Shows each change of a service's state as a line, with the seconds since the beginning."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event of `StackConnection.start`."""
        line = Text(f"{time.monotonic() - self._started:6.1f} s  {event['service']:<16}")
        line.append(event["state"], style=STATE_STYLES.get(event["state"], ""))
        if event["state"] in ("STARTING", "STOPPED") and event["reason"] != "start asked for":
            line.append(visible(f"  {event['reason']}".splitlines()[0]), style="dim")
        err.print(line)


def _service_state(service: dict[str, Any]) -> Text:
    text = Text(service["state"], style=STATE_STYLES.get(service["state"], ""))
    return text.append(", paused", style="bold red") if service.get("paused") else text


def services_table(services: list[dict[str, Any]]) -> Table:
    """Return the table of `lakebed status`."""
    table = Table(box=None, pad_edge=False)
    for column in ("service", "state", "since", "port", "pid", "memory", "start"):
        table.add_column(column, justify="right" if column in ("port", "pid", "memory", "start") else "left")
    for service in services:
        seconds = service["seconds_to_start"]
        table.add_row(
            service["service"],
            _service_state(service),
            service["history"][-1]["at"][:19].replace("T", " ") if service["history"] else "-",
            str(service.get("address") or service["port"]),
            str(service["pid"] or "-"),
            f"{service['memory_mb']} MB" if service["pid"] else "-",
            "-" if seconds is None else f"{seconds:.1f} s",
        )
    return table
