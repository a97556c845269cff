"""What a server that refuses root needs before it starts: programs and files of the user it runs as."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lakebed.errors import ServiceFailed
from lakebed.services.definition import Place


def run_as_owner(place: Place, doing: str, command: list[str], remedy: str, given: str | None = None) -> str:
    """Run a program in the service's folder, as the user its server runs as, and return what it prints.

    Args:
        place: of the service.
        doing: what it is for, as it should stand in an error.
        command: the program and its arguments.
        remedy: what to do when it fails.
        given: what it reads from its standard input, if anything.

    Raises:
        ServiceFailed: it ended with another exit code than 0; with all it has printed.
    """
    user, group = place.owner or (None, None)
    finished = subprocess.run(
        command,
        input=given,
        user=user,
        group=group,
        extra_groups=[] if place.owner is not None else None,
        capture_output=True,
        text=True,
        cwd=place.folder,
    )
    if finished.returncode != 0:
        seen = f"exit code {finished.returncode}\n{finished.stdout}{finished.stderr}".rstrip()
        raise ServiceFailed(doing, seen, remedy)
    return finished.stdout


def give_to_owner(place: Place, *paths: Path) -> None:
    """Give files and folders to the user that the server runs as, where that is another than this one."""
    if place.owner is not None:
        for path in paths:
            os.chown(path, *place.owner)
