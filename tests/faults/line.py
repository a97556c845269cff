"""A line to a server on loopback that can be refused, or go dead with no end of it told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closed with a reset (Linux manual, socket(7))


class Line:
    """Hands bytes on between who connects to its port and a server.

    Args:
        target: the server's port.

    Attributes:
        port: of this end of the line.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self._know(near)
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _know(self, end: socket.socket) -> None:
        with self._lock:
            self._ends.add(end)

    def _connect(self, near: socket.socket) -> None:
        self._flows.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            self._cut([near])
            return
        self._know(far)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._hand_on, args=(source, sink), daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        self._cut([source, sink])

    def _cut(self, ends: list[socket.socket]) -> None:
        for end in ends:
            with self._lock:
                known = end in self._ends
                self._ends.discard(end)
            if known:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    # Whoever waits for its bytes in another thread is woken by this, and not by its closing.
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def refuse(self) -> None:
        """Break what is connected, and refuse what comes, as where nothing listens."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            ends = list(self._ends)
        self._cut(ends)

    def die(self) -> None:
        """Hand nothing on any more, and tell nobody: each end goes on being connected, new ones too."""
        self._flows.clear()

    def heal(self) -> None:
        """Be whole again; what was sent over a dead line meanwhile arrives."""
        if self._listener.fileno() < 0:
            self._listener = self._listen(self.port)
        self._flows.set()

    def close(self) -> None:
        """End the line."""
        self.refuse()
        self._flows.set()
