"""What `--json` writes: one style for all commands.

Names in snake_case; times in ISO 8601, in UTC; durations in seconds and sizes in MB or bytes, with the unit
in the name. Only ASCII, so that nothing in it can be taken for a command by a terminal.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timezone
from typing import Any

import click

from lakebed.errors import LakebedError


def json_is_asked(arguments: list[str]) -> bool:
    """Whether a command line asks for JSON; also one that cannot be understood otherwise."""
    return "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)


def show_json(content: Mapping[str, Any]) -> None:
    """Write an object to standard output, indented."""
    click.echo(json.dumps(plain(content), indent=2))


def show_json_line(content: Mapping[str, Any]) -> None:
    """Write an object to standard output as one line, at once."""
    click.echo(json.dumps(plain(content)))


def plain(value: Any) -> Any:
    """Return a value with only what JSON has: bytes as base64; what has no form in it as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        # JSON has neither infinity nor a number that is none.
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        is_aware = value.tzinfo is not None
        return value.astimezone(timezone.utc).isoformat() if is_aware else value.isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value)


def error_json(error: Exception | str) -> dict[str, dict[str, str]]:
    """Return an error as `{"error": {"type", "attempted", "seen", "remedy"}}`."""
    if isinstance(error, str):
        parts = (error.title(), "run the command", error, "")
    elif isinstance(error, LakebedError):
        parts = (type(error).__name__, error.attempted, error.seen, error.remedy)
    elif isinstance(error, click.ClickException):
        # Its subclasses differ between versions of click.
        kind = "UsageError" if isinstance(error, click.UsageError) else type(error).__name__
        remedy = known_ones(error)
        if isinstance(error, click.UsageError) and error.ctx is not None and not remedy:
            remedy = f"`{error.ctx.command_path} --help` explains it"
        parts = (kind, "read the command line", error.format_message(), remedy)
    else:
        remedy = "this is a mistake of lakebed: report it"
        parts = (type(error).__name__, "run the command", str(error), remedy)
    return {"error": dict(zip(("type", "attempted", "seen", "remedy"), parts, strict=True))}


def known_ones(error: click.ClickException) -> str:
    """Return the known options or commands, for an error about an unknown one; else nothing."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return ""
    if isinstance(error, click.NoSuchOption):
        options = [option for parameter in context.command.get_params(context) for option in parameter.opts]
        return f"known options: {', '.join(option for option in options if option.startswith('-'))}"
    if isinstance(context.command, click.Group):
        return f"known commands: {', '.join(context.command.list_commands(context))}"
    return ""
