"""How `lakebed logs` looks: plain lines, lines with coloured names before them, or JSON."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.text import Text

from lakebed.cli.exit_codes import INTERRUPTED
from lakebed.cli.json_output import show_json_line
from lakebed.cli.log_lines import LogLine, merged
from lakebed.cli.log_sources import Ended, LogSource
from lakebed.cli.output import err, out
from lakebed.cli.visible import visible, visible_line

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")


def colour_of(name: str, names: Sequence[str]) -> str:
    """Return the colour of one of these names: the same each time, another than its neighbours'."""
    return COLOURS[names.index(name) % len(COLOURS)] if name in names else ""


class LogView:
    """Writes lines of logs to standard output.

    Args:
        services: whose lines they are.
        as_json: an object a line: `event` ("line" or "ended"), `service`, `line`, `at`, `reason`.
        prefixed: whether the name of the service stands before each line.
    """

    def __init__(self, services: Sequence[str], *, as_json: bool, prefixed: bool) -> None:
        self._services = list(services)
        self._as_json = as_json
        self._width = max(map(len, services), default=0) if prefixed else 0

    def line(self, line: LogLine) -> None:
        """Show a line. What a terminal would obey is shown, not obeyed; a file gets it as it is."""
        if self._as_json:
            show_json_line({"event": "line", "service": line.service, "at": line.at, "line": line.text})
            return
        text = visible(line.text) if out.is_terminal else line.text
        if not self._width:
            click.echo(text, color=True)
            return
        colour = colour_of(line.service, self._services)
        if out.is_terminal:
            out.print(Text.assemble((f"{line.service:<{self._width}} | ", colour), text))
        else:
            click.echo(f"{line.service:<{self._width}} | {text}", color=True)

    def ended(self, one: Ended) -> None:
        """Say that a service has ended, on standard error."""
        err.print(Text(visible_line(f"{one.service} has ended: {one.reason}"), style="yellow"))
        if self._as_json:
            show_json_line({"event": "ended", "service": one.service, "reason": one.reason})


def show_logs(source: LogSource, *, as_json: bool, prefixed: bool, follow: bool) -> int:
    """Show what was written, and with `follow` what is written now; return the exit code."""
    view = LogView(source.services, as_json=as_json, prefixed=prefixed)
    try:
        for line in merged(source.until_now()):
            view.line(line)
        if not follow:
            for line in source.rest():
                view.line(line)
            return 0
        for one in source.from_now():
            if isinstance(one, Ended):
                view.ended(one)
            else:
                view.line(one)
    except KeyboardInterrupt:
        if follow:
            return INTERRUPTED
        raise
    return 0
