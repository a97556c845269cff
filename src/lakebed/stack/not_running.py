"""Which servers of a stack do not run, as its folder and the kernel tell: no server is asked."""

from __future__ import annotations

from lakebed.services import KNOWN_SERVICES
from lakebed.stack.folders import Progress, StackFolder
from lakebed.stack.process import paused


def not_running(folder: StackFolder) -> dict[str, str]:
    """Return, by name, why a server does nothing that was up: it has ended, or is paused.

    Args:
        folder: of the stack; of one that is gone there is nothing to tell.
    """
    recorded = folder.recorded_processes()
    found: dict[str, str] = {}
    for service in KNOWN_SERVICES:
        if folder.progress(service.name) is not Progress.COMPLETE:
            continue
        identity = recorded.get(service.name)
        if identity is None or identity.process() is None:
            found[service.name] = f"its process has ended; its log: {folder.log(service.name)}"
        elif identity.is_paused():
            found[service.name] = paused(identity.pid)
    return found
