"""Checks of single values.

Every function takes ``where`` (``Class.field``) and the value, returns the value, and raises TypeError for
a value of the wrong type and ValueError for a value of the right type that cannot work. The message names
the field, the value that was seen (``'***'`` when it is a secret) and what is allowed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from enum import Enum
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from lakebed.config.secrets import is_secret_name, shown

EnumMember = TypeVar("EnumMember", bound=Enum)

TEXT = "text that is not empty, without control characters and surrounding blanks"
TEXT_OR_EMPTY = "text without control characters"
URL = "a URL such as http://localhost:8081 (http or https, a host, a port from 1 to 65535 if any)"
LARGEST_INT32 = 2**31 - 1

_CLASS_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z_$][A-Za-z0-9_$]*)*")
_HOST = re.compile(r"[^\s/?#@]+")
_LOCATION = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_S3_LOCATION = re.compile(r"(?i:s3[an]?)://[^/\s].*")
_TOPIC = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")


class Choice(Enum):
    """An Enum whose error for an unknown value lists the allowed ones."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        allowed = listed(member.value for member in cls)
        raise ValueError(f"{value!r} is not a {cls.__name__}; allowed: {allowed}")


def listed(allowed: Iterable[object]) -> str:
    """The allowed values in one line, in the order given."""
    return ", ".join(str(value) for value in allowed)


def refuse_type(where: str, value: object, allowed: str, *, secret: bool | None = None) -> NoReturn:
    """Raise TypeError: the value is of the wrong type."""
    hide = is_secret_name(where) if secret is None else secret
    raise TypeError(f"{where} is {shown(value, secret=hide)} ({type(value).__name__}); allowed: {allowed}")


def refuse_value(where: str, value: object, allowed: str) -> NoReturn:
    """Raise ValueError: the value is of the right type but cannot work."""
    raise ValueError(f"{where} is {shown(value, secret=is_secret_name(where))}; allowed: {allowed}")


def check_text(
    where: str,
    value: object,
    allowed: str = TEXT,
    *,
    pattern: re.Pattern[str] | None = None,
    most_bytes: int | None = None,
) -> str:
    """Text that is not empty and has no control characters or surrounding blanks.

    ``pattern`` must match all of it; ``most_bytes`` bounds its length in UTF-8. ``allowed`` says so in words.
    """
    if not isinstance(value, str):
        refuse_type(where, value, allowed)
    if not value or value != value.strip() or _has_control_characters(value):
        refuse_value(where, value, allowed)
    if pattern is not None and not pattern.fullmatch(value):
        refuse_value(where, value, allowed)
    if most_bytes is not None and len(value.encode()) > most_bytes:
        refuse_value(where, value, allowed)
    return value


def check_text_or_empty(where: str, value: object) -> str:
    """Text without control characters; as a password, it may be empty or begin and end with blanks."""
    if not isinstance(value, str):
        refuse_type(where, value, TEXT_OR_EMPTY)
    if _has_control_characters(value):
        refuse_value(where, value, TEXT_OR_EMPTY)
    return value


def check_integer(where: str, value: object, *, between: tuple[int, int | None]) -> int:
    """An integer, both bounds included; an upper bound of None means none. True and False are no integers."""
    lowest, highest = between
    allowed = f"an integer of at least {lowest}"
    if highest is not None:
        allowed = f"an integer from {lowest} to {highest}"
    if isinstance(value, bool) or not isinstance(value, int):
        refuse_type(where, value, allowed)
    if value < lowest or (highest is not None and value > highest):
        refuse_value(where, value, allowed)
    return value


def check_flag(where: str, value: object) -> bool:
    """True or False, not a number and not the text 'true'."""
    if not isinstance(value, bool):
        refuse_type(where, value, "True or False")
    return value


def check_choice(where: str, value: object, choices: Collection[str]) -> str:
    """One of a few texts."""
    if not isinstance(value, str):
        refuse_type(where, value, listed(choices))
    if value not in choices:
        refuse_value(where, value, listed(choices))
    return value


def check_enum(where: str, value: object, members: type[EnumMember]) -> EnumMember:
    """A member of the enumeration.

    The text of a member is a TypeError that says which member to write; any other text is a ValueError.
    """
    if isinstance(value, members):
        return value
    allowed = listed(f"{member} ({member.value!r})" for member in members)
    if isinstance(value, str):
        for member in members:
            if value.lower() in (str(member.value).lower(), member.name.lower()):
                refuse_type(where, value, f"{allowed}; write {member}")
        refuse_value(where, value, allowed)
    refuse_type(where, value, allowed)


def check_url(where: str, value: object) -> str:
    """A URL with the scheme http or https and a host."""
    text = check_text(where, value, URL)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        refuse_value(where, value, URL)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"\s", text):
        refuse_value(where, value, URL)
    return text


def check_location(where: str, value: object) -> str:
    """Where files are: a scheme and a path, with a bucket when the scheme is that of S3."""
    allowed = "a location with a scheme, such as s3://warehouse/ or file:///tmp/warehouse"
    text = check_text(where, value, allowed, pattern=_LOCATION)
    if text.lower().startswith(("s3:", "s3a:", "s3n:")) and not _S3_LOCATION.fullmatch(text):
        refuse_value(where, value, allowed)
    return text


def check_host(where: str, value: object) -> str:
    """A host name or address, without scheme, user or path."""
    return check_text(where, value, "a host name or address such as localhost", pattern=_HOST)


def check_class_name(where: str, value: object) -> str:
    """The name of a Java class."""
    allowed = "the name of a Java class such as org.apache.kafka.connect.json.JsonConverter"
    return check_text(where, value, allowed, pattern=_CLASS_NAME)


def check_topic(where: str, value: object) -> str:
    """A topic name Kafka accepts (source: Apache Kafka, class org.apache.kafka.common.internals.Topic)."""
    return check_text(
        where, value, "1 to 249 of the characters A-Z a-z 0-9 . _ -, not . or ..", pattern=_TOPIC
    )


def check_text_list(where: str, value: object) -> list[str]:
    """A list of texts; no item is empty. A text is no list of its letters."""
    if not isinstance(value, list):
        refuse_type(where, value, "a list of texts")
    for index, item in enumerate(value):
        check_text(f"{where}[{index}]", item)
    return value


def check_text_mapping(where: str, value: object) -> dict[str, str]:
    """A dictionary from text to text; no key is empty."""
    if not isinstance(value, dict):
        # A list of pairs or a JSON text may hold a secret as well as a dictionary.
        refuse_type(where, value, "a dictionary of texts", secret=is_secret_name(repr(value)))
    for key, item in value.items():
        check_text(f"a key of {where}", key)
        if not isinstance(item, str):
            refuse_type(f"{where}[{key!r}]", item, "a text")
    return value


def _has_control_characters(text: str) -> bool:
    # Lone surrogates (category Cs) cannot be sent as UTF-8: refused here rather than by a codec later.
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
