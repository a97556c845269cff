"""What this machine must allow for faults of disk, memory and clock, which ordinary tests cannot do.

They are done in process and mount namespaces that end, with all mounts, when their first process does
(`tests.hosts_apart.machine`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.faults.fault_table import CLOCK, FULL, IN_A_WORLD, MEMORY, SLOW_DISK, Fault
from tests.hosts_apart.machine import entering

NAMESPACES = ("--mount",)
BLKIO = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device")


def memory_limit() -> tuple[Path, str] | None:
    """Return where groups with a limit of memory can be made, and the file of the limit; None if nowhere.

    Source: Linux documentation, "Memory Resource Controller" (cgroup v1) and "Control Group v2".
    """
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path.lstrip("/")))
    places = [(Path("/sys/fs/cgroup/memory") / own.get("memory", ""), "memory.limit_in_bytes")]
    # Of the second version, limits are for those below a group that has no processes of its own.
    places.append((Path("/sys/fs/cgroup"), "memory.max"))
    for parent, limit in places:
        probe = parent / f"lakebed-{os.getpid()}"
        try:
            probe.mkdir()
        except OSError:
            continue
        found = (probe / limit).exists()
        probe.rmdir()
        if found:
            return parent, limit
    return None


def _tried(*command: str) -> str:
    try:
        tried = subprocess.run(entering(command, *NAMESPACES), capture_output=True, text=True)
    except OSError as error:
        return str(error)
    return "" if tried.returncode == 0 else tried.stderr.strip() or f"exit code {tried.returncode}"


@cache
def lacks(fault: Fault) -> str:
    """Return what this machine lacks for a fault; "" if it can be done."""
    if seen := _tried("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/tmp"):
        return f"mounts in a namespace: {seen}"
    if fault is SLOW_DISK:
        missing = [name for name in ("mkfs.ext4", "losetup") if shutil.which(name) is None]
        if missing:
            return f"the program {missing[0]}"
        if not os.access(BLKIO, os.W_OK):
            return f"{BLKIO}, writable"
        if seen := _tried("losetup", "--find"):
            return f"a loop device: {seen}"
    if fault is MEMORY and memory_limit() is None:
        return "a cgroup of its own with a limit of memory"
    if fault is CLOCK and shutil.which("cc") is None:
        return "a C compiler (cc)"
    return ""


def possible() -> list[Fault]:
    """Return the faults of a world that can be done here."""
    return [fault for fault in IN_A_WORLD if not lacks(fault)]


__all__ = ["BLKIO", "CLOCK", "FULL", "MEMORY", "NAMESPACES", "SLOW_DISK", "lacks", "memory_limit", "possible"]
