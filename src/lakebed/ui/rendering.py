"""The templates, filled in. All that they are given is escaped."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(clock=clock, bytes=byte_count, change_words=change_words)
    environment.globals["link"] = link
    return environment


def render(template: str, **names: Any) -> str:
    """Return a template of `templates/`, filled in."""
    return _environment().get_template(template).render(**names)


def link(path: str, /, **query: object) -> str:
    """Return a path with a query, percent-encoded; what is None is left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def clock(at: str, today: datetime | None = None) -> str:
    """Return a time, given in ISO 8601, as a clock on this machine shows it; with its day if not today's."""
    if not at:
        return "-"
    local = datetime.fromisoformat(at).astimezone()
    told = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
    now = (today or datetime.now()).astimezone()
    return told if local.date() == now.date() else f"{local:%Y-%m-%d} {told}"


def byte_count(count: int) -> str:
    """Return a number of bytes with a unit."""
    if abs(count) < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if abs(count) < 1_000_000 else f"{count / 1e6:.1f} MB"


def change_words(kind: str) -> str:
    """Return in words what the feed calls a kind of change."""
    return {"update_preimage": "update, before", "update_postimage": "update, after"}.get(kind, kind)
