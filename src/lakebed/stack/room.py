"""Is there enough memory and disk? Asked before anything is started."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import psutil

from lakebed.errors import NotEnoughDisk, NotEnoughMemory
from lakebed.services import Service

_MB = 1024 * 1024
_CGROUP_FILES = (
    # (limit, in use): version 2, then version 1 (Linux kernel documentation, "Control Group v2").
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available_memory_mb() -> int:
    """Return the memory, in MB, that new processes can have on this machine and in its cgroup."""
    available = psutil.virtual_memory().available
    for limit_file, used_file in _CGROUP_FILES:
        try:
            limit, used = Path(limit_file).read_text().strip(), Path(used_file).read_text().strip()
        except OSError:
            continue
        if limit.isdigit():
            available = min(available, max(int(limit) - int(used), 0))
    return int(available // _MB)


def check_memory(services: Sequence[Service], budget_mb: int | None) -> None:
    """Refuse services that need more memory than there is.

    Args:
        services: those about to be started.
        budget_mb: the setting `memory_mb`; None for what is available.

    Raises:
        NotEnoughMemory: with a table of what each needs.
    """
    available = available_memory_mb() if budget_mb is None else min(budget_mb, available_memory_mb())
    needed = sum(service.memory_mb for service in services)
    if needed <= available:
        return
    rows = [f"    {service.name:<16}{service.memory_mb:>6} MB" for service in services]
    rows += [f"    {'together':<16}{needed:>6} MB", f"    {'there is':<16}{available:>6} MB"]
    raise NotEnoughMemory(
        f"start {len(services)} services",
        "they need more memory than there is:\n" + "\n".join(rows),
        "ask for fewer services, end other programs, or raise the setting memory_mb; nothing was started",
    )


def check_disk(folder: Path, needed_mb: int) -> None:
    """Refuse to start on a disk with less than `needed_mb` MB free.

    Raises:
        NotEnoughDisk: with the figures.
    """
    free_mb = shutil.disk_usage(folder).free // _MB
    if free_mb < needed_mb:
        raise NotEnoughDisk(
            f"start a stack in {folder}",
            f"{free_mb} MB are free, {needed_mb} MB are wanted (setting free_disk_mb)",
            "free some room, or name another folder with the setting data_folder; nothing was started",
        )
