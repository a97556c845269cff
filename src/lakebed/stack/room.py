"""Is there enough memory and disk? Asked before anything is started."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

from lakebed.errors import NotEnoughDisk, NotEnoughMemory

_MB = 1024 * 1024


@dataclass(frozen=True)
class Hierarchy:
    """Where the kernel tells what a control group may have and has.

    Attributes:
        mount: the folder of its root group.
        limit: file with the limit in bytes; no number where there is none.
        usage: file with the bytes in use, files held in memory counted in.
        file_keys: the lines of `memory.stat` that tell how much of that are files, which the kernel gives
            up when a process needs the room. Both of them: a file that has been read twice is "active",
            and every jar is, once it has been checked and loaded.
    """

    mount: Path
    limit: str
    usage: str
    file_keys: tuple[str, str]


# Linux kernel documentation, "Control Group v2" and "Memory Resource Controller".
VERSION_2 = Hierarchy(
    Path("/sys/fs/cgroup"), "memory.max", "memory.current", ("active_file", "inactive_file")
)
VERSION_1 = Hierarchy(
    Path("/sys/fs/cgroup/memory"),
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
)


def own_groups(membership: str) -> list[tuple[Hierarchy, PurePosixPath]]:
    """Return the control groups for memory that a process is in, with their hierarchies.

    Args:
        membership: the text of `/proc/<pid>/cgroup`: lines `hierarchy:controllers:path`, where version 2 has
            the number 0 and no controllers.
    """
    groups = []
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            groups.append((VERSION_2, PurePosixPath(path)))
        elif "memory" in controllers.split(","):
            groups.append((VERSION_1, PurePosixPath(path)))
    return groups


def bytes_left(limit: str, usage: str, stat: str, file_keys: tuple[str, str]) -> int | None:
    """Return how much more a control group may take, from the texts of its files; None without a limit."""
    if not limit.strip().isdigit():
        return None
    figures = dict(line.split() for line in stat.splitlines())
    files = sum(int(figures.get(key, 0)) for key in file_keys)
    return max(int(limit) - max(int(usage) - files, 0), 0)


def _bytes_left_in_groups() -> Iterator[int]:
    try:
        membership = Path("/proc/self/cgroup").read_text()
    except OSError:
        return
    for hierarchy, own in own_groups(membership):
        # In a container the path may be the one outside of it; then only the root is there, which is its own.
        for group in (own, *own.parents):
            folder = hierarchy.mount / group.relative_to("/")
            with contextlib.suppress(OSError):
                limit, usage, stat = (
                    (folder / name).read_text() for name in (hierarchy.limit, hierarchy.usage, "memory.stat")
                )
                left = bytes_left(limit, usage, stat, hierarchy.file_keys)
                if left is not None:
                    yield left


def available_memory_mb() -> int:
    """Return the memory, in MB, that new processes can have on this machine and in its control groups."""
    return int(min([psutil.virtual_memory().available, *_bytes_left_in_groups()]) // _MB)


def check_memory(
    asked: Mapping[str, int],
    *,
    promised: Mapping[str, int],
    running: Mapping[str, int],
    budget_mb: int | None,
) -> None:
    """Refuse what needs more memory than there is. All figures are MB.

    Args:
        asked: by what for ("kafka", "Spark session of gw1"), what is about to be taken.
        promised: what has been allowed before and is not yet in use.
        running: what is in use; the machine has counted it already, so it counts against the budget only.
        budget_mb: the setting `memory_mb`, for everything together; None for what is available.

    Raises:
        NotEnoughMemory: with a table of what takes how much.
    """
    available = available_memory_mb()
    reserved = [*_rows(asked), *_rows(promised, "promised before")]
    if _sum(reserved) > available:
        raise _too_much(reserved, available, "available", "end other programs")
    everything = [*reserved, *_rows(running, "in use")]
    if budget_mb is not None and _sum(everything) > budget_mb:
        raise _too_much(everything, budget_mb, "setting memory_mb", "raise the setting memory_mb")


_Row = tuple[str, int, str]


def _rows(figures: Mapping[str, int], note: str = "") -> list[_Row]:
    return [(name, mb, note) for name, mb in figures.items()]


def _sum(rows: Iterable[_Row]) -> int:
    return sum(mb for _, mb, _ in rows)


def _too_much(rows: list[_Row], limit_mb: int, limit: str, way_out: str) -> NotEnoughMemory:
    together = _sum(rows)
    sums = [("together", together, ""), ("there is", limit_mb, limit), ("missing", together - limit_mb, "")]
    width = max(16, *(len(name) for name, _, _ in rows))
    lines = [f"    {name:<{width}}{mb:>7} MB  {note}".rstrip() for name, mb, note in [*rows, *sums]]
    asked = [name for name, _, note in rows if not note]
    return NotEnoughMemory(
        f"find memory for {', '.join(asked)}",
        "that is more than there is:\n" + "\n".join(lines),
        f"ask for less, or {way_out}; nothing was started",
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
