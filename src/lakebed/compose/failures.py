"""Why containers did not get healthy, in lakebed's errors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lakebed.compose.containers import SeenContainer
from lakebed.compose.project import Project
from lakebed.errors import (
    ComposeUnavailable,
    DownloadFailed,
    LakebedError,
    PortTaken,
    ServiceFailed,
    StackFailed,
)
from lakebed.lifecycle import ServiceLifecycle

_STARTING = "start services with docker compose"
_LOG_LINES = 25
_NO_CURL = re.compile(r'exec: "curl"|curl: (?:not found|command not found)')
# Apache Iceberg's own image: the same variables and port, and curl since 1.8 (apache/iceberg, issue 11688).
CATALOG_WITH_CURL = "apache/iceberg-rest-fixture:1.10.1"

# What the engine says, who is told what, and the way out.
_KNOWN: tuple[tuple[str, type[LakebedError], str], ...] = (
    (
        r"port is already allocated|address already in use|ports are not available",
        PortTaken,
        "end what holds the port, or give the service another one (`lakebed up --port SERVICE=NUMBER`)",
    ),
    (
        r"container name .* is already in use",
        StackFailed,
        "end the other project that has a container of that name: the contract fixes the names, so one such"
        " project can run on a machine at a time",
    ),
    (
        r"pull access denied|manifest unknown|manifest for .* not found|no matching manifest"
        r"|failed to resolve|i/o timeout|TLS handshake|no such host|toomanyrequests|connection refused",
        DownloadFailed,
        "look at the network and the image's name, or name another one (`lakebed up --image SERVICE=IMAGE`)",
    ),
    (r"Cannot connect to the Docker daemon", ComposeUnavailable, "start Docker's engine"),
)


def failure_of_container(project: Project, container: SeenContainer, life: ServiceLifecycle) -> ServiceFailed:
    """Return the error for a container that exited or stayed unhealthy, with the end of its log."""
    if container.has_ended:
        seen = f"its container {container.name} exited with code {container.exit_code}"
        remedy = "the log above names the cause"
    else:
        seen = f"{life.failed_checks} health checks failed, the last with: {life.last_failure}"
        remedy = "the log and the check above name the cause"
        if _NO_CURL.search(life.last_failure or ""):
            remedy = _remedy_without_curl(container)
    try:
        log = project.logs(container.service, _LOG_LINES).rstrip() or "(its log is empty)"
    except LakebedError as error:
        log = f"(it cannot be read: {error.seen})"
    return ServiceFailed(f"start {container.service}", f"{seen}\nthe end of its log:\n{log}", remedy)


def _remedy_without_curl(container: SeenContainer) -> str:
    other = CATALOG_WITH_CURL if container.service == "iceberg-rest" else "IMAGE"
    return (
        f"the contract's check needs curl, which {container.image} does not have: use an image that has it"
        f" (`lakebed up --runtime compose --image {container.service}={other}`)"
    )


def failure_of_up(exit_code: int, written: Sequence[str]) -> LakebedError:
    """Return the error for a `docker compose up` that failed, by what it wrote."""
    said = "\n".join(line for line in written[-_LOG_LINES:] if line.strip()) or "it wrote nothing"
    for pattern, kind, remedy in _KNOWN:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(_STARTING, said, f"{remedy}; nothing of it is left running")
    seen = f"exit code {exit_code}\n{said}"
    return StackFailed(_STARTING, seen, "the message above is Docker's own; nothing of it is left running")
