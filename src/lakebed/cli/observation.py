"""What `lakebed status` sees at one look, of either runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lakebed.cli.native_runtime import client_name
from lakebed.clients.health import unanswering
from lakebed.clients.overview import answered, connectors_overview, slots_overview
from lakebed.compose import runtime as compose
from lakebed.compose.project import Project
from lakebed.config.settings import Settings
from lakebed.errors import LakebedError, OtherVersion, StackFailed
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import find_stack
from lakebed.stack.folders import NAME_OF_UP

# Only of such a service is it worth to ask more.
_ANSWERING = ("HEALTHY", "RUNNING", "ATTACHED")

Look = Callable[[], dict[str, Any]]


def look_for(settings: Settings) -> Look:
    """Return what looks at the stack of the runtime that the settings name.

    Each look returns the content of `lakebed status --json` (docs/cli.md); of a stack that is not there, one
    without services.

    Raises:
        ComposeUnavailable: with the runtime "compose", Docker is not there.

    Raises, when called:
        OtherVersion: the stack is of a version of lakebed that this one cannot talk to.
        ComposeUnavailable, StackFailed: Docker does not answer any more.
    """
    if settings.runtime == "compose":
        return _Containers(compose.open_project())
    return _Processes(settings)


@dataclass(frozen=True)
class _Processes:
    settings: Settings

    def __call__(self) -> dict[str, Any]:
        connection = find_stack(self.settings, NAME_OF_UP, client_name())
        if connection is None:
            return {"services": []}
        try:
            content = connection.status()
            addresses = Addresses(content["ports"], self.settings.registry_credentials, connection.attached())
        except OtherVersion:
            raise
        except StackFailed:
            # It was ending just now.
            return {"services": []}
        finally:
            connection.hang_up()
        silent = unanswering(content, addresses.attached, self.settings.registry_credentials)
        return content | _streams(content["services"], addresses, silent)


@dataclass(frozen=True)
class _Containers:
    project: Project

    def __call__(self) -> dict[str, Any]:
        content = compose.status(self.project)
        published = {
            entry["service"]: {entry["service"]: entry["port"]}
            for entry in content["services"]
            if entry["port"]
        }
        return content | _streams(content["services"], Addresses(published))


def _streams(
    services: list[dict[str, Any]], addresses: Addresses, silent: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return connectors and slots, as far as the servers that know of them answer.

    Args:
        services: of the stack.
        addresses: theirs.
        silent: by name, what is known of those that do not answer.
    """
    answering = {entry["service"] for entry in services if entry["state"] in _ANSWERING} - set(silent)
    found: dict[str, Any] = {"connectors": [], "slots": [], "unanswered": dict(silent)}
    questions: Mapping[str, tuple[str, Callable[[], list[dict[str, Any]]]]] = {
        "connect": ("connectors", lambda: connectors_overview(addresses.connect)),
        "postgres": ("slots", lambda: slots_overview(addresses.postgres)),
    }
    for service, (name, ask) in questions.items():
        if service in answering and service in addresses:
            try:
                found[name] = answered(ask, service)
            except Exception as error:  # one server that is gone must not hide what the others say
                seen = error.seen if isinstance(error, LakebedError) else f"{type(error).__name__}: {error}"
                found["unanswered"][service] = seen.strip()
    return found


@dataclass(frozen=True)
class Facts:
    """What of a look is news when it changes; how much memory a server takes is not.

    Attributes:
        by_subject: ("service", "kafka") and what is to be said of it.
    """

    by_subject: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Facts:
        """Return the facts of one look."""
        facts: dict[tuple[str, str], str] = {}
        for entry in content["services"]:
            pid = f", pid {entry['pid']}" if entry.get("pid") else ""
            is_paused = ", paused" if entry.get("paused") else ""
            facts["service", entry["service"]] = f"{entry['state']}{is_paused}{pid}"
        for connector in content.get("connectors", ()):
            tasks = "".join(f", task {task['id']} {task['state']}" for task in connector["tasks"])
            facts["connector", connector["name"]] = f"{connector['state']}{tasks}"
        for slot in content.get("slots", ()):
            active = "active" if slot["is_active"] else "inactive"
            facts["slot", slot["slot"]] = f"{active}, {slot['wal_status']}"
        for service, seen in content.get("unanswered", {}).items():
            facts["unanswered", service] = seen.splitlines()[0] if seen else "no answer"
        if content.get("error"):
            facts["error", "status"] = content["error"]
        return cls(facts)

    def changes(self, before: Facts) -> list[tuple[str, str, str]]:
        """Return what is not as it was before: kind, name, and what is said of it now ("gone")."""
        subjects = dict.fromkeys((*before.by_subject, *self.by_subject))
        return [
            (kind, name, self.by_subject.get((kind, name), "gone"))
            for kind, name in subjects
            if self.by_subject.get((kind, name)) != before.by_subject.get((kind, name))
        ]
