"""One server process: start it, know it again, read its log, end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_LOG_TAIL_BYTES = 16 * 1024


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that can be recognised later: a pid alone may have been given to another by then."""

    pid: int
    create_time: float

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Return the identity of a running process.

        Raises:
            psutil.NoSuchProcess: it has ended.
        """
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """Return the process, or None when it has ended or the pid belongs to another one now."""
        try:
            process = psutil.Process(self.pid)
            # The kernel's clock ticks are 10 ms; two processes with one pid are further apart.
            if abs(process.create_time() - self.create_time) > 0.05:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None

    def is_paused(self) -> bool:
        """Whether the process is stopped (SIGSTOP): it is there, and does nothing until it is continued."""
        process = self.process()
        with contextlib.suppress(psutil.NoSuchProcess):
            return process is not None and process.status() == psutil.STATUS_STOPPED
        return False

    def wait(self) -> int | None:
        """Return when the process has ended, with its exit code if this process may know it."""
        process = self.process()
        return None if process is None else process.wait()


def start_process(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    folder: Path,
    owner: tuple[int, int] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, its output going to the file `log`.

    Of this process's environment only what programs need to run at all is handed on, so that a user's
    proxy or Java settings change nothing and no secret of theirs reaches a server.
    """
    user, group = owner or (None, None)
    log.touch(mode=0o600)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_plain_environment(), **environment},
            cwd=folder,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=[] if owner is not None else None,
            # What a server writes, its sockets outside of the folder too, is for its user only.
            umask=0o077,
        )


def _plain_environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C.UTF-8"}


def end_process(identity: ProcessIdentity, ask: signal.Signals, patience_seconds: float) -> None:
    """Ask a process to end, wait, then kill it and its children. A process that has ended is no error.

    Only the very process of `identity` is signalled, never another one with its pid.
    """
    process = identity.process()
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [*process.children(recursive=True), process]
        process.send_signal(ask)
        # A child of ours stays a zombie until it is waited for; psutil's wait does that as well.
        _, alive = psutil.wait_procs([process], timeout=patience_seconds)
        for survivor in family if alive else family[:-1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                survivor.kill()
        psutil.wait_procs(family, timeout=patience_seconds)


def kill_process(identity: ProcessIdentity, patience_seconds: float) -> None:
    """Kill a process and its children at once, and return when they have ended. One that has is no error."""
    process = identity.process()
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        # A child of this process is waited for by whoever started it, and gets the exit code.
        psutil.wait_procs(family[1:], timeout=patience_seconds)


def resident_mb(identity: ProcessIdentity) -> int:
    """Return the resident memory of a process and its children, in MB; 0 when it has ended."""
    process = identity.process()
    if process is None:
        return 0
    total = 0
    with contextlib.suppress(psutil.Error):
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += member.memory_info().rss
    return total // (1024 * 1024)


def paused(pid: int) -> str:
    """Return what to say of a process that is stopped: it holds its port, and answers nobody."""
    return f"its process {pid} is paused (SIGSTOP): `kill -CONT {pid}` lets it go on"


def last_lines(log: Path, count: int = 25) -> str:
    """Return the last lines of a log file, or a word that there are none."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(stream.tell() - _LOG_TAIL_BYTES, 0))
            text = stream.read().decode(errors="replace")
    except OSError as error:
        return f"(no log: {error.strerror})"
    lines = text.splitlines()[-count:]
    return "\n".join(lines) if lines else "(its log is empty)"
