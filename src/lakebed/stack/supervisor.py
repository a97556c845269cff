"""The supervisor: a small process that owns the servers of one stack and hands out leases on it.

A client holds a lease as long as its connection to the unix socket is open; the kernel closes it when the
client dies, however it dies. When the last lease ends and the stack is not kept, the supervisor stops the
servers, deletes the stack's folder and ends.

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
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

from lakebed.config.settings import Settings
from lakebed.errors import LakebedError, StackFailed
from lakebed.stack.folders import StackFolder, remove_if_empty
from lakebed.stack.process import ProcessIdentity
from lakebed.stack.running import RunningService
from lakebed.stack.stack import Stack

logger = logging.getLogger("lakebed.supervisor")

Event = dict[str, Any]
Send = Callable[[Event], None]

SUPERVISOR = "supervisor"
_PEER_CHECK_SECONDS = 0.1


class Supervisor:
    """The stack, its leases, and when to end."""

    def __init__(
        self, folder: StackFolder, settings: Settings, *, well_known_ports: bool, keep: bool
    ) -> None:
        self.folder = folder
        self.stack = Stack(folder, settings, well_known_ports=well_known_ports, on_change=self._changed)
        self.keep = keep
        self.ended = threading.Event()
        self._leases: dict[int, str] = {}
        self._listeners: list[queue.SimpleQueue[Event]] = []
        self._lock = threading.Lock()

    def _changed(self, running: RunningService) -> None:
        last = running.lifecycle.history[-1]
        logger.info("%s: %s", running.service.name, last)
        event = {"event": "state", "service": running.service.name, "state": running.lifecycle.state.name}
        event["reason"] = last.reason
        with self._lock:
            for listener in self._listeners:
                listener.put(event)

    def lease(self, lease: int, client: str) -> None:
        """Open a lease for a client."""
        with self._lock:
            self._leases[lease] = client

    def end_lease(self, lease: int) -> None:
        """End a lease; the last one ends the stack, unless it is kept."""
        with self._lock:
            client = self._leases.pop(lease, None)
            last = client is not None and not self._leases and not self.keep
        if client is not None:
            logger.info("lease of %s ended", client)
        if last:
            self.ended.set()

    def answer(self, lease: int, request: Event, send: Send, client_is_gone: Callable[[], bool]) -> Event:
        """Do what a request asks and return its answer."""
        name = request["request"]
        services = request.get("services", [])
        if name == "plan":
            missing = self.stack.missing(services, request["ports"])
            return {"missing": [service.name for service in missing]}
        if name == "start":
            return self._start(services, request["ports"], send, client_is_gone)
        if name == "connected":
            self.stack.running[request["service"]].client_connected(request["client"])
            return {}
        if name == "status":
            return self._status()
        if name == "leave":
            self.end_lease(lease)
            return {"stack_ends": self.ended.is_set()}
        if name == "stop":
            self.keep = False
            self.ended.set()
            return {}
        raise StackFailed(f"answer the request {name!r}", "the supervisor does not know it")

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
            clients = list(self._leases.values())
        return {
            "folder": str(self.folder.path),
            "pid": os.getpid(),
            "keep": self.keep,
            "clients": clients,
            "services": [running.describe() for running in self.stack.running.values()],
            "ports": self.stack.ports,
        }


class _Handler(socketserver.StreamRequestHandler):
    """One client's connection: requests and answers as lines of JSON."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        supervisor = server.supervisor
        lease = id(self)
        try:
            hello = json.loads(self.rfile.readline())
            if hello["lease"]:
                supervisor.lease(lease, str(hello["client"]))
            self._send({"answer": {"pid": os.getpid(), "version": server.version}})
            for line in self.rfile:
                self._send(self._answered(supervisor, lease, json.loads(line)))
        except (OSError, ValueError, KeyError) as error:
            logger.info("connection ended: %r", error)
        finally:
            supervisor.end_lease(lease)

    def _answered(self, supervisor: Supervisor, lease: int, request: Event) -> Event:
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
        self.wfile.write(json.dumps(message).encode() + b"\n")


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, supervisor: Supervisor, version: str) -> None:
        self.supervisor = supervisor
        self.version = version
        super().__init__(str(path), _Handler)


def error_to_json(error: LakebedError) -> dict[str, str]:
    """Return an error as it goes over the socket: its type's name and its three parts."""
    return {
        "type": type(error).__name__,
        "attempted": error.attempted,
        "seen": error.seen,
        "remedy": error.remedy,
    }


def main(path: Path) -> None:
    """Run the supervisor of the stack in `path` until its last lease ends or it is told to stop."""
    from lakebed import __version__

    folder = StackFolder(path)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    request = json.loads(folder.request.read_text())
    supervisor = Supervisor(
        folder,
        Settings.model_validate(request["settings"]),
        well_known_ports=bool(request["well_known_ports"]),
        keep=bool(request["keep"]),
    )
    folder.record_process(SUPERVISOR, ProcessIdentity.of(os.getpid()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.ended.set())
    previous_mask = os.umask(0o077)
    server = _Server(folder.socket, supervisor, __version__)
    os.umask(previous_mask)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    supervisor.ended.wait()
    folder.socket.unlink(missing_ok=True)
    for failure in supervisor.stack.stop("the last client has gone, or a stop was asked for"):
        logger.error("%s", failure)
    folder.remove()
    if supervisor.stack.settings.data_folder is None:
        remove_if_empty(path.parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
