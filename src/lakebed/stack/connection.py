"""A client's side of a stack: find its supervisor or start one, hold a lease, ask for services."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lakebed import __version__
from lakebed.config.attach import Attach
from lakebed.config.settings import Settings
from lakebed.errors import CleanUpIncomplete, LakebedError, OtherVersion, StackFailed
from lakebed.provision.cache import cache_folder
from lakebed.provision.class_data import ensure_base_archive
from lakebed.provision.progress import Progress
from lakebed.provision.provide import is_provided, provide
from lakebed.services import Service, jar_sets, service_named
from lakebed.stack.folders import StackFolder, stacks_folder
from lakebed.stack.ledger import Entry
from lakebed.stack.leftovers import find_leftovers, sweep
from lakebed.stack.messages import encoded, error_from_json, read_message
from lakebed.stack.plan import asked_for
from lakebed.stack.ports import PortsByService
from lakebed.stack.process import ProcessIdentity, last_lines
from lakebed.stack.supervisor import PROTOCOL, SUPERVISOR
from lakebed.waiting import wait_until

SUPERVISOR_START_SECONDS = 30.0
SUPERVISOR_END_SECONDS = 60.0

# By which coverage measures the processes of a test run. The supervisor is none of them, and would be slowed.
_OF_COVERAGE = ("COV_CORE_", "COVERAGE_PROCESS_")

OnEvent = Callable[[dict[str, Any]], None]


def _ignore(event: dict[str, Any]) -> None:
    """Take no notice of an event."""


class StackConnection:
    """A lease on a stack (or, without a lease, a look at one). One thread at a time, but for `abort`."""

    def __init__(self, folder: StackFolder, connection: socket.socket, asked: _Asked) -> None:
        self.folder = folder
        self.client = asked.client
        self.lease_given_up = not asked.lease
        self._connected: set[str] = set()
        self._use(connection, asked)

    def _use(self, connection: socket.socket, asked: _Asked) -> None:
        self._socket = connection
        self._lines = connection.makefile("rb")
        self._usable = True
        # Whether the answer to a request has not been read: its caller was interrupted.
        self._is_answer_due = False
        self._send({"protocol": PROTOCOL, **asdict(asked)})
        self._check_version()
        self._read_answer(_ignore)

    def _check_version(self) -> None:
        greeting = self._read_line()
        if greeting.get("protocol") != PROTOCOL:
            version = greeting.get("version") or greeting.get("answer", {}).get("version", "unknown")
            self.hang_up()
            raise OtherVersion(
                f"talk to the supervisor of the stack in {self.folder.path}",
                f"it is of lakebed {version}, which this one ({__version__}) cannot talk to",
                "`lakebed down` ends that stack",
            )

    def _send(self, message: dict[str, Any]) -> None:
        __tracebackhide__ = True  # as in `request`
        try:
            self._socket.sendall(encoded(message))
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> StackFailed:
        self._usable = False
        return StackFailed(
            f"talk to the supervisor of the stack in {self.folder.path}",
            f"it has closed the connection; the end of its log:\n{last_lines(self.folder.supervisor_log)}",
            "start the stack again",
        )

    def _read_line(self) -> dict[str, Any]:
        try:
            message = read_message(self._lines)
        except OSError as error:
            raise self._gone() from error
        if message is None:
            raise self._gone()
        return message

    def _read_answer(self, on_event: OnEvent) -> dict[str, Any]:
        while True:
            message = self._read_line()
            if "error" in message:
                self._is_answer_due = False
                raise error_from_json(message["error"])
            if "answer" in message:
                self._is_answer_due = False
                answer: dict[str, Any] = message["answer"]
                return answer
            on_event(message)

    def _read_late_answer(self) -> None:
        """Take note that what an interrupted caller had asked for is done, or has failed."""
        if self._is_answer_due:
            with contextlib.suppress(LakebedError):
                self._read_answer(_ignore)
            if not self._usable:
                raise self._gone()

    def request(self, name: str, on_event: OnEvent = _ignore, **fields: Any) -> dict[str, Any]:
        """Ask the supervisor for something and return its answer.

        An interrupt (Ctrl-C) gives up the connection and with it the lease: the next request opens one of its
        own, without a lease. Where only a test ends, because pytest-timeout's signal fails it, the next
        request first waits for the answer that is due.

        Raises:
            LakebedError: of the type the supervisor raised.
        """
        # pytest's --showlocals would show the fields: credentials of attached servers are among them.
        __tracebackhide__ = True
        if not self._usable:
            connection = _connect(self.folder)
            if connection is None:
                raise self._gone()
            self._use(connection, _Asked(self.client))
        try:
            self._read_late_answer()
            self._send({"request": name, **fields})
            self._is_answer_due = True
            return self._read_answer(on_event)
        except LakebedError:
            raise
        except (Exception, KeyboardInterrupt, SystemExit):
            self.abort()
            raise
        except BaseException:  # an outcome of pytest's
            if not self._is_answer_due:  # the request may have been sent in part
                self.abort()
            raise

    def abort(self) -> None:
        """Give up what is being asked, and the lease; may be called from another thread.

        The supervisor then removes what this client has recorded.
        """
        self._usable = False
        self.lease_given_up = True
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
        __tracebackhide__ = True  # as in `request`
        asked = _asked(services, settings)
        missing = self._missing(asked)
        cache = cache_folder(settings.cache_folder)
        provide(
            jar_sets(missing, settings),
            cache=cache,
            mirror=settings.maven_mirror,
            progress=progress,
        )
        if any(service.heap_mb is not None for service in missing):
            ensure_base_archive(cache, progress.named if progress is not None else lambda text: None)
        ports: PortsByService = self.request("start", on_event, **asked)["ports"]
        return ports

    def _missing(self, asked: dict[str, Any]) -> list[Service]:
        return [service_named(name) for name in self.request("plan", **asked)["missing"]]

    def bring_back(self, service: str) -> None:
        """Start a server that was killed; of its cluster no other.

        Raises:
            LakebedError: it could not be started.
        """
        self.request("start", services=[service_named(service).name], ports={})

    def begin(self, services: Iterable[str], settings: Settings) -> None:
        """Begin to start services and return at once; nothing is begun where something must be downloaded.

        Whoever needs one calls `start`, which waits for it, and gets its errors.
        """
        __tracebackhide__ = True  # as in `request`
        asked = _asked(services, settings)
        cache = cache_folder(settings.cache_folder)
        if is_provided(jar_sets(self._missing(asked), settings), cache):
            self.request("begin", **asked)

    def keep(self) -> None:
        """Let the stack go on when the last lease ends."""
        self.request("keep")

    def promise(self, what: str, memory_mb: int) -> None:
        """Ask for memory, in MB, that a process of this client is going to take.

        It counts as taken from when the client records that process.

        Raises:
            NotEnoughMemory: with a table of what takes how much.
        """
        self.request("promise", what=what, memory_mb=memory_mb)

    def record(self, *entries: Entry) -> None:
        """Tell what this client is about to make: it is removed when the client ends, however it does.

        Raises:
            UnknownKind: listing the known ones.
        """
        self.request("record", entries=entries)

    def remove(self, *entries: Entry) -> None:
        """Remove things, in this order, and return when they are gone. One that is not there is no error.

        Raises:
            CleanUpIncomplete: naming what could not be removed, and why.
        """
        _refuse_left(self.request("remove", entries=entries)["left"])

    def kill(self, *services: str) -> None:
        """Kill servers with SIGKILL, and return when they are STOPPED.

        Until this client starts them again, or ends, nobody else can: their `start` waits.

        Raises:
            UnknownService: listing the known ones.
        """
        self.request("kill", services=[service_named(name).name for name in services])

    def connected(self, service: str) -> None:
        """Tell that this client has used a service: the first client makes it RUNNING."""
        if service not in self._connected:
            self._connected.add(service)
            self.request("connected", service=service, client=self.client)

    def forget_connected(self, service: str) -> None:
        """Let the next `connected` count: the service was started anew."""
        self._connected.discard(service)

    def attached(self) -> Attach:
        """Return which servers of somebody else's the stack uses, with their credentials."""
        return Attach.model_validate(self.request("attached")["attach"])

    def status(self) -> dict[str, Any]:
        """Return the stack's state: see `lakebed status --json` in docs/cli.md."""
        return self.request("status")

    def memory(self, since: float) -> list[tuple[float, dict[str, int]]]:
        """Return the samples of memory from a time on: seconds since 1970, and by process the MB.

        From the first call on the supervisor takes one each second.
        """
        samples: list[tuple[float, dict[str, int]]] = self.request("memory", since=since)["samples"]
        return samples

    def stop(self) -> None:
        """Stop the stack and return when its servers and its folder are gone.

        Raises:
            DeadlinePassed: they are not.
            CleanUpIncomplete: naming what could not be removed from servers of somebody else's.
        """
        supervisor = self._supervisor()
        left = self.request("stop")["left"]
        self.hang_up()
        _wait_for_end(self.folder, supervisor)
        self._sweep_what_a_killed_one_left(kept=self.folder.path.name)
        _refuse_left(left)

    def close(self) -> None:
        """End the lease; if it was the last one on a stack that is not kept, wait for the end of that.

        Raises:
            CleanUpIncomplete: naming what this client, or the tests before it, made and could not be removed.
        """
        supervisor = self._supervisor()
        left: list[dict[str, str]] = []
        try:
            answer = self.request("leave")
            stack_ends, left = bool(answer["stack_ends"]), answer["left"]
        except LakebedError:
            # The supervisor no longer listens: it is ending, or has ended.
            stack_ends = True
        self.hang_up()
        if stack_ends:
            if supervisor is not None:
                _wait_for_end(self.folder, supervisor)
            self._sweep_what_a_killed_one_left()
        _refuse_left(left)

    def _sweep_what_a_killed_one_left(self, kept: str | None = None) -> None:
        """Remove the stack where its supervisor was killed before it could; a kept one only if named."""
        if self.folder.path.exists():
            with _only_one_starts(self.folder.path.parent) as parent:
                sweep(parent, kept=kept)

    def _supervisor(self) -> ProcessIdentity | None:
        return self.folder.recorded_processes().get(SUPERVISOR)

    def hang_up(self) -> None:
        """Close the connection; a lease ends without waiting for what that entails."""
        self.abort()
        self._lines.close()
        self._socket.close()


@dataclass(frozen=True)
class _Asked:
    """What a client says of itself when it connects."""

    client: str
    lease: bool = False
    tests: bool = False
    keep: bool = False


def _asked(services: Iterable[str], settings: Settings) -> dict[str, Any]:
    """Return what is asked for; the socket is this user's alone, so that credentials may go over it."""
    # Whoever does not ask for a version takes the one that is there.
    chosen = settings.postgres_version if "postgres_version" in settings.model_fields_set else None
    return {
        "postgres_version": chosen,
        "services": asked_for(services, settings),
        "ports": settings.ports,
        "attach": settings.attach.to_json(secrets=True),
    }


def _wait_for_end(folder: StackFolder, supervisor: ProcessIdentity | None) -> None:
    """Wait until a supervisor that ends has ended, and with it its stack; one that was killed leaves that.

    Where it has no record that can be read, wait for the folder to go, which it removes last, or for the
    record of another one that somebody has begun there since.
    """

    def has_ended() -> bool:
        if supervisor is not None:
            return supervisor.process() is None
        return not folder.path.exists() or SUPERVISOR in folder.recorded_processes()

    wait_until(
        has_ended,
        f"the stack in {folder.path} to end",
        deadline_seconds=SUPERVISOR_END_SECONDS,
        longest_pause_seconds=0.02,
        explain=lambda: last_lines(folder.supervisor_log),
        remedy="`lakebed doctor` shows what is left and how to end it",
    )


def _refuse_left(left: list[dict[str, str]]) -> None:
    if left:
        raise CleanUpIncomplete(
            f"remove what was made in the stack ({len(left)} left)",
            "\n".join(f"{one['kind']} {one['name']}: {one['why']}" for one in left),
            "remove it by hand, or `lakebed down` for a fresh stack",
        )


def find_stack(settings: Settings, name: str, client: str) -> StackConnection | None:
    """Connect, without a lease, to a stack that runs; None when there is none of that name.

    Raises:
        OtherVersion: it is of a version of lakebed that this one cannot talk to.
    """
    folder = StackFolder(stacks_folder(settings.data_folder) / name)
    connection = _connect(folder)
    if connection is None:
        return None
    try:
        return StackConnection(folder, connection, _Asked(client))
    except OtherVersion:
        raise
    except StackFailed:
        # It was ending just when this client came.
        return None


def _find_when_settled(settings: Settings, name: str, client: str) -> StackConnection | None:
    """Find a stack, if need be when its supervisor listens or has ended: it may be starting, or ending.

    One that was killed refuses connections some milliseconds before its process has ended.
    """
    connection = find_stack(settings, name, client)
    if connection is not None:
        return connection
    with _only_one_starts(settings.data_folder) as parent:
        # Whoever starts one holds the lock until it listens.
        folder = StackFolder(parent / name)
        listens, ending = _reach(folder)
        if listens is not None:
            listens.close()
    if ending is not None:
        _wait_for_end(folder, ending)
    return find_stack(settings, name, client)


def _reach(folder: StackFolder) -> tuple[socket.socket | None, ProcessIdentity | None]:
    """Connect to a stack, or return its supervisor where that runs but does not listen any more.

    Call it while holding the lock on the folder of all stacks.
    """
    connection = _connect(folder)
    supervisor = folder.recorded_processes().get(SUPERVISOR) if connection is None else None
    return connection, supervisor if supervisor is not None and supervisor.process() is not None else None


def is_kept(settings: Settings, name: str, client: str) -> bool:
    """Whether there is a kept stack of that name, or one that can be taken over.

    Raises:
        OtherVersion: it is of a version of lakebed that this one cannot talk to.
    """
    connection = _find_when_settled(settings, name, client)
    if connection is not None:
        try:
            return bool(connection.status()["keep"])
        finally:
            connection.hang_up()
    leftovers = find_leftovers(stacks_folder(settings.data_folder))
    return any(leftover.can_be_taken_over for leftover in leftovers if leftover.folder.path.name == name)


def open_stack(
    settings: Settings,
    name: str,
    *,
    client: str,
    well_known_ports: bool = False,
    keep: bool = False,
    tests: bool = False,
) -> StackConnection:
    """Take a lease on the stack `name`, starting its supervisor if it does not run.

    A kept stack whose supervisor was killed is taken over: its servers go on, what clients had made in it is
    removed.

    Args:
        name: of the stack; clients that give the same one share it.
        client: who asks, as `lakebed status` shows it.
        well_known_ports: for a new stack, the contract's ports; otherwise free ones.
        keep: whether the stack goes on when the last lease ends.
        tests: whether the client runs tests: when the last one that does has gone, a kept stack is brought
            back to what it held before the first one came.

    Raises:
        StackFailed: the supervisor could not be started.
        OtherVersion: the stack is of a version of lakebed that this one cannot talk to.
    """
    asked = _Asked(client, lease=True, tests=tests, keep=keep)
    while True:
        with _only_one_starts(settings.data_folder) as parent:
            sweep(parent)
            folder = StackFolder(parent / name)
            connection, ending = _reach(folder)
            if connection is None and ending is None:
                connection = _start_supervisor(folder, settings, well_known_ports=well_known_ports, keep=keep)
            supervisor = ending or folder.recorded_processes().get(SUPERVISOR)
        if connection is not None:
            try:
                return StackConnection(folder, connection, asked)
            except OtherVersion:
                raise
            except StackFailed:
                # It was ending just when this client came.
                pass
        _wait_for_end(folder, supervisor)


def end_stack(settings: Settings, name: str, client: str) -> bool:
    """Stop a stack, also one whose supervisor was killed or is of another version of lakebed.

    Returns:
        Whether there was one.

    Raises:
        DeadlinePassed: it does not end.
    """
    folder = StackFolder(stacks_folder(settings.data_folder) / name)
    try:
        connection = _find_when_settled(settings, name, client)
    except OtherVersion:
        supervisor = folder.recorded_processes().get(SUPERVISOR)
        process = None if supervisor is None else supervisor.process()
        if process is None:
            raise
        process.terminate()
        _wait_for_end(folder, supervisor)
        return True
    if connection is not None:
        connection.stop()
        return True
    with _only_one_starts(settings.data_folder) as parent:
        return any(leftover.folder == folder for leftover in sweep(parent, kept=name))


@contextlib.contextmanager
def _only_one_starts(data_folder: Path | None) -> Iterator[Path]:
    """Hold a lock on the folder of all stacks, so that two clients never start one stack twice."""
    while True:
        parent = stacks_folder(data_folder)
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


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OF_COVERAGE)}
    return {**own, **_absolute_python_path()}


def _start_supervisor(
    folder: StackFolder, settings: Settings, *, well_known_ports: bool, keep: bool
) -> socket.socket:
    """Start the supervisor of a stack, and connect to it.

    Raises:
        StackFailed: it has ended at once.
    """
    folder.make()
    folder.socket.unlink(missing_ok=True)
    if not folder.ledger.exists():
        request = {
            "protocol": PROTOCOL,
            # A relative folder would be another one for the supervisor.
            "settings": settings.model_copy(
                update={"cache_folder": cache_folder(settings.cache_folder)}
            ).model_dump(mode="json", context={"secrets": True}),
            "well_known_ports": well_known_ports,
            "keep": keep,
        }
        folder.record_request(request)
    folder.supervisor_log.touch(mode=0o600)
    with folder.supervisor_log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lakebed.stack.supervisor", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder.path.parent,
            env=_environment(),
        )

    def is_ready() -> bool:
        # The file is there a moment before anybody listens on it.
        connection = _connect(folder)
        if connection is not None:
            connection.close()
        return connection is not None or process.poll() is not None

    wait_until(
        is_ready,
        "the supervisor to listen",
        deadline_seconds=SUPERVISOR_START_SECONDS,
        longest_pause_seconds=0.01,
        explain=lambda: last_lines(folder.supervisor_log),
    )
    connection = _connect(folder)
    if connection is None:
        seen = f"its supervisor ended at once:\n{last_lines(folder.supervisor_log)}"
        folder.remove()
        raise StackFailed(f"start the stack in {folder.path}", seen, "run `lakebed doctor`")
    return connection
