"""Questions and requests over HTTP: whether a service is healthy, what is in it, what is to go."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from lakebed.config.endpoints import HttpEndpoint
from lakebed.errors import StackFailed
from lakebed.services.endpoints import LOOPBACK

if TYPE_CHECKING:
    import httpx

CHECK_TIMEOUT_SECONDS = 5.0  # the contract's health check: "timeout: 5s"
REQUEST_TIMEOUT_SECONDS = 30.0

Where = int | HttpEndpoint
"""A port of loopback, or an endpoint."""


def client_arguments(endpoint: HttpEndpoint) -> dict[str, Any]:
    """Return the arguments of an `httpx.Client` for an endpoint: credentials, and whom to trust.

    With no proxies of the user's on the way: most servers are on loopback.
    """
    import ssl

    arguments: dict[str, Any] = {"auth": endpoint.basic, "headers": endpoint.headers, "trust_env": False}
    if endpoint.ca_file is not None:
        arguments["verify"] = ssl.create_default_context(cafile=str(endpoint.ca_file))
    return arguments


@cache
def loopback_client() -> httpx.Client:
    """Return the one client for all requests to loopback."""
    import httpx

    return httpx.Client(timeout=CHECK_TIMEOUT_SECONDS, trust_env=False)


@cache
def _client(endpoint: HttpEndpoint) -> httpx.Client:
    import httpx

    return httpx.Client(timeout=CHECK_TIMEOUT_SECONDS, **client_arguments(endpoint))


def send(method: str, where: Where, path: str, **arguments: Any) -> httpx.Response:
    """Send a request and return its answer, whatever it is.

    Args:
        method: of HTTP.
        where: it goes.
        path: with everything in it quoted.
        arguments: for httpx (`json`, `params`, `headers`, `timeout`).

    Raises:
        httpx.HTTPError: no answer.
    """
    if isinstance(where, int):
        return loopback_client().request(method, f"http://{LOOPBACK}:{where}{path}", **arguments)
    client = _client(where)
    return first_answer(method, where, lambda base: client.request(method, f"{base}{path}", **arguments))


def first_answer(method: str, endpoint: HttpEndpoint, ask: Callable[[str], httpx.Response]) -> httpx.Response:
    """Ask the servers of an endpoint in turn, until one can be reached, and return its answer.

    Args:
        method: of HTTP. What may change something is asked of the next one only where the one before cannot
            have taken it.
        endpoint: whose `bases` are asked.
        ask: sends the request to one of them.

    Raises:
        httpx.HTTPError: the last one did not answer either.
    """
    import httpx

    not_taken = (httpx.ConnectError, httpx.ConnectTimeout)
    *others, last = endpoint.bases
    for base in others:
        try:
            return ask(base)
        except httpx.TransportError as error:
            if method != "GET" and not isinstance(error, not_taken):
                raise
    return ask(last)


def answers_ok(where: Where, path: str) -> None:
    """Return when `GET path` answers 200.

    Raises:
        httpx.HTTPError: no answer.
        ConnectionError: another status.
    """
    require_ok(send("GET", where, path), path)


def require_ok(response: httpx.Response, path: str) -> None:
    """Raise ConnectionError where the answer to `GET path` is another than 200."""
    if response.status_code != 200:
        raise ConnectionError(f"GET {path} answered {response.status_code}")


def request(method: str, where: Where, path: str, **arguments: Any) -> httpx.Response | None:
    """Send a request and return its answer, or None where the server knows no such thing (404).

    Args:
        method: of HTTP.
        where: it goes.
        path: with everything in it quoted.
        arguments: for httpx (`json`, `params`, `headers`).

    Raises:
        StackFailed: any other answer than success, with what the server says.
        httpx.HTTPError: no answer.
    """
    response = send(method, where, path, timeout=REQUEST_TIMEOUT_SECONDS, **arguments)
    if response.status_code == 404:
        return None
    if not response.is_success:
        raise StackFailed(f"{method} {path}", f"HTTP {response.status_code}: {response.text[:500]}")
    return response


def found(where: Where, path: str, **arguments: Any) -> Any:
    """Send a GET as `request` does and return the JSON of its answer.

    Raises:
        StackFailed: any other answer than success, 404 too.
        httpx.HTTPError: no answer.
    """
    response = request("GET", where, path, **arguments)
    if response is None:
        raise StackFailed(f"GET {path}", "HTTP 404")
    return response.json()
