"""The command `docker`: found, checked and run, always with a list of arguments."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from urllib.parse import urlsplit

from lakebed.errors import ComposeUnavailable

_CHECKING = "use Docker Compose"
_PATIENCE_SECONDS = 30.0
ALTERNATIVES = (
    "use the native runtime, which needs no Docker (`--runtime native`, or the setting `runtime`), or attach"
    " to servers that run already (set their addresses)"
)


@dataclass(frozen=True)
class Docker:
    """The program.

    Attributes:
        program: its absolute path.
    """

    program: str

    def run(
        self, *arguments: str, given: str = "", patience_seconds: float = _PATIENCE_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run it and return what it wrote and its exit code.

        Args:
            given: its standard input.

        Raises:
            ComposeUnavailable: it cannot be run, or did not end in time.
        """
        try:
            return subprocess.run(
                [self.program, *arguments],
                input=given,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=patience_seconds,
                env=docker_environment(),
                cwd=os.sep,
                # Ctrl-C is for lakebed, which then ends what Docker has started.
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            seen = f"`docker {' '.join(arguments)}` did not end within {patience_seconds:g} s"
            raise ComposeUnavailable(
                _CHECKING, seen, f"look at Docker's engine, or {ALTERNATIVES}"
            ) from error
        except OSError as error:
            raise ComposeUnavailable(_CHECKING, f"{self.program}: {error.strerror}", ALTERNATIVES) from error

    def start(self, *arguments: str, given: str, reads: bool = False) -> subprocess.Popen[str]:
        """Start it with its standard input; what it writes is for the caller to read.

        Args:
            given: its standard input.
            reads: whether that is its standard output, and not its standard error.
        """
        process = subprocess.Popen(
            [self.program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if reads else subprocess.PIPE,
            text=True,
            errors="replace",
            env=docker_environment(),
            cwd=os.sep,
            start_new_session=True,
        )
        assert process.stdin is not None
        # One that ends before it has read says why in its own words.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(given)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        return process


def docker_environment() -> dict[str, str]:
    """Return this process's environment without what would make Compose work on another project or file."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}


def find_docker() -> Docker:
    """Return the program, when it, its Compose plug-in and an engine on this machine are there and answer.

    Raises:
        ComposeUnavailable: naming what is missing, and what can be used instead.
    """
    program = shutil.which("docker")
    if program is None:
        raise _missing("there is no program `docker` on PATH", "install Docker with its Compose plug-in")
    docker = Docker(os.path.abspath(program))
    _check_plug_in(docker)
    _check_engine(docker)
    _check_place(docker)
    return docker


def _check_plug_in(docker: Docker) -> None:
    # Without options: a docker that lacks the plug-in would complain of those.
    asked = docker.run("compose", "version")
    if asked.returncode != 0:
        raise _missing(
            f"docker has no Compose plug-in: {_first_line(asked)}", "install Docker's Compose plug-in"
        )
    number = re.search(r"version v?(\d+)\.", asked.stdout)
    if number is None or int(number[1]) < 2:
        raise _missing(f"its Compose plug-in is {_first_line(asked)!r}", "install Compose 2 or later")


def _check_engine(docker: Docker) -> None:
    asked = docker.run("version", "--format", "{{.Server.Version}}")
    if asked.returncode != 0 or not asked.stdout.strip():
        raise _missing(f"Docker's engine does not answer: {_first_line(asked)}", "start Docker's engine")


def _check_place(docker: Docker) -> None:
    asked = docker.run("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    address = urlsplit(asked.stdout.strip())
    if address.scheme in ("tcp", "ssh", "http", "https") and address.hostname not in (
        "localhost",
        "127.0.0.1",
    ):
        raise _missing(
            f"Docker's engine runs on {address.hostname}, and so do the ports it publishes",
            "choose an engine on this machine (`docker context use default`, no DOCKER_HOST)",
        )


def _missing(seen: str, remedy: str) -> ComposeUnavailable:
    return ComposeUnavailable(_CHECKING, seen, f"{remedy}, or {ALTERNATIVES}")


def _first_line(asked: subprocess.CompletedProcess[str]) -> str:
    lines = (asked.stderr.strip() or asked.stdout.strip()).splitlines()
    return lines[0] if lines else f"exit code {asked.returncode}, and it wrote nothing"
