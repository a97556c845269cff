"""What a killed supervisor left behind: found by its records, taken over or ended by identity, removed."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import ValidationError

from lakebed.config.settings import Settings
from lakebed.errors import LedgerUnreadable
from lakebed.services.attached.probing import unreachable
from lakebed.stack.attached import AttachedServices
from lakebed.stack.folders import StackFolder
from lakebed.stack.ledger import Ledger
from lakebed.stack.process import ProcessIdentity, end_process
from lakebed.stack.resources import Resources, service_of
from lakebed.stack.supervisor import PROTOCOL, SUPERVISOR

PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Leftover:
    """A stack folder without a living supervisor, and its processes that still run.

    Attributes:
        folder: of the stack.
        processes: by name.
        can_be_taken_over: whether a new supervisor can go on with it: it was to be kept, and its records
            are whole and of this version.
    """

    folder: StackFolder
    processes: dict[str, ProcessIdentity]
    can_be_taken_over: bool


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
        alive = {name: one for name, one in recorded.items() if one.process() is not None}
        alive |= _not_recorded(path, alive)
        found.append(Leftover(folder, alive, bool(alive) and _can_be_taken_over(folder)))
    return found


def _not_recorded(path: Path, recorded: dict[str, ProcessIdentity]) -> dict[str, ProcessIdentity]:
    """Return the servers whose supervisor was killed just before it wrote them down.

    Each works in its own folder of the stack; children go with their parent.
    """
    known = {identity.pid for identity in recorded.values()}
    found: dict[int, tuple[int, str]] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            folder = Path(process.cwd())
            if path in folder.parents:
                found[process.pid] = (process.ppid(), folder.relative_to(path).parts[0])
    servers: dict[str, ProcessIdentity] = {}
    for pid, (parent, name) in found.items():
        if pid not in known and parent not in known and parent not in found:
            with contextlib.suppress(psutil.Error):
                servers[f"{name}, not recorded"] = ProcessIdentity.of(pid)
    return servers


def _can_be_taken_over(folder: StackFolder) -> bool:
    request = folder.recorded_request()
    if request is None or not request.get("keep") or request.get("protocol") != PROTOCOL:
        return False
    try:
        Ledger.read(folder.ledger)
    except LedgerUnreadable:
        return False
    return True


def sweep(parent: Path, kept: str | None = None) -> list[Leftover]:
    """End and remove what killed supervisors left in `parent`; return what that was.

    A stack that can be taken over stays, unless it is the one named by `kept`.

    Call it while holding the lock on `parent`: a supervisor that is just starting has no record yet.
    """
    leftovers = [
        leftover
        for leftover in find_leftovers(parent)
        if not leftover.can_be_taken_over or leftover.folder.path.name == kept
    ]
    for leftover in leftovers:
        for identity in leftover.processes.values():
            end_process(identity, signal.SIGKILL, PATIENCE_SECONDS)
        if _remove_elsewhere(leftover.folder):
            leftover.folder.remove()
        # Else it stays, and with it the record: the next sweep tries again.
    return leftovers


def _remove_elsewhere(folder: StackFolder) -> bool:
    """Remove what the stack's clients had made on servers of somebody else's; return whether all is gone."""
    request = folder.recorded_request() or {}
    try:
        attach = Settings.model_validate(request["settings"]).attach
        ledger = Ledger.read(folder.ledger)
    except (LedgerUnreadable, ValidationError, KeyError):
        # It is another version's, or had not begun: nothing is known of what it made.
        return True
    if not attach:
        return True
    reached = {
        name: place
        for name, place in AttachedServices(attach, folder.path, folder.path, dict).places().items()
        if any(unreachable(*server) is None for server in attach.endpoints()[name].servers())
    }
    elsewhere = [entry for entry in ledger.entries() if service_of(entry.kind) in attach]
    left = Resources(folder.path, lambda: reached).remove(elsewhere)
    ledger.forget(set(elsewhere) - {one.entry for one in left})
    return not left
