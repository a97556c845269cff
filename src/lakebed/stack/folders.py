"""Where stacks live on disk: one folder each, known by what it holds."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from lakebed.errors import StackFailed
from lakebed.provision.ext4 import spread_subfolders
from lakebed.stack.process import ProcessIdentity

NAME_OF_UP = "up"


def stacks_folder(configured: Path | None) -> Path:
    """Return the folder that holds all stacks of this user, made if needed.

    PostgreSQL refuses to run as root and so runs as another user, who must be able to pass through this
    folder; what lies in it is protected one level down.

    Raises:
        StackFailed: it belongs to somebody else, lets others write, or cannot be made.
    """
    folder = configured or Path(tempfile.gettempdir()) / f"lakebed-{os.getuid()}"
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise StackFailed(
            f"make the folder for stacks, {folder}",
            str(error),
            "name another one with the setting data_folder",
        ) from error
    refuse_others(folder)
    if configured is None:
        folder.chmod(mode)
    others = folder.stat().st_mode
    if others & stat.S_IWOTH and not others & stat.S_ISVTX:
        raise StackFailed(
            f"use {folder} for stacks",
            "other users may write in it, and so put a folder of theirs in place of a stack's",
            f"`chmod o-w {shlex.quote(str(folder))}`, or name another one with the setting data_folder",
        )
    spread_subfolders(folder)
    return folder


def refuse_others(folder: Path) -> None:
    """Refuse a folder that somebody else has made where one of lakebed's is to be.

    Raises:
        StackFailed: it belongs to another user, or is a link or a file.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StackFailed(
            f"use {folder} for stacks",
            f"it is no folder, or belongs to user id {status.st_uid}",
            "name another one with the setting data_folder",
        )


def remove_if_empty(folder: Path) -> None:
    """Remove the folder of all stacks after the last one, unless a client is just starting another.

    A client holds a lock on the folder while it does.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            folder.rmdir()
        finally:
            os.close(descriptor)


class Progress(IntEnum):
    """How far a service has come that was started in a folder."""

    NOTHING = 0
    PREPARED = 1
    COMPLETE = 2


@dataclass(frozen=True)
class StackFolder:
    """The folder of one stack."""

    path: Path

    @property
    def socket(self) -> Path:
        """The supervisor's unix socket."""
        return self.path / "supervisor.sock"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor had to say."""
        return self.path / "supervisor.log"

    @property
    def request(self) -> Path:
        """What the supervisor was started with."""
        return self.path / "request.json"

    @property
    def ledger(self) -> Path:
        """What clients made in the stack."""
        return self.path / "ledger.jsonl"

    def log(self, service: str) -> Path:
        """The log file of a service."""
        return self.path / f"{service}.log"

    def service_folder(self, service: str) -> Path:
        """The folder a service keeps its data in."""
        return self.path / service

    def make(self) -> None:
        """Make the folder, passable for PostgreSQL's user when lakebed runs as root.

        Raises:
            StackFailed: somebody else has made it.
        """
        mode = 0o711 if os.geteuid() == 0 else 0o700
        self.path.mkdir(mode=mode, exist_ok=True)
        refuse_others(self.path)
        self.path.chmod(mode)

    def _write(self, record: str, content: object) -> None:
        """Write a record, for this user only, so that it is never seen half written."""
        unfinished = self.path / f"{record}.new"
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(content))
        unfinished.replace(self.path / record)

    def record_request(self, request: Mapping[str, object]) -> None:
        """Write down what the supervisor is started with, for its user only."""
        self._write("request.json", request)

    def _recorded(self, record: str) -> Any:
        """Return what was written down; None if it was not, or cannot be read."""
        try:
            return json.loads((self.path / record).read_text())
        except (OSError, ValueError, RecursionError):
            return None

    def recorded_request(self) -> dict[str, Any] | None:
        """Return what the supervisor was started with; None if that cannot be read."""
        content = self._recorded("request.json")
        return content if isinstance(content, dict) else None

    def record_ports(self, ports: Mapping[str, Mapping[str, int]]) -> None:
        """Write down the ports of every service."""
        self._write("ports.json", ports)

    def recorded_ports(self) -> dict[str, dict[str, int]]:
        """Return the ports of every service; none if they cannot be read."""
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            content = self._recorded("ports.json")
            return {service: dict(ports) for service, ports in content.items()}
        return {}

    def record_progress(self, service: str, progress: Progress) -> None:
        """Write down how far a service has come."""
        self._write(f"{service}.progress.json", progress.name)

    def progress(self, service: str) -> Progress:
        """Return how far a service has come."""
        with contextlib.suppress(KeyError, TypeError):
            return Progress[self._recorded(f"{service}.progress.json")]
        return Progress.NOTHING

    def record_process(self, name: str, identity: ProcessIdentity) -> None:
        """Write down a process, so that it can be found and ended if the supervisor is killed."""
        self._write(f"{name}.process.json", asdict(identity))

    def forget_process(self, name: str) -> None:
        """Remove the record of a process that has ended."""
        (self.path / f"{name}.process.json").unlink(missing_ok=True)

    def recorded_processes(self) -> dict[str, ProcessIdentity]:
        """Return the recorded processes by name; a record that is half written counts as none."""
        found: dict[str, ProcessIdentity] = {}
        for record in sorted(self.path.glob("*.process.json")):
            with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError):
                content = self._recorded(record.name)
                found[record.name.removesuffix(".process.json")] = ProcessIdentity(
                    int(content["pid"]), float(content["create_time"])
                )
        return found

    def record_outside_files(self, name: str, files: Iterable[Path]) -> None:
        """Write down files outside this folder that go when it goes."""
        self._write(f"{name}.outside.json", [str(file) for file in files])

    def _remove_outside_files(self) -> None:
        for record in self.path.glob("*.outside.json"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                for file in self._recorded(record.name):
                    Path(file).unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder and all in it, and the files outside it that belong to its services."""
        self._remove_outside_files()
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():
            shutil.rmtree(self.path)
