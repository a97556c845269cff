"""Health questions over HTTP."""

from __future__ import annotations

import httpx

from lakebed.services.definition import LOOPBACK

CHECK_TIMEOUT_SECONDS = 5.0  # the contract's health check: "timeout: 5s"

# One client for all checks: no proxies of the user's environment on the way to loopback.
_client = httpx.Client(timeout=CHECK_TIMEOUT_SECONDS, trust_env=False)


def answers_ok(port: int, path: str) -> None:
    """Return when `GET path` answers 200.

    Raises:
        httpx.HTTPError: no answer, or another status.
    """
    response = _client.get(f"http://{LOOPBACK}:{port}{path}")
    if response.status_code != httpx.codes.OK:
        raise httpx.HTTPStatusError(
            f"GET {path} answered {response.status_code}", request=response.request, response=response
        )
