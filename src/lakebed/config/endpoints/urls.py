"""The URLs of endpoints: what is in them, and whether they are such."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from lakebed.config.endpoints.definition import Endpoint, refuse_scheme


def host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def without_user(url: str) -> tuple[str, str | None, str | None]:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None, None
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    plain = urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment))
    return plain, unquote(name), unquote(password)


def check_endpoint_url(cls: type[Endpoint], url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"it is no URL; allowed: {cls.short_form}") from None
    if parts.scheme not in ("http", "https"):
        refuse_scheme(cls, parts.scheme)
    if not parts.hostname or port == 0 or parts.query or parts.fragment or re.search(r"\s", url):
        raise ValueError(f"it is no such URL; allowed: {cls.short_form}")
