"""The stack of one test session: begun while pytest collects, waited for by whoever needs a part of it."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lakebed.config.settings import Settings
from lakebed.errors import LakebedError, OtherVersion
from lakebed.lifecycle import ServiceState
from lakebed.provision.cache import cache_folder
from lakebed.provision.progress import RichProgress
from lakebed.provision.provide import provide
from lakebed.services import jar_sets, service_named, services_named
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import StackConnection, is_kept, open_stack
from lakebed.stack.folders import NAME_OF_UP
from lakebed.stack.ledger import Entry
from lakebed.stack.ports import PortsByService
from lakebed.stack.process import ProcessIdentity, last_lines
from lakebed.stack.resources import FOLDER, check_kind, process_entry
from lakebed.stack.turns import Turn


class SessionStack:
    """A lease on the stack that the tests of this session share.

    It is the kept stack, if there is one or this run asks for one; otherwise one of this run's own, which
    all workers of pytest-xdist share.

    Args:
        settings: how lakebed runs here.
        run: names this run's own stack.
        client: who asks, as `lakebed status` shows it.
        keep: whether the servers stay for the next run.
        watch_memory: whether memory is sampled from the beginning.

    Attributes:
        settings: how lakebed runs here.
        keep: whether the servers stay for the next run.
        seconds_waited: by service, how long the first test that needed it had to wait.
        waits: every wait for a service: which, and the seconds.
    """

    def __init__(
        self, settings: Settings, run: str, client: str, *, keep: bool = False, watch_memory: bool = False
    ) -> None:
        self.settings = settings
        self.keep = keep
        self.seconds_waited: dict[str, float] = {}
        self.waits: list[tuple[str, float]] = []
        self._watch_memory = watch_memory
        self._opened = time.time()
        self._run = run
        self._client = client
        self._connection: StackConnection | None = None
        self._closed = False
        # A connection is for one thread at a time.
        self._lock = threading.RLock()
        self._wanted: dict[str, None] = {}
        self._begun: frozenset[str] = frozenset()
        self._background: threading.Thread | None = None
        self._killed: set[str] = set()
        self._ports: PortsByService = {}
        self._turn: Turn | None = None

    @property
    def cache(self) -> Path:
        """The cache folder in use."""
        return cache_folder(self.settings.cache_folder)

    @property
    def folder(self) -> Path:
        """The stack's folder; its `<service>.log` files are the servers' logs."""
        with self._lock:
            return self._open().folder.path

    def _open(self) -> StackConnection:
        if self._connection is None:
            name = NAME_OF_UP if self.keep or self._finds_kept_stack() else self._run
            self._connection = open_stack(
                self.settings, name, client=self._client, keep=self.keep, tests=True
            )
            if self._watch_memory:
                self.memory()
        return self._connection

    def _finds_kept_stack(self) -> bool:
        if self.settings.stack == "own":
            return False
        try:
            return is_kept(self.settings, NAME_OF_UP, self._client)
        except OtherVersion as error:
            warnings.warn(f"the kept stack is not used: {error.seen}; {error.remedy}", stacklevel=2)
            return False

    def begin(self, services: Iterable[str]) -> None:
        """Begin to start services in the background; whoever needs one waits for it with `need`.

        An error is that of the test that needs the service.
        """
        new = [name for name in services if name not in self._wanted]
        self._wanted.update(dict.fromkeys(new))
        if new and (self._background is None or not self._background.is_alive()):
            self._background = threading.Thread(target=self._begin, name="lakebed-begin", daemon=True)
            self._background.start()

    def _begin(self) -> None:
        # The test that needs a service that fails asks again and gets the error as its own.
        with contextlib.suppress(LakebedError), self._lock:
            while not self._closed and not self._begun.issuperset(self._wanted):
                self._begin_wanted(self._open())

    def _begin_wanted(self, connection: StackConnection) -> None:
        wanted = list(self._wanted)
        if not self._begun.issuperset(wanted):
            connection.begin(wanted, self.settings)
            self._begun = frozenset(wanted)

    def provide_jars(self) -> None:
        """Download what the services begun so far run from, with progress, and begin them again."""
        own = [name for name in self._wanted if name not in self.settings.attach]
        sets = jar_sets(map(service_named, own), self.settings)
        provide(sets, cache=self.cache, mirror=self.settings.maven_mirror, progress=RichProgress())

    def need(self, *services: str) -> Addresses:
        """Return the stack's addresses when these services, with what they need, are healthy.

        Raises:
            LakebedError: a service could not be started; the same error for every test that needs it.
        """
        started = time.monotonic()
        with self._lock:
            connection = self._open()
            if self._killed:
                # What a test has killed stays so until the test brings it back; the addresses do not change.
                return Addresses.of(self._ports, self.settings)
            self._begin_others(connection)
            self._ports = ports = connection.start(services, self.settings)
            waited = time.monotonic() - started
            for service in services:
                self.seconds_waited.setdefault(service, waited)
                self.waits.append((service, waited))
                for one in services_named(service):
                    connection.connected(one.name)
        return Addresses.of(ports, self.settings)

    def kill(self, service: str) -> None:
        """Kill a server with SIGKILL; nobody starts it again until this session brings it back, or ends."""
        with self._lock:
            self._open().kill(service)
            self._killed.add(service)

    def bring_back(self, service: str) -> None:
        """Start a server that was killed, on its ports and with its data; return when it is healthy.

        Raises:
            LakebedError: it could not be started.
        """
        with self._lock:
            connection = self._open()
            connection.bring_back(service)
            self._killed.discard(service)
            connection.forget_connected(service)
            connection.connected(service)

    def killed(self) -> list[str]:
        """Return the names of the servers that were killed and not brought back."""
        return sorted(self._killed)

    def take_turn(self, *, alone: bool) -> None:
        """Wait until this session may use the stack: together with others, or alone, to kill its servers."""
        folder = self.folder
        if self._turn is None:
            self._turn = Turn(folder)
        self._turn.take(alone=alone)

    def give_up_turn(self) -> None:
        """Let the others go on."""
        if self._turn is not None:
            self._turn.give_up()

    def _begin_others(self, connection: StackConnection) -> None:
        """Begin what the background has not come to: the others must not wait for this one's health."""
        # If one of them cannot be started, that is the error of the test that needs it.
        with contextlib.suppress(LakebedError):
            self._begin_wanted(connection)

    def promise(self, what: str, memory_mb: int) -> None:
        """Ask for memory that a process of this session is going to take.

        Raises:
            NotEnoughMemory: with a table of what takes how much.
        """
        with self._lock:
            self._open().promise(f"{what} of {self._client}", memory_mb)

    def record(self, kind: str, name: str) -> None:
        """Tell what is going to be made, so that it is removed when this session ends, however it ends.

        Args:
            kind: "topic", "database", "connector"; see `lakebed.stack.resources.KINDS`.
            name: of the thing.

        Raises:
            UnknownKind: listing the known ones.
        """
        check_kind(kind)
        with self._lock:
            self._open().record(Entry(kind, name))

    def record_process(self, pid: int) -> None:
        """Tell of a process that is to end with this session."""
        with self._lock:
            self._open().record(process_entry(ProcessIdentity.of(pid)))

    def remove(self, *things: tuple[str, str]) -> None:
        """Remove things, each a kind and a name, in this order; one that is not there is no error.

        Raises:
            CleanUpIncomplete: naming what could not be removed, and why.
        """
        with self._lock:
            # Without a lease (Ctrl-C) the supervisor removes everything, or the whole stack, by itself.
            if self._connection is not None and not self._connection.lease_given_up:
                self._connection.remove(*(Entry(kind, name) for kind, name in things))

    def new_folder(self) -> Path:
        """Return an empty folder, removed with the session, however it ends."""
        folder = self.folder / f"client-{uuid.uuid4().hex[:12]}"
        self.record(FOLDER, str(folder))
        folder.mkdir(mode=0o700)
        return folder

    def status(self) -> dict[str, Any] | None:
        """Return the stack's state, or None when nothing was started."""
        with self._lock:
            return None if self._connection is None else self._connection.status()

    def memory(self) -> list[tuple[float, dict[str, int]]]:
        """Return the samples of memory since this session began; see `StackConnection.memory`."""
        with self._lock:
            if self._connection is None:
                return []
            # A kept stack may be of a lakebed that takes none.
            with contextlib.suppress(LakebedError):
                return self._connection.memory(self._opened)
        return []

    def known_folder(self) -> Path | None:
        """Return the stack's folder; None while there is no stack. Waits for nobody."""
        connection = self._connection
        return None if connection is None else connection.folder.path

    def known_addresses(self) -> Addresses | None:
        """Return the addresses as they were last told; None for none so far. Starts and waits for nothing."""
        ports = self._ports
        return Addresses.of(ports, self.settings) if ports or self.settings.attach else None

    def stopped_services(self) -> list[tuple[str, str]]:
        """Return, for each server that has ended, a title and the reason with the end of its log."""
        status = self.status() or {"services": []}
        stopped = [one for one in status["services"] if one["state"] == ServiceState.STOPPED.value]
        return [
            (
                f"lakebed: {one['service']} is {one['state']}",
                f"{one['last_failure']}\nthe end of its log:\n{last_lines(Path(one['log']))}",
            )
            for one in stopped
        ]

    def unanswering(self) -> dict[str, str]:
        """Return, by name, what is seen of each server that is up and does not answer."""
        from lakebed.clients.health import unanswering

        status = self.status()
        if status is None:
            return {}
        return unanswering(status, self.settings.attach, self.settings.registry_credentials)

    def close(self) -> None:
        """End the lease; if it was the last one on a stack that is not kept, wait for the end of that.

        Raises:
            CleanUpIncomplete: naming what could not be removed from a kept stack.
        """
        self._closed = True
        if self._background is not None:
            self._background.join()
        if self._connection is not None:
            # What is removed now must be there: another session may have killed a server.
            with contextlib.suppress(OSError):
                self.take_turn(alone=False)
            connection, self._connection = self._connection, None
            try:
                connection.close()
            finally:
                self.give_up_turn()
