"""The supervisor: a small process that owns the servers of one stack and hands out leases on it.

A client holds a lease as long as its connection to the unix socket is open; the kernel closes it when the
client dies, however it dies. What it had recorded in the ledger and is still there is removed then. When the
last lease ends and the stack is not kept, the supervisor stops the servers, deletes the stack's folder and
ends. A kept stack is brought back to what it held before its tests came, when the last of them has gone.

Started by `lakebed.stack.connection`; run as `python -m lakebed.stack.supervisor FOLDER`.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import signal
import socket
import socketserver
import sys
import threading
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakebed.config.settings import Settings
from lakebed.errors import AttachDiffers, LakebedError, StackFailed
from lakebed.services.postgres import POSTGRES
from lakebed.stack.folders import StackFolder, remove_if_empty
from lakebed.stack.ledger import Entry, Ledger
from lakebed.stack.memory import MemorySamples, peer_pid
from lakebed.stack.messages import encoded, error_to_json, read_message
from lakebed.stack.plan import services_for
from lakebed.stack.process import ProcessIdentity
from lakebed.stack.resources import PROCESS, Left, Resources, check_kind, service_of
from lakebed.stack.running import RunningService
from lakebed.stack.stack import Stack

logger = logging.getLogger("lakebed.supervisor")

Event = dict[str, Any]
Send = Callable[[Event], None]

SUPERVISOR = "supervisor"
# Raised whenever a request, an answer or a file in the stack's folder changes its meaning.
PROTOCOL = 5
FIRST_LEASE_SECONDS = 30.0
_PEER_CHECK_SECONDS = 0.1
# The holder of what servers of the stack make themselves.
_OF_STACK = "the stack"


@dataclass
class Lease:
    """What a client holds as long as it is connected.

    Attributes:
        client: who it is, for `lakebed status`.
        tests: whether it runs tests: the stack is brought back to what it was when the last such lease ends.
        holder: its name in the ledger.
        promised: by what for, the memory in MB that its own processes may take.
        uses_promised: whether they run by now.
        pid: of the client's process.
    """

    client: str
    tests: bool
    pid: int | None = None
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)
    promised: dict[str, int] = field(default_factory=dict)
    uses_promised: bool = False


class Supervisor:
    """The stack, its leases, and when to end."""

    def __init__(
        self, folder: StackFolder, settings: Settings, *, well_known_ports: bool, keep: bool
    ) -> None:
        self.folder = folder
        self.stack = Stack(
            folder,
            settings,
            well_known_ports=well_known_ports,
            on_change=self._changed,
            on_healthy=self._is_healthy,
            memory_of_clients=self._memory_of_clients,
            record_elsewhere=self._record_elsewhere,
        )
        self.keep = keep
        self.ended = threading.Event()
        self.left: list[Left] = []
        self._resources = Resources(folder.path, self.stack.places)
        self._ledger = Ledger.read(folder.ledger) if folder.ledger.exists() else Ledger(folder.ledger)
        self._leases: list[Lease] = []
        self._first_lease = threading.Event()
        self._listeners: list[queue.SimpleQueue[Event]] = []
        self._lock = threading.Lock()
        self._ledger_lock = threading.Lock()
        # Held while things are removed at the end of a lease: tests that come meanwhile wait for it.
        self._cleaning = threading.Lock()
        # By service that a client has killed, that client's lease: until it brings it back, nobody starts it.
        self._killed: dict[str, Lease] = {}
        self._back = threading.Condition(self._lock)
        self._memory = MemorySamples(self._pids_of_servers, self._pids_of_clients)

    def _pids_of_servers(self) -> dict[str, int]:
        pids = {name: running.pid for name, running in list(self.stack.running.items())}
        return {SUPERVISOR: os.getpid(), **{name: pid for name, pid in pids.items() if pid is not None}}

    def _pids_of_clients(self) -> dict[str, int]:
        return {lease.client: lease.pid for lease in list(self._leases) if lease.pid is not None}

    def take_over(self) -> None:
        """Go on with the servers a killed supervisor has left; remove what its clients had made."""
        for error in self.stack.take_over():
            logger.error("%s", error)
        self._remove(self._of_clients())
        self._return_to_baselines()

    def _of_clients(self) -> list[Entry]:
        of_stack = set(self._ledger.entries(_OF_STACK))
        return [entry for entry in self._ledger.entries() if entry not in of_stack]

    def _in_services(self) -> list[Entry]:
        return [entry for entry in self._of_clients() if service_of(entry.kind) is not None]

    def end_unless_used(self) -> None:
        """End, unless the client that started this supervisor comes: it may have been killed meanwhile."""
        if not self._first_lease.wait(FIRST_LEASE_SECONDS):
            logger.warning("no client came in %s s", FIRST_LEASE_SECONDS)
            self.ended.set()

    def _changed(self, running: RunningService) -> None:
        last = running.lifecycle.history[-1]
        logger.info("%s: %s", running.service.name, last)
        event = {"event": "state", "service": running.service.name, "state": running.lifecycle.state.name}
        event["reason"] = last.reason
        with self._lock:
            for listener in self._listeners:
                listener.put(event)

    def _is_healthy(self, service: str) -> None:
        """Note what a service holds that has started while tests are there."""
        with self._lock:
            tests = any(lease.tests for lease in self._leases)
        with self._ledger_lock:
            if self.keep and tests and service not in self._ledger.baselines:
                self._ledger.set_baseline(service, self._resources.present(service))

    def lease(self, client: str, *, tests: bool, keep: bool, pid: int | None = None) -> Lease:
        """Open a lease for a client; the first one with tests finds out what is there before them."""
        lease = Lease(client, tests, pid)
        with self._cleaning:
            with self._lock:
                first = tests and not any(other.tests for other in self._leases)
                self._leases.append(lease)
                self._first_lease.set()
                if keep:
                    self._keep()
            if first and self.keep:
                with self._ledger_lock:
                    self._ledger.start_anew()
                    self._resources.note_baselines(self._ledger)
        return lease

    def _keep(self) -> None:
        if not self.keep:
            self.keep = True
            self.folder.record_request({**(self.folder.recorded_request() or {}), "keep": True})

    def end_lease(self, lease: Lease) -> list[Left]:
        """End a lease and remove what its client made; the last one ends the stack, unless it is kept.

        Returns:
            What could not be removed. Empty for a lease that has ended before.
        """
        with self._cleaning:
            with self._lock:
                if lease not in self._leases:
                    return []
                self._leases.remove(lease)
                last = not self._leases and not self.keep
                last_tests = lease.tests and not any(other.tests for other in self._leases)
            try:
                if not last:
                    self._bring_back(lease)
                lefts = self._remove_what_was_made(lease, last=last, last_tests=last_tests)
            finally:
                if last:
                    self.ended.set()
        return lefts

    def _remove_what_was_made(self, lease: Lease, *, last: bool, last_tests: bool) -> list[Left]:
        entries = self._ledger.entries(lease.holder)
        logger.info("lease of %s ended, %d things to remove", lease.client, len(entries))
        if last and not self.stack.settings.attach:
            # The servers go, and with them what they hold.
            entries = [entry for entry in entries if entry.kind == PROCESS]
        lefts = self._remove(entries)
        if last_tests and self.keep:
            lefts += self._return_to_baselines()
        self.left += lefts
        return lefts

    def _remove(self, entries: list[Entry]) -> list[Left]:
        lefts = self._resources.remove(entries)
        for left in lefts:
            logger.warning("could not remove %s: %s", left.entry, left.why)
        gone = set(entries) - {left.entry for left in lefts}
        try:
            with self._ledger_lock:
                self._ledger.forget(gone)
        except OSError as error:
            # The disk is full. To remove once more what is gone would do no harm.
            logger.warning("the ledger takes nothing more: %s", error)
        return lefts

    def _return_to_baselines(self) -> list[Left]:
        lefts = self._resources.return_to(self._ledger.baselines)
        for left in lefts:
            logger.warning("could not bring back %s: %s", left.entry, left.why)
        return lefts

    def answer(self, lease: Lease, request: Event, send: Send, client_is_gone: Callable[[], bool]) -> Event:
        """Do what a request asks and return its answer."""
        name = request["request"]
        services = request.get("services", [])
        if "attach" in request:
            self._refuse_other_attach(request["attach"])
            self._refuse_other_postgres(services, request["postgres_version"])
        if name == "plan":
            missing = self.stack.missing(services, request["ports"])
            return {"missing": [service.name for service in missing]}
        if name == "begin":
            if not self._killed_of(services):
                self.stack.ensure(services, request["ports"])
            return {}
        if name == "start":
            self._wait_for_killed(lease, services, client_is_gone)
            return self._start(services, request["ports"], send, client_is_gone)
        if name == "kill":
            self._kill(lease, services)
            return {}
        if name == "connected":
            if request["service"] not in self.stack.attached:
                self.stack.running[request["service"]].client_connected(request["client"])
            return {}
        if name == "keep":
            self._keep()
            return {}
        if name == "promise":
            return self._promise(lease, str(request["what"]), int(request["memory_mb"]))
        if name == "record":
            return self._record(lease, [Entry(*entry) for entry in request["entries"]])
        if name == "remove":
            return {"left": to_json(self._remove([Entry(*entry) for entry in request["entries"]]))}
        if name == "status":
            return self._status()
        if name == "memory":
            return {"samples": self._memory.since(float(request["since"]))}
        if name == "leave":
            lefts = self.end_lease(lease)
            return {"stack_ends": self.ended.is_set(), "left": to_json(lefts)}
        if name == "attached":
            return {"attach": self.stack.settings.attach.to_json(secrets=True)}
        if name == "stop":
            self.keep = False
            lefts = self._remove(self._in_services()) if self.stack.settings.attach else []
            self.ended.set()
            return {"left": to_json(lefts)}
        raise StackFailed(f"answer the request {name!r}", "the supervisor does not know it")

    def _refuse_other_attach(self, asked: Event) -> None:
        """Refuse a client whose settings attach other servers than this stack uses."""
        own = self.stack.settings.attach.to_json(secrets=True)
        differ = [name for name in {**own, **asked} if own.get(name) != asked.get(name)]
        if differ:
            endpoints = self.stack.settings.attach.endpoints()
            used = (
                f"{name} at {endpoints[name].address}" if name in endpoints else f"a {name} of lakebed's own"
                for name in differ
            )
            raise AttachDiffers(
                f"use the stack in {self.folder.path}",
                f"it uses {', '.join(used)}; the setting attach of this client says otherwise",
                "give both the same setting attach, or `lakebed down` first; tests have a stack of their own"
                " with the setting stack = own",
            )

    def _refuse_other_postgres(self, services: list[str], asked: str | None) -> None:
        """Refuse a client that asks for another version of PostgreSQL than this stack has."""
        own, attached = self.stack.settings.postgres_version, self.stack.attached
        needed = [one.name for one in services_for(services, attached) if one.name not in attached]
        if asked is not None and asked != own and POSTGRES.name in needed:
            raise StackFailed(
                f"use the PostgreSQL of the stack in {self.folder.path}",
                f"the setting postgres_version of that stack is {own}, that of this client {asked}",
                "give both the same, or `lakebed down` first; with stack = own tests have one of their own",
            )

    def _record_elsewhere(self, things: list[tuple[str, str]]) -> None:
        """Record what a server of this stack makes in one of somebody else's."""
        entries = [Entry(*thing) for thing in things]
        with self._ledger_lock:
            known = self._ledger.entries(_OF_STACK)
            self._ledger.record(_OF_STACK, [entry for entry in entries if entry not in known])

    def remove_elsewhere(self) -> None:
        """Remove what is left on servers of somebody else's, when those of this stack have ended."""
        if self.stack.settings.attach:
            self._remove(self._ledger.entries())

    def _kill(self, lease: Lease, services: list[str]) -> None:
        for service in services:
            self.stack.attached.refuse("kill", service)
        with self._lock:
            self._killed.update(dict.fromkeys(services, lease))
        for service in services:
            self.stack.kill(service)

    def _killed_of(self, services: Iterable[str]) -> list[str]:
        """Return those that are killed, of services and what they need."""
        return [
            service.name
            for service in services_for(services, self.stack.attached)
            if service.name in self._killed
        ]

    def _wait_for_killed(self, lease: Lease, services: list[str], client_is_gone: Callable[[], bool]) -> None:
        """Let the client that killed a server bring it back, and others wait until it has."""
        with self._back:
            while any(self._killed[name] is not lease for name in self._killed_of(services)):
                if client_is_gone():
                    raise BrokenPipeError("the client is gone")
                self._back.wait(_PEER_CHECK_SECONDS)
            for name in self._killed_of(services):
                del self._killed[name]
            self._back.notify_all()

    def _bring_back(self, lease: Lease) -> None:
        """Start again what a client has killed and not brought back, so that the others can go on."""
        dead = [name for name, killer in self._killed.items() if killer is lease]
        if not dead:
            return
        with self._back:
            for name in dead:
                del self._killed[name]
            self._back.notify_all()
        for start in self.stack.ensure(dead, {}):
            error = start.exception()
            if error is not None:
                logger.error("%s", error)

    def _promise(self, lease: Lease, what: str, memory_mb: int) -> Event:
        with self._lock:
            self.stack.check_memory({what: memory_mb})
            lease.promised[what] = memory_mb
        return {}

    def _memory_of_clients(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return, by what for, the MB that clients were promised, and those that are in use by now."""
        promised: dict[str, int] = {}
        used: dict[str, int] = {}
        for lease in list(self._leases):
            (used if lease.uses_promised else promised).update(lease.promised)
        return promised, used

    def _record(self, lease: Lease, entries: list[Entry]) -> Event:
        for entry in entries:
            check_kind(entry.kind)
        with self._ledger_lock:
            known = set(self._ledger.entries())
        self._resources.refuse_others(entry for entry in entries if entry not in known)
        with self._ledger_lock:
            self._ledger.record(lease.holder, entries)
        if any(entry.kind == PROCESS for entry in entries):
            lease.uses_promised = True
        return {}

    def _start(
        self, services: list[str], ports: dict[str, int], send: Send, client_is_gone: Callable[[], bool]
    ) -> Event:
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        with self._lock:
            self._listeners.append(events)
        try:
            starts = self.stack.ensure(services, ports)
            while not self._finished(starts):
                if client_is_gone():
                    raise BrokenPipeError("the client is gone")
                try:
                    send(events.get(timeout=_PEER_CHECK_SECONDS))
                except queue.Empty:
                    continue
            while not events.empty():
                send(events.get())
        finally:
            with self._lock:
                self._listeners.remove(events)
        for start in starts:
            start.result()
        return {"ports": self.stack.ports}

    @staticmethod
    def _finished(starts: list[Future[None]]) -> bool:
        """Whether all have started, or one has failed: its error must not wait for the others."""
        done, not_done = wait(starts, timeout=0)
        return not not_done or any(start.exception() is not None for start in done)

    def _status(self) -> Event:
        with self._lock:
            clients = [lease.client for lease in self._leases]
        return {
            "folder": str(self.folder.path),
            "pid": os.getpid(),
            "keep": self.keep,
            "left": to_json(self.left),
            "clients": clients,
            "services": [
                *(running.describe() for running in self.stack.running.values()),
                *self.stack.attached.describe(),
            ],
            "ports": self.stack.ports,
        }


class _Handler(socketserver.StreamRequestHandler):
    """One client's connection: requests and answers as lines of JSON."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        supervisor = server.supervisor
        lease: Lease | None = None
        try:
            hello = read_message(self.rfile)
            if hello is None:
                return
            self._send({"protocol": PROTOCOL, "version": server.version, "pid": os.getpid()})
            if hello.get("protocol") != PROTOCOL:
                return
            client = str(hello["client"])
            if hello["lease"]:
                tests, keep, pid = bool(hello["tests"]), bool(hello["keep"]), peer_pid(self.connection)
                lease = supervisor.lease(client, tests=tests, keep=keep, pid=pid)
            self._send({"answer": {}})
            while (request := read_message(self.rfile)) is not None:
                self._send(self._answered(supervisor, lease or Lease(client, False), request))
        except (StackFailed, OSError, ValueError, KeyError, TypeError) as error:
            logger.info("connection ended: %r", error)
        finally:
            if lease is not None:
                supervisor.end_lease(lease)

    def _answered(self, supervisor: Supervisor, lease: Lease, request: Event) -> Event:
        try:
            return {"answer": supervisor.answer(lease, request, self._send, self._client_is_gone)}
        except LakebedError as error:
            logger.warning("%s", error)
            return {"error": error_to_json(error)}
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            return {"error": error_to_json(StackFailed(f"{request.get('request')}", repr(error)))}
        except Exception as error:
            logger.exception("request failed")
            seen = f"{type(error).__name__}: {error}"
            remedy = f"the supervisor's log has the whole trace: {supervisor.folder.supervisor_log}"
            return {"error": error_to_json(StackFailed(f"{request.get('request')} the stack", seen, remedy))}

    def _client_is_gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def _send(self, message: Event) -> None:
        self.wfile.write(encoded(message))


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, supervisor: Supervisor, version: str) -> None:
        self.supervisor = supervisor
        self.version = version
        super().__init__(str(path), _Handler)


def to_json(lefts: Iterable[Left]) -> list[dict[str, str]]:
    """Return what could not be removed as it goes over the socket."""
    return [left.to_json() for left in lefts]


def main(path: Path) -> None:
    """Run the supervisor of the stack in `path` until its last lease ends or it is told to stop."""
    from lakebed import __version__

    folder = StackFolder(path)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    request = json.loads(folder.request.read_text())
    takes_over = folder.ledger.exists()
    supervisor = Supervisor(
        folder,
        Settings.model_validate(request["settings"]),
        well_known_ports=bool(request["well_known_ports"]),
        keep=bool(request["keep"]),
    )
    folder.record_process(SUPERVISOR, ProcessIdentity.of(os.getpid()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.ended.set())
    folder.socket.unlink(missing_ok=True)
    previous_mask = os.umask(0o077)
    server = _Server(folder.socket, supervisor, __version__)
    os.umask(previous_mask)
    if takes_over:
        # Clients can connect already, and wait.
        supervisor.take_over()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    if not supervisor.keep:
        threading.Thread(target=supervisor.end_unless_used, daemon=True).start()
    supervisor.ended.wait()
    folder.socket.unlink(missing_ok=True)
    for failure in supervisor.stack.stop("the last client has gone, or a stop was asked for"):
        logger.error("%s", failure)
    supervisor.remove_elsewhere()
    folder.remove()
    if supervisor.stack.settings.data_folder is None:
        remove_if_empty(path.parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
