"""Questions over HTTP to a server of somebody else's, and what is wrong where the answer is another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lakebed.config.endpoints import Endpoint, HttpEndpoint
from lakebed.errors import CredentialsRefused
from lakebed.services.answers import send
from lakebed.services.attached.probing import (
    ANSWER_SECONDS,
    HTTP,
    TLS,
    refuse_unreachable,
    what_answers,
    wrong,
)

if TYPE_CHECKING:
    import httpx

_SHOWN = 80


def refused(service: str, endpoint: Endpoint, seen: str) -> CredentialsRefused:
    """Return the error for credentials that are not let in."""
    return CredentialsRefused(
        f"use the attached {service} at {endpoint.address}",
        seen,
        f"correct the credentials in attach.{service}",
    )


def ask(service: str, endpoint: HttpEndpoint, path: str, **arguments: Any) -> httpx.Response:
    """Send a GET and return the answer, whatever its status, unless that says who may not ask.

    Raises:
        WrongAddress: nobody answers, or nobody who speaks HTTP as the URL's scheme says.
        CredentialsRefused: the status is 401 or 403.
    """
    import httpx

    refuse_unreachable(service, endpoint)
    try:
        response = send("GET", endpoint, path, timeout=ANSWER_SECONDS, **arguments)
    except httpx.HTTPError as error:
        raise _no_http(service, endpoint, error) from error
    if response.status_code in (401, 403):
        raise refused(
            service, endpoint, f"GET {path} answered HTTP {response.status_code}: {shown(response)}"
        )
    return response


def shown(response: httpx.Response) -> str:
    """Return the beginning of an answer, for an error."""
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    text = " ".join(response.text[: 4 * _SHOWN].split())[:_SHOWN]
    return f"{kind}: {text!r}"


def json_of(service: str, endpoint: HttpEndpoint, path: str, **arguments: Any) -> Any:
    """Send a GET and return the JSON of its answer.

    Raises:
        WrongAddress, CredentialsRefused: as `ask`; also an answer that is no JSON, or no success.
    """
    response = ask(service, endpoint, path, **arguments)
    try:
        content = response.json()
    except ValueError:
        content = None
    if response.status_code != 200 or content is None:
        raise wrong(service, endpoint, f"GET {path} answered HTTP {response.status_code}, {shown(response)}")
    return content


def _no_http(service: str, endpoint: HttpEndpoint, error: Exception) -> Exception:
    text = str(error)
    scheme = urlsplit(endpoint.url).scheme
    if "CERTIFICATE_VERIFY_FAILED" in text:
        remedy = f"set attach.{service}.ca_file to what has signed it, and use a name that is in it"
        return wrong(service, endpoint, f"a certificate that is not trusted ({text})", remedy)
    answering = what_answers(*endpoint.servers()[0])
    other = {TLS: "https", HTTP: "http"}.get(answering.split(" ")[0])
    if other is not None and other != scheme:
        words = "plain HTTP" if other == "http" else "TLS"
        remedy = f"write {other}:// in attach.{service}"
        return wrong(service, endpoint, f"{words} is spoken there, and the address says {scheme}", remedy)
    if answering.startswith(HTTP) or answering == TLS:
        return wrong(service, endpoint, f"{type(error).__name__}: {text}", "see whether it is well")
    return wrong(service, endpoint, f"{answering} answers there")
