"""Questions and requests over HTTP: whether a service is healthy, what is in it, what is to go."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from lakebed.errors import StackFailed
from lakebed.services.definition import LOOPBACK

if TYPE_CHECKING:
    import httpx

CHECK_TIMEOUT_SECONDS = 5.0  # the contract's health check: "timeout: 5s"
REQUEST_TIMEOUT_SECONDS = 30.0


@cache
def loopback_client() -> httpx.Client:
    """Return the one client for all requests: with no proxies of the user's on the way to loopback."""
    import httpx

    return httpx.Client(timeout=CHECK_TIMEOUT_SECONDS, trust_env=False)


def answers_ok(port: int, path: str, **arguments: Any) -> None:
    """Return when `GET path` answers 200; `arguments` are those of httpx (`auth`).

    Raises:
        httpx.HTTPError: no answer.
        ConnectionError: another status.
    """
    response = loopback_client().get(f"http://{LOOPBACK}:{port}{path}", **arguments)
    if response.status_code != 200:
        raise ConnectionError(f"GET {path} answered {response.status_code}")


def request(method: str, port: int, path: str, **arguments: Any) -> httpx.Response | None:
    """Send a request and return its answer, or None where the server knows no such thing (404).

    Args:
        method: of HTTP.
        port: on loopback.
        path: with everything in it quoted.
        arguments: for httpx (`json`, `params`, `headers`, `auth`).

    Raises:
        StackFailed: any other answer than success, with what the server says.
        httpx.HTTPError: no answer.
    """
    url = f"http://{LOOPBACK}:{port}{path}"
    response = loopback_client().request(method, url, timeout=REQUEST_TIMEOUT_SECONDS, **arguments)
    if response.status_code == 404:
        return None
    if not response.is_success:
        raise StackFailed(f"{method} {path}", f"HTTP {response.status_code}: {response.text[:500]}")
    return response


def found(port: int, path: str, **arguments: Any) -> Any:
    """Send a GET as `request` does and return the JSON of its answer.

    Raises:
        StackFailed: any other answer than success, 404 too.
        httpx.HTTPError: no answer.
    """
    response = request("GET", port, path, **arguments)
    if response is None:
        raise StackFailed(f"GET {path}", "HTTP 404")
    return response.json()
