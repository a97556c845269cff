"""A client's side of a stack: find its supervisor or start one, hold a lease, ask for services."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import lakebed.errors
from lakebed.config.settings import Settings
from lakebed.errors import LakebedError, StackFailed
from lakebed.provision.cache import cache_folder
from lakebed.provision.class_data import ensure_base_archive
from lakebed.provision.progress import Progress
from lakebed.provision.provide import provide
from lakebed.services import service_named
from lakebed.stack.folders import StackFolder, stacks_folder
from lakebed.stack.leftovers import sweep
from lakebed.stack.ports import PortsByService
from lakebed.stack.process import ProcessIdentity, last_lines
from lakebed.stack.supervisor import SUPERVISOR
from lakebed.waiting import wait_until

SUPERVISOR_START_SECONDS = 30.0
SUPERVISOR_END_SECONDS = 60.0

OnEvent = Callable[[dict[str, Any]], None]


def _ignore(event: dict[str, Any]) -> None:
    """Take no notice of an event."""


class StackConnection:
    """A lease on a stack (or, without a lease, a look at one). One thread at a time, but for `abort`."""

    def __init__(self, folder: StackFolder, connection: socket.socket, *, client: str, lease: bool) -> None:
        self.folder = folder
        self.client = client
        self._connected: set[str] = set()
        self._use(connection, lease=lease)

    def _use(self, connection: socket.socket, *, lease: bool) -> None:
        self._socket = connection
        self._lines = connection.makefile("rb")
        self._usable = True
        self._send({"client": self.client, "lease": lease})
        self._read_answer(_ignore)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> StackFailed:
        self._usable = False
        return StackFailed(
            f"talk to the supervisor of the stack in {self.folder.path}",
            f"it has closed the connection; the end of its log:\n{last_lines(self.folder.supervisor_log)}",
            "start the stack again",
        )

    def _read_answer(self, on_event: OnEvent) -> dict[str, Any]:
        while True:
            try:
                line = self._lines.readline()
            except OSError as error:
                raise self._gone() from error
            if not line:
                raise self._gone()
            message: dict[str, Any] = json.loads(line)
            if "error" in message:
                raise _error_from_json(message["error"])
            if "answer" in message:
                answer: dict[str, Any] = message["answer"]
                return answer
            on_event(message)

    def request(self, name: str, on_event: OnEvent = _ignore, **fields: Any) -> dict[str, Any]:
        """Ask the supervisor for something and return its answer.

        An interrupt (Ctrl-C) gives up the connection and with it the lease: its answer would be taken for
        that of the next request, which opens a connection of its own, without a lease.

        Raises:
            LakebedError: of the type the supervisor raised.
        """
        if not self._usable:
            connection = _connect(self.folder)
            if connection is None:
                raise self._gone()
            self._use(connection, lease=False)
        try:
            self._send({"request": name, **fields})
            return self._read_answer(on_event)
        except LakebedError:
            raise
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Give up what is being asked, and the lease; may be called from another thread."""
        self._usable = False
        # shutdown, not only close: `makefile` holds the socket open as well.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def start(
        self,
        services: Iterable[str],
        settings: Settings,
        *,
        progress: Progress | None = None,
        on_event: OnEvent = _ignore,
    ) -> PortsByService:
        """Start the services that are not up, with what they need; return when all asked for are healthy.

        Downloads what they run from first, after it is known that they could be started.

        Args:
            services: names; none at all means every service.
            progress: told of downloads.
            on_event: called with {"event": "state", "service": ..., "state": ..., "reason": ...}.

        Returns:
            By service and port name, the number, for the whole stack.
        """
        names = list(services)
        asked: dict[str, Any] = {"services": names, "ports": settings.ports}
        missing = [service_named(name) for name in self.request("plan", **asked)["missing"]]
        cache = cache_folder(settings.cache_folder)
        provide(
            [service.jars for service in missing if service.jars],
            cache=cache,
            mirror=settings.maven_mirror,
            progress=progress,
        )
        if any(service.heap_mb is not None for service in missing):
            ensure_base_archive(cache, progress.named if progress is not None else lambda text: None)
        ports: PortsByService = self.request("start", on_event, **asked)["ports"]
        return ports

    def connected(self, service: str) -> None:
        """Tell that this client has used a service: the first client makes it RUNNING."""
        if service not in self._connected:
            self._connected.add(service)
            self.request("connected", service=service, client=self.client)

    def status(self) -> dict[str, Any]:
        """Return the stack's state: see `lakebed status --json` in docs/cli.md."""
        return self.request("status")

    def stop(self) -> None:
        """Stop the stack and return when its servers and its folder are gone."""
        supervisor = self._supervisor()
        self.request("stop")
        self._hang_up()
        self._wait_for_end(supervisor)

    def close(self) -> None:
        """End the lease; if it was the last one on a stack that is not kept, wait for the end of that."""
        supervisor = self._supervisor()
        try:
            stack_ends = bool(self.request("leave")["stack_ends"])
        except LakebedError:
            # The supervisor no longer listens: it is ending, or has ended.
            stack_ends = True
        self._hang_up()
        if stack_ends and supervisor is not None and supervisor.process() is not None:
            self._wait_for_end(supervisor)

    def _supervisor(self) -> ProcessIdentity | None:
        return self.folder.recorded_processes().get(SUPERVISOR)

    def _hang_up(self) -> None:
        self.abort()
        self._lines.close()
        self._socket.close()

    def _wait_for_end(self, supervisor: ProcessIdentity | None) -> None:
        wait_until(
            lambda: not self.folder.path.exists() and (supervisor is None or supervisor.process() is None),
            f"the stack in {self.folder.path} to end",
            deadline_seconds=SUPERVISOR_END_SECONDS,
            explain=lambda: last_lines(self.folder.supervisor_log),
            remedy="`lakebed doctor` shows what is left and how to end it",
        )


def _error_from_json(content: dict[str, str]) -> LakebedError:
    error_type = getattr(lakebed.errors, content["type"], StackFailed)
    error: LakebedError = error_type(content["attempted"], content["seen"], content["remedy"])
    return error


def find_stack(settings: Settings, name: str, client: str) -> StackConnection | None:
    """Connect, without a lease, to a stack that runs; None when there is none of that name."""
    folder = StackFolder(stacks_folder(settings.data_folder) / name)
    connection = _connect(folder)
    return None if connection is None else StackConnection(folder, connection, client=client, lease=False)


def open_stack(
    settings: Settings, name: str, *, client: str, well_known_ports: bool = False, keep: bool = False
) -> StackConnection:
    """Take a lease on the stack `name`, starting its supervisor if it does not run.

    Args:
        name: of the stack; clients that give the same one share it.
        client: who asks, as `lakebed status` shows it.
        well_known_ports: for a new stack, the contract's ports; otherwise free ones.
        keep: for a new stack, whether it goes on when the last lease ends.

    Raises:
        StackFailed: the supervisor could not be started.
    """
    with _only_one_starts(settings) as parent:
        sweep(parent)
        folder = StackFolder(parent / name)
        connection = _connect(folder)
        if connection is None:
            _start_supervisor(folder, settings, well_known_ports=well_known_ports, keep=keep)
            connection = _connect(folder)
        if connection is None:
            seen = f"its supervisor ended at once:\n{last_lines(folder.supervisor_log)}"
            folder.remove()
            raise StackFailed(f"start the stack in {folder.path}", seen, "run `lakebed doctor`")
        return StackConnection(folder, connection, client=client, lease=True)


@contextlib.contextmanager
def _only_one_starts(settings: Settings) -> Iterator[Path]:
    """Hold a lock on the folder of all stacks, so that two clients never start one stack twice."""
    while True:
        parent = stacks_folder(settings.data_folder)
        descriptor = os.open(parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The last supervisor of all removes the empty folder; then this lock is on a ghost.
            if not parent.exists() or os.fstat(descriptor).st_ino != parent.stat().st_ino:
                continue
            yield parent
            return
        finally:
            os.close(descriptor)


def _connect(folder: StackFolder) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(folder.socket))
    except OSError:
        connection.close()
        return None
    return connection


def _absolute_python_path() -> dict[str, str]:
    """Return PYTHONPATH so that it means the same in another folder."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    absolute = os.pathsep.join(str(Path(entry).absolute()) for entry in entries if entry)
    return {"PYTHONPATH": absolute} if absolute else {}


def _start_supervisor(folder: StackFolder, settings: Settings, *, well_known_ports: bool, keep: bool) -> None:
    folder.make()
    request = {
        "settings": settings.model_dump(mode="json"),
        "well_known_ports": well_known_ports,
        "keep": keep,
    }
    folder.request.touch(mode=0o600)
    folder.request.write_text(json.dumps(request))
    with folder.supervisor_log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lakebed.stack.supervisor", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder.path.parent,
            env={**os.environ, **_absolute_python_path()},
        )

    def is_ready() -> bool:
        return folder.socket.exists() or process.poll() is not None

    wait_until(
        is_ready,
        "the supervisor to listen",
        deadline_seconds=SUPERVISOR_START_SECONDS,
        longest_pause_seconds=0.01,
        explain=lambda: last_lines(folder.supervisor_log),
    )
