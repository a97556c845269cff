"""Texts without secrets, before they go into a report."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from lakebed.config.secrets import MASK, is_secret_name

Mask = Callable[[str], str]

# Names of bounded length that begin where a word does: a text of one endless word takes no longer.
# "database.password" : "...", 'password': '...', database.password = ...
_ASSIGNED = re.compile(
    r"""(["']?)(?<![\w.-])([\w.-]{1,80})\1(\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&"'}\]]+)"""
)
# Line by line: a log has addresses without users, and an @ much later.
_USER_IN_URL = re.compile(r"://[^\s/]*@")
_AUTHORIZATION = re.compile(r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9+/._~=-]{6,}")


def masking(secrets: Iterable[str]) -> Mask:
    """Return what takes secrets out of a text: those of settings by their names, and these values.

    Args:
        secrets: values that are known; one that is also a user's or a database's name is known by its
            setting only.
    """
    values = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    known = re.compile("|".join(map(re.escape, values))) if values else None

    def mask(text: str) -> str:
        # Half of a surrogate pair can go neither into a file nor to another process.
        text = text.encode("utf-8", errors="backslashreplace").decode()
        text = _AUTHORIZATION.sub(rf"\1{MASK}", _USER_IN_URL.sub(f"://{MASK}@", text))
        text = _ASSIGNED.sub(_without_value, text)
        return text if known is None else known.sub(MASK, text)

    return mask


def masked_json(content: Any, mask: Mask) -> Any:
    """Return JSON values with every text in them masked; names of fields stay."""
    if isinstance(content, str):
        return mask(content)
    if isinstance(content, list):
        return [masked_json(one, mask) for one in content]
    if isinstance(content, dict):
        return {name: masked_json(one, mask) for name, one in content.items()}
    return content


def _without_value(match: re.Match[str]) -> str:
    quote, name, between, value = match.groups()
    if not is_secret_name(name):
        # A text may hold an assignment of its own: note='password=...'.
        return f"{quote}{name}{quote}{between}{_ASSIGNED.sub(_without_value, value)}"
    if value.strip("\"'") in ("", "null", "None", MASK):
        return match[0]
    end = value[0] if value[0] in "\"'" else ""
    return f"{quote}{name}{quote}{between}{end}{MASK}{end}"
