"""Faults of disk, memory and clock: each is done on entering its block, and undone on leaving it."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from tests.faults.inflicting import process_of
from tests.faults.own_world import BLKIO, memory_limit

from lakebed.lifecycle import ServiceState
from lakebed.pytest_plugin.crash import Crash
from lakebed.pytest_plugin.session import SessionStack
from lakebed.services import Place, service_named
from lakebed.waiting import wait_until

DAY_SECONDS = 86_400
_ROOM_BYTES = 8 * 1024 * 1024
_IMAGE_BYTES = 400 * 1024 * 1024
_MEMORY_BYTES = 1024 * 1024
_WRITES_A_SECOND = 20


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _has_stopped(stack: SessionStack, service: str) -> bool:
    status = stack.status()
    assert status is not None
    states = {one["service"]: one["state"] for one in status["services"]}
    return bool(states[service] == ServiceState.STOPPED.value)


def start_again_if_it_is_not_well(crash: Crash, stack: SessionStack, service: str) -> None:
    """Do what its user would: start a server again that has ended of a fault, or answers no more."""
    if _has_stopped(stack, service) or service in stack.unanswering():
        crash.kill(service)
        crash.bring_back(service)


# -- disks -------------------------------------------------------------------------------------------------


@contextmanager
def on_file_system(
    crash: Crash, folder: Path, service: str, mount: Callable[[Path, int], None]
) -> Iterator[Path]:
    """Have a server's folder on a file system of its own, and afterwards where it was.

    Args:
        crash: kills and starts.
        folder: of the stack.
        service: which.
        mount: mounts a file system on a folder, which is to hold so many bytes now.
    """
    data, aside = folder / service, folder / f"{service}-aside"
    crash.kill(service)
    data.rename(aside)
    status = aside.stat()
    data.mkdir(mode=0o700)
    mount(data, int(_run("du", "--summarize", "--bytes", str(aside)).split()[0]))
    os.chown(data, status.st_uid, status.st_gid)
    data.chmod(status.st_mode & 0o7777)
    _run("cp", "--archive", f"{aside}/.", str(data))
    shutil.rmtree(aside)
    crash.bring_back(service)
    try:
        yield data
    finally:
        crash.kill(service)
        aside.mkdir(mode=status.st_mode & 0o7777)
        _run("cp", "--archive", f"{data}/.", str(aside))
        shutil.rmtree(aside / "lost+found", ignore_errors=True)
        _run("umount", str(data))
        data.rmdir()
        aside.rename(data)
        crash.bring_back(service)


def mount_small(folder: Path, used_bytes: int) -> None:
    """Mount a file system with little more room than what is to be in it."""
    size = used_bytes + used_bytes // 4 + _ROOM_BYTES
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))


@contextmanager
def full(crash: Crash, stack: SessionStack, service: str, folder: Path) -> Iterator[None]:
    """Fill a file system to the last byte; make room, and start the server again if it has ended of it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    try:
        yield
    finally:
        filler.unlink()
        start_again_if_it_is_not_well(crash, stack, service)


class SlowDisk:
    """A disk in a file, which can be slow: an ext4 file system on a loop device."""

    def __init__(self, image: Path) -> None:
        self._image = image
        self._device = ""
        self._folder = image.parent

    def mount(self, folder: Path, used_bytes: int) -> None:
        """Make it, and mount it."""
        with self._image.open("wb") as file:
            file.truncate(_IMAGE_BYTES + used_bytes)
        # Without a journal: what writes that is a thread of the kernel's.
        _run("mkfs.ext4", "-q", "-O", "^has_journal", str(self._image))
        self._device = _run("losetup", "--find", "--show", str(self._image))
        _run("mount", self._device, str(folder))
        self._folder = folder

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Let it do a few writes a second, and have who writes wait for them."""
        _run("mount", "-o", "remount,sync", str(self._folder))
        self._limit(_WRITES_A_SECOND)
        try:
            yield
        finally:
            self._limit(0)
            _run("mount", "-o", "remount,async", str(self._folder))

    def _limit(self, writes: int) -> None:
        number = os.stat(self._device).st_rdev
        BLKIO.write_text(f"{os.major(number)}:{os.minor(number)} {writes}")

    def close(self) -> None:
        """Remove it; it is not mounted any more."""
        if self._device:
            _run("losetup", "--detach", self._device)
        self._image.unlink(missing_ok=True)


# -- memory ------------------------------------------------------------------------------------------------


@contextmanager
def out_of_memory(crash: Crash, stack: SessionStack, service: str) -> Iterator[None]:
    """Move a server into a group that may take no more memory; start it again if the kernel has killed it."""
    place = memory_limit()
    assert place is not None
    parent, limit = place
    group = parent / f"lakebed-{service}-{os.getpid()}"
    group.mkdir()
    (group / limit).write_text(str(_MEMORY_BYTES))
    process = process_of(stack, service)
    for member in (process, *process.children(recursive=True)):
        (group / "cgroup.procs").write_text(str(member.pid))
    try:
        yield
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (parent / "cgroup.procs").write_text(pid)
        start_again_if_it_is_not_well(crash, stack, service)
        wait_until(
            lambda: not (group / "cgroup.procs").read_text(),
            "the group's processes to be gone",
            deadline_seconds=10,
        )
        group.rmdir()


# -- clocks ------------------------------------------------------------------------------------------------


class Clock:
    """A library that is preloaded, and the file that says how many seconds it is ahead.

    Args:
        folder: for both; every user can pass through it.
    """

    def __init__(self, folder: Path) -> None:
        library, self._ahead = folder / "clock.so", folder / "ahead"
        source = Path(__file__).with_name("clock.c")
        _run("cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source))
        self._ahead.write_bytes(struct.pack("=q", 0))
        library.chmod(0o755)
        self._ahead.chmod(0o644)
        self.environment: Mapping[str, str] = {"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(self._ahead)}

    @contextmanager
    def jumps(self) -> Iterator[None]:
        """Jump a day ahead, and back."""
        self._set(DAY_SECONDS)
        try:
            yield
        finally:
            self._set(0)

    def _set(self, seconds: int) -> None:
        # In place: it is mapped.
        with self._ahead.open("r+b") as file:
            file.write(struct.pack("=q", seconds))


@contextmanager
def with_environment(
    crash: Crash, stack: SessionStack, service: str, environment: Mapping[str, str]
) -> Iterator[None]:
    """Run a server with more variables: the same command, user and log, as a child of this process."""
    process = process_of(stack, service)
    command, variables, place = process.cmdline(), process.environ(), process.cwd()
    as_root = os.geteuid() == 0
    user, group = (process.uids().real, process.gids().real) if as_root else (None, None)
    ports = stack.need(service).ports
    crash.kill(service)
    with (stack.folder / f"{service}.log").open("ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**variables, **environment},
            cwd=place,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=[] if as_root else None,
        )
    try:
        where = Place(Path(place), stack.cache, ports[service], ports)

        def is_healthy() -> bool:
            service_named(service).check(where)
            return True

        wait_until(
            is_healthy,
            f"{service} to be healthy with a clock of its own",
            deadline_seconds=120,
            ignore=(Exception,),
        )
        yield
    finally:
        family = psutil.Process(child.pid).children(recursive=True) if child.poll() is None else []
        child.kill()
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        child.wait()
        psutil.wait_procs(family, timeout=10)
        crash.bring_back(service)
