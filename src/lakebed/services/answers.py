"""Health questions over HTTP."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lakebed.services.definition import LOOPBACK

if TYPE_CHECKING:
    import httpx

CHECK_TIMEOUT_SECONDS = 5.0  # the contract's health check: "timeout: 5s"


@cache
def loopback_client() -> httpx.Client:
    """Return the one client for all checks: with no proxies of the user's on the way to loopback."""
    import httpx

    return httpx.Client(timeout=CHECK_TIMEOUT_SECONDS, trust_env=False)


def answers_ok(port: int, path: str) -> None:
    """Return when `GET path` answers 200.

    Raises:
        httpx.HTTPError: no answer.
        ConnectionError: another status.
    """
    response = loopback_client().get(f"http://{LOOPBACK}:{port}{path}")
    if response.status_code != 200:
        raise ConnectionError(f"GET {path} answered {response.status_code}")
