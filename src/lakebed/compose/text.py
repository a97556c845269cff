"""A Compose file as text, and whether a text is one that lakebed wrote. Pure: no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import yaml

from lakebed import __version__

_MARK = "# Written by `lakebed compose render`"
_SUM = "# sha256 of what follows: "


class _Quoted(str):
    """Text that stands in double quotes, as ports do in the contract: unquoted, 22:22 is a number to some."""

    __slots__ = ()


class _InOneLine(list[Any]):
    """A list that stands in one line, as a health check does in the contract."""


class _Writer(yaml.SafeDumper):
    """Writes the two kinds above; and what is in a list is indented, as in Docker's documentation."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _quoted(writer: yaml.SafeDumper, value: _Quoted) -> yaml.ScalarNode:
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style='"')


def _in_one_line(writer: yaml.SafeDumper, value: _InOneLine) -> yaml.SequenceNode:
    return writer.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


_Writer.add_representer(_Quoted, _quoted)
_Writer.add_representer(_InOneLine, _in_one_line)


def compose_text(document: Mapping[str, Any]) -> str:
    """Return the YAML of a Compose file, with a heading that says who wrote it and what it was."""
    content = {
        **document,
        "services": {name: _styled(service) for name, service in document["services"].items()},
    }
    body = yaml.dump(
        content, Dumper=_Writer, sort_keys=False, default_flow_style=False, width=200, allow_unicode=True
    )
    heading = f"{_MARK} (lakebed {__version__}): change the options rather than this file.\n"
    return f"{heading}{_SUM}{_sum(body)}\n{body}"


def written_by_lakebed(text: str) -> bool:
    """Whether lakebed wrote a text and nobody has changed it since."""
    heading, _, rest = text.partition("\n")
    line, _, body = rest.partition("\n")
    return heading.startswith(_MARK) and line == f"{_SUM}{_sum(body)}"


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _styled(service: Mapping[str, Any]) -> dict[str, Any]:
    styled = dict(service)
    if "ports" in styled:
        styled["ports"] = [_Quoted(port) for port in styled["ports"]]
    if "profiles" in styled:
        styled["profiles"] = _InOneLine(styled["profiles"])
    if "command" in styled:
        styled["command"] = [_Quoted(part) for part in styled["command"]]
    check = dict(styled["healthcheck"])
    check["test"] = _InOneLine(_Quoted(part) for part in check["test"])
    styled["healthcheck"] = check
    return styled
