"""How `lakebed status` looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lakebed.cli.output import STATE_STYLES, services_table
from lakebed.cli.visible import visible_line

_STYLES = {
    **STATE_STYLES,
    "FAILED": "bold red",
    "PAUSED": "yellow",
    "UNASSIGNED": "yellow",
    "RESTARTING": "yellow",
    "CREATING": "yellow",
}
_TRACE_LETTERS = 100


def status_view(content: Mapping[str, Any]) -> RenderableType:
    """Return all of one look: services, and where there are any, connectors and slots."""
    services = content["services"]
    is_compose = content.get("runtime") == "compose"
    parts: list[RenderableType] = [containers_table(services) if is_compose else services_table(services)]
    if content.get("connectors"):
        parts += ["", connectors_table(content["connectors"])]
    if content.get("slots"):
        parts += ["", slots_table(content["slots"])]
    for service, seen in content.get("unanswered", {}).items():
        parts.append(Text(f"{service} does not answer: {visible_line(seen)}", style="yellow"))
    for one in content.get("left", ()):
        parts.append(Text(visible_line(f"could not be removed: {one['kind']} {one['name']}: {one['why']}")))
    return Group(*parts)


def _table(columns: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def _state(state: str) -> Text:
    return Text(state, style=_STYLES.get(state, ""))


def containers_table(services: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of the services with the runtime "compose"."""
    table = _table(("service", "state", "health", "port", "container", "image"), ("port",))
    for service in services:
        table.add_row(
            service["service"],
            _state(service["state"]),
            service["health"] or "-",
            str(service["port"] or "-"),
            service["container"],
            service["image"],
        )
    return table


def connectors_table(connectors: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of connectors: each with its tasks and the first line of why one has failed."""
    table = _table(("connector", "state", "tasks", "trace"), ())
    for connector in connectors:
        tasks = Text(", ").join(Text(f"{task['id']} ") + _state(task["state"]) for task in connector["tasks"])
        traces = [task["trace"].splitlines()[0] for task in connector["tasks"] if task["trace"]]
        table.add_row(
            Text(visible_line(connector["name"])),
            _state(connector["state"]),
            tasks if connector["tasks"] else Text("none"),
            Text(visible_line(traces[0][:_TRACE_LETTERS]) if traces else "", style="red"),
        )
    return table


def slots_table(slots: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of replication slots: who is behind, and by how much."""
    table = _table(("slot", "database", "reader", "WAL", "behind"), ("behind",))
    for slot in slots:
        lag = slot["lag_bytes"]
        table.add_row(
            Text(slot["slot"]),
            Text(visible_line(slot["database"] or "-")),
            Text("active", style="green") if slot["is_active"] else Text("none", style="yellow"),
            Text(slot["wal_status"] or "-", style="bold red" if slot["wal_status"] == "lost" else ""),
            "-" if lag is None else size(lag),
        )
    return table


def size(count: int) -> str:
    """Return a number of bytes for people: "832 B", "1.2 MB"."""
    if abs(count) < 1024:
        return f"{count} B"
    for unit, factor in (("kB", 1024), ("MB", 1024**2)):
        if abs(count) < 1024 * factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1024**3:.1f} GB"
