"""lakebed's own Compose project: every command to `docker compose` that is about it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from lakebed.compose.containers import SeenContainer, containers_from_json
from lakebed.compose.definitions import definition_named
from lakebed.compose.docker import Docker
from lakebed.compose.render import render
from lakebed.compose.text import compose_text
from lakebed.errors import StackFailed

_STOP_SECONDS = 10
_STOP_PATIENCE_SECONDS = 180.0


def project_name() -> str:
    """Return the name of this user's project, by which its containers, network and volumes are known."""
    return f"lakebed-{os.getuid()}"


@dataclass(frozen=True)
class Project:
    """The project of this user. Nothing of it is on disk: the file goes to Compose's standard input.

    Attributes:
        docker: the program.
        name: the project's.
    """

    docker: Docker
    name: str

    def _arguments(self, *arguments: str) -> tuple[str, ...]:
        # Neither the file of the current folder nor its `.env` are to play a part.
        project = ("compose", "--project-name", self.name, "--env-file", os.devnull)
        return (*project, "--ansi", "never", "--file", "-", *arguments)

    def _run(self, doing: str, *arguments: str, patience_seconds: float = 60.0) -> str:
        finished = self.docker.run(
            *self._arguments(*arguments), given=_everything(), patience_seconds=patience_seconds
        )
        if finished.returncode != 0:
            raise StackFailed(
                f"{doing} with docker compose",
                f"exit code {finished.returncode}\n{finished.stderr.strip()}",
                "the message above is Docker's own",
            )
        return finished.stdout

    def containers(self) -> list[SeenContainer]:
        """Return the project's containers, also those that do not run."""
        return containers_from_json(self._run("list the containers", "ps", "--all", "--format", "json"))

    def start_up(self, text: str, services: Iterable[str]) -> subprocess.Popen[str]:
        """Start `up` for these services of the file `text`; it ends when their containers are started.

        Containers that are there stay as they are.
        """
        names = _in_file(services)
        return self.docker.start(
            *self._arguments("up", "--detach", "--no-recreate", "--quiet-pull", *names), given=text
        )

    def down(self) -> None:
        """Stop and remove the project's containers, network and volumes, and nothing else."""
        self._run(
            "end the project",
            *("down", "--volumes", "--remove-orphans", "--timeout", str(_STOP_SECONDS)),
            patience_seconds=_STOP_PATIENCE_SECONDS,
        )

    def remove(self, services: Iterable[str]) -> None:
        """Stop and remove the containers of these services, with their volumes."""
        names = _in_file(services)
        if names:
            self._run(
                "remove containers",
                *("rm", "--force", "--stop", "--volumes", *names),
                patience_seconds=_STOP_PATIENCE_SECONDS,
            )

    def logs(self, service: str, lines: int | None = None) -> str:
        """Return what a service has written, or the last lines of it."""
        tail = () if lines is None else ("--tail", str(lines))
        name = definition_named(service).container.service
        return self._run(f"read the log of {service}", "logs", "--no-color", "--no-log-prefix", *tail, name)

    def follow_logs(self, service: str, lines: int | None = None) -> subprocess.Popen[str]:
        """Start to read what a service has written, or the last lines of it, and what it writes from now on.

        Returns:
            The process: lines are on its standard output, and it ends when the container does.
        """
        tail = () if lines is None else ("--tail", str(lines))
        name = definition_named(service).container.service
        arguments = self._arguments("logs", "--follow", "--no-color", "--no-log-prefix", *tail, name)
        return self.docker.start(*arguments, given=_everything(), reads=True)

    def failed_checks(self, container: SeenContainer) -> tuple[int, str]:
        """Return how many health checks of a container failed in a row by now, and what the last one said."""
        asked = self.docker.run(
            *("inspect", "--type", "container", "--format", "{{json .State.Health}}", container.name)
        )
        # A container that has just gone has no health.
        health: dict[str, Any] = json.loads(asked.stdout or "null") or {} if asked.returncode == 0 else {}
        failed = [one for one in health.get("Log") or [] if one.get("ExitCode")]
        return int(health.get("FailingStreak", 0)), failed[-1].get("Output", "").strip() if failed else ""


@cache
def _everything() -> str:
    """Return a file with every service: Compose finds containers by label, but knows names by the file."""
    return compose_text(render())


def _in_file(services: Iterable[str]) -> list[str]:
    return [definition_named(name).container.service for name in services]
