"""A note that containers of lakebed's project were started: where Docker need not be asked, it tells of them.

The engine alone knows whether they are still there; the note is gone when lakebed itself has ended them.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from lakebed.stack.folders import stacks_folder

_FILE = "compose.json"


@dataclass(frozen=True)
class RecordedProject:
    """What the note says.

    Attributes:
        name: of the project.
        services: lakebed's names of those that were started.
    """

    name: str
    services: tuple[str, ...]

    @property
    def described(self) -> str:
        """A sentence on it."""
        return f"containers of the Compose project {self.name} were started: {', '.join(self.services)}"


def record_project(data_folder: Path | None, project: RecordedProject) -> None:
    """Note that services of a project were started, beside those that were before."""
    before = recorded_project(data_folder)
    services = dict.fromkeys((*(before.services if before is not None else ()), *project.services))
    file = stacks_folder(data_folder) / _FILE
    unfinished = file.with_suffix(".new")
    unfinished.write_text(json.dumps({"name": project.name, "services": list(services)}))
    unfinished.replace(file)


def recorded_project(data_folder: Path | None) -> RecordedProject | None:
    """Return what was noted; None if nothing was, or it cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads((stacks_folder(data_folder) / _FILE).read_text())
        return RecordedProject(str(content["name"]), tuple(map(str, content["services"])))
    return None


def forget_project(data_folder: Path | None) -> None:
    """Remove the note."""
    (stacks_folder(data_folder) / _FILE).unlink(missing_ok=True)
