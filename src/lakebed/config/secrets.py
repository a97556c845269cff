"""What is a secret, and how a value is shown without telling one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol

MASK = "***"

_SECRET_WORDS = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "jaas",
    "accesskey",
    "accountkey",
    "apikey",
    "encryptionkey",
    "privatekey",
    "keystorekey",
    "keypem",
)
_USER_IN_URL = re.compile(r"(?s)://.*@")
_SECRET_ASSIGNMENT = re.compile(
    r"""(?i)((?:password|passwd|passphrase|secret|token)[\w.-]*\s*=\s*["']?)[^&;,\s"']+"""
)


class Masked(dict[str, Any]):
    """A dictionary that is shown with secrets replaced by ``***``, as in a traceback with local variables."""

    def __repr__(self) -> str:
        return shown(dict(self))


class Hidden(dict[str, Any]):
    """A dictionary of which only is shown what it is about."""

    def __repr__(self) -> str:
        return shown(dict.fromkeys(self, MASK))


class DataclassInstance(Protocol):
    """Any instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def is_secret_name(name: str) -> bool:
    """Whether a field or a setting of this name holds a secret.

    Case and the separators ``.``, ``_`` and ``-`` do not matter. Access key ids count as secrets: the
    contract lists them as credentials.
    """
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    return letters.endswith("userinfo") or any(word in letters for word in _SECRET_WORDS)


def mask_text(text: str) -> str:
    """The text without what stands before the ``@`` of an URL and behind ``password=`` and the like."""
    return _SECRET_ASSIGNMENT.sub(rf"\1{MASK}", _USER_IN_URL.sub(f"://{MASK}@", text))


def shown(value: object, *, secret: bool = False) -> str:
    """``repr(value)`` with every secret replaced by ``***``.

    A secret that is None or empty is shown as it is: that it is not set tells no secret and explains
    failures.
    """
    if secret and value not in (None, "", b""):
        return repr(MASK)
    if isinstance(value, Mapping):
        items = (f"{key!r}: {shown(item, secret=is_secret_name(str(key)))}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return mask_text(repr(value))


def masked_repr(instance: DataclassInstance) -> str:
    """The usual ``repr`` of a dataclass instance, with every secret replaced by ``***``."""
    shown_fields = (
        f"{field.name}={shown(getattr(instance, field.name), secret=is_secret_name(field.name))}"
        for field in fields(instance)
    )
    return f"{type(instance).__qualname__}({', '.join(shown_fields)})"
