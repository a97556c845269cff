"""`lakebed status --watch`: looks again and again, and shows what has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from lakebed.cli.exit_codes import INTERRUPTED
from lakebed.cli.json_output import show_json_line
from lakebed.cli.observation import Facts, Look
from lakebed.cli.output import out
from lakebed.cli.status_view import status_view
from lakebed.cli.visible import visible_line
from lakebed.errors import ComposeUnavailable, OtherVersion, StackFailed

Changes = list[tuple[str, str, str]]
Show = Callable[[Mapping[str, Any], Changes, datetime], None]

_HINT = "Ctrl-C ends watching, and nothing else"


def watch_status(look: Look, interval_seconds: float, *, as_json: bool) -> int:
    """Look until Ctrl-C; return the exit code for that.

    On a terminal a table is drawn anew whenever something in it has changed. Elsewhere each change of a state
    is a line, and with `as_json` the whole of it in one line.

    Raises:
        ComposeUnavailable, StackFailed: at the first look already. Later ones say what they see and go on.
    """
    try:
        if as_json:
            _watch_lines(look, interval_seconds, _json_line)
        elif out.is_terminal:
            _watch_live(look, interval_seconds)
        else:
            _watch_lines(look, interval_seconds, _text_lines)
    except KeyboardInterrupt:
        return INTERRUPTED
    raise AssertionError("watching has no other end")


def _looks(look: Look, interval_seconds: float) -> Iterator[dict[str, Any]]:
    pause = threading.Event()
    content = look()
    while True:
        yield content
        pause.wait(interval_seconds)
        try:
            content = look()
        except OtherVersion:
            raise
        except (ComposeUnavailable, StackFailed) as error:
            content = {"services": [], "error": ": ".join(error.seen.splitlines()) or str(error)}


def _watch_lines(look: Look, interval_seconds: float, show: Show) -> None:
    before: Facts | None = None
    for content in _looks(look, interval_seconds):
        facts = Facts.of(content)
        if before is None or facts != before:
            show(content, facts.changes(before or Facts()), datetime.now(timezone.utc))
        before = facts


def _json_line(content: Mapping[str, Any], changes: Changes, at: datetime) -> None:
    show_json_line({"at": at, **content})


def _text_lines(content: Mapping[str, Any], changes: Changes, at: datetime) -> None:
    time = at.astimezone().strftime("%H:%M:%S")
    if not content["services"] and not content.get("error"):
        out.print(Text(f"{time}  no stack runs"))
    for kind, name, said in changes:
        out.print(Text(f"{time}  {kind} {visible_line(name)}: {visible_line(said)}"))
    out.file.flush()


def _watch_live(look: Look, interval_seconds: float) -> None:
    # Not `out`, which lets lines be longer than the terminal is wide: they would be drawn over each other.
    console = Console(highlight=False)
    shown: dict[str, Any] | None = None
    # At its end what was shown last stays, and the cursor is there again.
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for content in _looks(look, interval_seconds):
            if content != shown:
                live.update(_screen(content), refresh=True)
                shown = content


def _screen(content: Mapping[str, Any]) -> RenderableType:
    if content.get("error"):
        body: RenderableType = Text(visible_line(content["error"]), style="red")
    elif content["services"]:
        body = status_view(content)
    else:
        body = Text("no stack runs; `lakebed up` in another terminal starts one", style="yellow")
    return Group(body, Text(_HINT, style="dim"))
