"""Requests to Kafka Connect's REST interface, and what a refusal means.

Source for every path and answer: Kafka documentation, "Kafka Connect", section "REST API".
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from lakebed.config.endpoints import ConnectEndpoint
from lakebed.errors import ConnectRefused, DeadlinePassed
from lakebed.services.answers import client_arguments, first_answer
from lakebed.services.connect_resources import is_rebalancing
from lakebed.waiting import wait_until

REQUEST_TIMEOUT_SECONDS = 60.0
REBALANCE_SECONDS = 20.0

_STOP_FIRST = (
    "stop the connector first: `with debezium_client.stopped(name): ...` does, and resumes it afterwards"
)


def connector_path(name: str, *more: str) -> str:
    """Return the path of a connector, or of a part of it."""
    return "/".join(["/connectors", quote(name, safe=""), *more])


class ConnectRequests:
    """Sends requests to a worker, or to another one of its cluster when it cannot be reached.

    Args:
        worker: where its REST interface is, and those of the others.
        timeout_seconds: how long one request may take.
    """

    def __init__(self, worker: ConnectEndpoint, timeout_seconds: float) -> None:
        self._worker = worker
        self._http = httpx.Client(timeout=timeout_seconds, **client_arguments(worker))

    def close(self) -> None:
        """Close the connections to the worker."""
        self._http.close()

    def send(self, method: str, path: str, doing: str, **arguments: Any) -> Any:
        """Send a request and return the JSON of its answer, None where that is empty.

        Args:
            method: of HTTP.
            path: with everything in it quoted.
            doing: what it is for, as it should stand in an error.
            arguments: for httpx (`json`, `params`; `timeout`, in seconds, instead of this object's).

        Raises:
            ConnectRefused: any other answer than success, or none.
        """

        def answer() -> httpx.Response | None:
            response = first_answer(
                method,
                self._worker,
                lambda base: self._http.request(method, f"{base}{path}", **arguments),
            )
            refusal = f"HTTP {response.status_code}: {response.text}"
            return None if is_rebalancing(refusal) else response

        try:
            # Refused before anything was done, so that it may be asked again.
            response = wait_until(
                answer, "Connect's workers to be rebalanced", deadline_seconds=REBALANCE_SECONDS
            )
            assert response is not None
        except DeadlinePassed as error:
            raise ConnectRefused(f"{doing} ({method} {path})", str(error), _remedy(409, "")) from error
        except httpx.HTTPError as error:
            raise ConnectRefused(
                f"{doing} ({method} {self._worker.base}{path})",
                f"{type(error).__name__}: {error}",
                "see whether Connect still runs: `lakebed status`, `lakebed logs connect`",
            ) from error
        if response.is_success:
            return response.json() if response.content else None
        message = _message(response)
        raise ConnectRefused(
            f"{doing} ({method} {path})",
            f"HTTP {response.status_code}: {message}",
            _remedy(response.status_code, message),
        )


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]


def _remedy(status_code: int, message: str) -> str:
    if "STOPPED state" in message:
        return _STOP_FIRST
    remedies = {
        400: "correct the configuration; `debezium_client.validate(config)` lists the errors by key",
        404: "create the connector first; `debezium_client.names()` lists those that exist",
        409: "the name is taken, or the workers are rebalancing: delete the connector, or try again",
    }
    return remedies.get(status_code, "`lakebed logs connect` shows what the worker says")
