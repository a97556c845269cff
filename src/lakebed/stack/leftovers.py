"""What a killed supervisor left behind: found by its records, ended by identity, removed."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from lakebed.stack.folders import StackFolder
from lakebed.stack.process import ProcessIdentity, end_process
from lakebed.stack.supervisor import SUPERVISOR

PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Leftover:
    """A stack folder without a living supervisor, and its processes that still run."""

    folder: StackFolder
    processes: dict[str, ProcessIdentity]


def find_leftovers(parent: Path) -> list[Leftover]:
    """Return the stacks in `parent` whose supervisor has ended without cleaning up."""
    found = []
    for path in sorted(parent.iterdir()) if parent.is_dir() else []:
        folder = StackFolder(path)
        if not path.is_dir() or not (folder.request.exists() or folder.supervisor_log.exists()):
            continue
        recorded = folder.recorded_processes()
        supervisor = recorded.pop(SUPERVISOR, None)
        if supervisor is not None and supervisor.process() is not None:
            continue
        found.append(
            Leftover(folder, {name: one for name, one in recorded.items() if one.process() is not None})
        )
    return found


def sweep(parent: Path) -> list[Leftover]:
    """End and remove what killed supervisors left in `parent`; return what that was.

    Call it while holding the lock on `parent`: a supervisor that is just starting has no record yet.
    """
    leftovers = find_leftovers(parent)
    for leftover in leftovers:
        for identity in leftover.processes.values():
            end_process(identity, signal.SIGKILL, PATIENCE_SECONDS)
        leftover.folder.remove()
    return leftovers
