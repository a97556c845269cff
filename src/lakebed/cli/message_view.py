"""How `lakebed tail` shows a message: a line on where it stands and a line on what it says, or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from rich.text import Text

from lakebed.cdc.events import ABSENT, UNAVAILABLE, ChangeEvent, Operation
from lakebed.cdc.messages import SeenMessage
from lakebed.cli.json_output import plain
from lakebed.cli.visible import visible_line

_OPERATION_STYLES = {
    Operation.READ: "cyan",
    Operation.CREATE: "green",
    Operation.UPDATE: "yellow",
    Operation.DELETE: "red",
    Operation.TRUNCATE: "magenta",
    Operation.MESSAGE: "blue",
}
_LONGEST_VALUE, _LONGEST_TEXT = 300, 2000


def message_text(message: SeenMessage, topic_style: str = "") -> Text:
    """Return a message for people; nothing in it can be obeyed by a terminal."""
    return Text("\n").join([_heading(message, topic_style), *_body(message)])


def _heading(message: SeenMessage, topic_style: str) -> Text:
    event = message.event
    at = "-" if message.at is None else message.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    # Not as the style of the whole line, which all that is added to it would have too.
    line = Text.assemble((f"{at} ", "dim"))
    line.append(visible_line(message.topic), style=topic_style or "bold")
    line.append(f" {message.partition}@{message.offset} ", style="dim")
    if event is None or event.is_tombstone:
        words = {"plain": "", "tombstone": "TOMBSTONE", "undecodable": "UNDECODABLE"}[message.kind]
        line.append(words, style="bold red" if message.kind == "undecodable" else "dim")
    else:
        line.append(event.op.name, style=f"bold {_OPERATION_STYLES[event.op]}")
    if message.key is not None:
        line.append(" ")
        line.append(_row(message.key) if isinstance(message.key, Mapping) else _key(message.key))
    if event is not None and event.source is not None:
        line.append(f"  {event.source.lsn_text}", style="dim")
        if event.source.is_snapshot:
            line.append(" snapshot", style="dim")
    if message.latency_seconds is not None:
        line.append(f" +{message.latency_seconds * 1000:.0f} ms", style="dim")
    line.rstrip()
    return line


def _key(key: Any) -> Text:
    return Text(value_text(key), style="bold")


def _body(message: SeenMessage) -> list[Text]:
    lines: list[Text] = []
    if message.event is not None:
        lines += _event_lines(message.event)
    elif message.undecoded is not None:
        lines.append(Text(_shortened(repr(message.undecoded), _LONGEST_TEXT)))
    elif isinstance(message.value, str):
        lines.append(Text(_shortened(visible_line(message.value), _LONGEST_TEXT)))
    elif message.value is not None:
        lines.append(Text(_shortened(_json(message.value), _LONGEST_TEXT)))
    if message.reason is not None:
        lines.append(Text(visible_line(message.reason), style="yellow"))
    return [Text("    ") + line for line in lines]


def _event_lines(event: ChangeEvent) -> list[Text]:
    if event.message is not None:
        prefix, content = visible_line(event.message.prefix), event.message.content
        return [Text(f"{prefix}: {_shortened(repr(content), _LONGEST_TEXT)}")]
    lines: list[Text] = []
    for words, other in (("was key", event.old_key), ("becomes key", event.new_key)):
        if other is not None:
            lines.append(Text.assemble((f"{words} ", "dim"), _row(other)))
    if event.before is not None and event.after is not None:
        changed = event.changed()
        lines += [_change(name, before, after) for name, (before, after) in changed.items()]
        if not changed:
            lines.append(Text("nothing changed that the event has", style="dim"))
    elif event.row is not None:
        lines.append(_row(event.row))
    return lines


def _change(name: str, before: Any, after: Any) -> Text:
    return Text.assemble(
        (visible_line(name), "bold"),
        " ",
        (value_text(before), "red"),
        " -> ",
        (value_text(after), "green"),
    )


def _row(row: Mapping[str, Any]) -> Text:
    return Text(" ").join(
        Text.assemble((f"{visible_line(str(name))}=", "dim"), value_text(value))
        for name, value in row.items()
    )


def value_text(value: Any) -> str:
    """Return a value of a column in a line: texts in quotes, NULL for None."""
    if value is None:
        return "NULL"
    if value is UNAVAILABLE or value is ABSENT:
        return str(value.value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Mapping, list, tuple)):
        return _shortened(_json(value), _LONGEST_VALUE)
    # Python's own form has every letter that cannot be printed as an escape.
    return _shortened(repr(value) if isinstance(value, (str, bytes)) else str(value), _LONGEST_VALUE)


def _json(value: Any) -> str:
    return visible_line(json.dumps(plain(value), ensure_ascii=False))


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} letters)"


def message_json(message: SeenMessage) -> dict[str, Any]:
    """Return a message for a script: see docs/cli.md."""
    event = message.event
    found: dict[str, Any] = {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "at": message.at,
        "kind": message.kind,
        "key": message.key,
    }
    if event is not None and message.kind == "event":
        found |= {
            "op": event.op.value,
            "before": _available(event.before),
            "after": _available(event.after),
            "changed": sorted(event.changed()),
            "unavailable": sorted(name for name, value in (event.row or {}).items() if value is UNAVAILABLE),
            "source": _source(event),
            "latency_seconds": message.latency_seconds,
        }
        if event.message is not None:
            found["message"] = {"prefix": event.message.prefix, "content_base64": event.message.content}
    if message.kind == "plain":
        found["value"] = message.value
    if message.undecoded is not None:
        found["value_base64"] = message.undecoded
    if message.reason is not None:
        found["reason"] = message.reason
    return found


def _available(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {name: None if value is UNAVAILABLE else value for name, value in row.items()}


def _source(event: ChangeEvent) -> dict[str, Any] | None:
    source = event.source
    if source is None:
        return None
    return {
        "db": source.db,
        "schema": source.schema,
        "table": source.table,
        "lsn": None if source.lsn is None else source.lsn_text,
        "tx_id": source.tx_id,
        "is_snapshot": source.is_snapshot,
        "committed_at": source.timestamp,
    }
