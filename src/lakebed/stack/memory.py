"""Memory over time, of the servers of a stack and of its clients, for whoever asks."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

import psutil

SAMPLE_SECONDS = 1.0
# A sample each second of four hours; older ones are forgotten.
_MOST_SAMPLES = 4 * 3600

Sample = tuple[float, dict[str, int]]
Processes = Callable[[], Mapping[str, int]]


def peer_pid(connection: socket.socket) -> int:
    """Return the process id at the other end of a unix socket (Linux manual, unix(7), `SO_PEERCRED`)."""
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)


def resident_megabytes(servers: Mapping[str, int], clients: Mapping[str, int]) -> dict[str, int]:
    """Return the resident memory of processes, in MB, those that have ended left out.

    What several processes share (PostgreSQL's buffers) counts for each of them.

    Args:
        servers: by name, a process id; its children belong to it.
        clients: by name, a process id; its children are told apart by their programs' names.
    """
    # All processes once: asked for its children, each of them would look through all.
    memory: dict[int, int] = {}
    names: dict[int, str] = {}
    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid", "memory_info", "name"]):
        info = process.info
        if info["memory_info"] is not None:
            memory[process.pid], names[process.pid] = info["memory_info"].rss, info["name"] or "?"
            children.setdefault(info["ppid"], []).append(process.pid)
    of_servers = set(servers.values())

    def family(pid: int) -> list[int]:
        found = [pid]
        for one in found:
            found += [child for child in children.get(one, ()) if child not in of_servers]
        return found

    bytes_by_name: dict[str, int] = {}
    for name, pid in servers.items():
        if pid in memory:
            bytes_by_name[name] = sum(memory.get(one, 0) for one in family(pid))
    for name, pid in clients.items():
        for one in family(pid):
            if one in memory:
                told = name if one == pid else f"{names[one]} of {name}"
                bytes_by_name[told] = bytes_by_name.get(told, 0) + memory[one]
    return {name: total // (1024 * 1024) for name, total in bytes_by_name.items()}


class MemorySamples:
    """Samples, taken from the first call of `since` on.

    Args:
        servers, clients: asked at each sample, see `resident_megabytes`.
    """

    def __init__(self, servers: Processes, clients: Processes) -> None:
        self._servers = servers
        self._clients = clients
        self._samples: deque[Sample] = deque(maxlen=_MOST_SAMPLES)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def since(self, begin: float) -> list[Sample]:
        """Return the samples taken from a time on, in seconds since 1970; begins to take them if need be."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._take, name="memory", daemon=True)
                self._thread.start()
        return [sample for sample in list(self._samples) if sample[0] >= begin]

    def end(self) -> None:
        """Take no more samples."""
        self._ended.set()

    def _take(self) -> None:
        while True:
            found = resident_megabytes(self._servers(), self._clients())
            self._samples.append((round(time.time(), 3), found))
            if self._ended.wait(SAMPLE_SECONDS):
                return
