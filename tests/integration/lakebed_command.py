"""The command `lakebed` as a user runs it: in a process and with stacks of its own, on a terminal too."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakebed.waiting import wait_until

PROGRAM = [sys.executable, "-c", "from lakebed.cli import main; main()"]
PATIENCE_SECONDS = 60.0


@dataclass
class Running:
    """A command that goes on, and what it has written up to now.

    Attributes:
        process: its process.
        out, err: the whole lines that it has written to standard output and standard error.
    """

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._readers = [
            threading.Thread(target=lines.extend, args=(iter(stream.readline, ""),), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, text: str, *, err: bool = False, count: int = 1) -> str:
        """Wait until so many lines have a text in them; return the last of those."""
        lines = self.err if err else self.out

        def found() -> list[str]:
            matching = [line for line in list(lines) if text in line]
            return matching if len(matching) >= count else []

        return wait_until(
            found,
            f"{count} lines with {text!r}",
            deadline_seconds=PATIENCE_SECONDS,
            explain=lambda: f"out: {self.out}\nerr: {self.err}\nexit code: {self.process.poll()}",
        )[count - 1]

    def objects(self) -> list[dict[str, Any]]:
        """Return what it has written as JSON, a line an object."""
        return [json.loads(line) for line in list(self.out)]

    def interrupt(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Wait for its end; return the exit code."""
        code = self.process.wait(PATIENCE_SECONDS)
        for reader in self._readers:
            reader.join(PATIENCE_SECONDS)
        return code


class Terminal:
    """A command on a terminal of its own, so many columns wide.

    Attributes:
        seen: all bytes that the terminal was sent, as text.
    """

    def __init__(
        self, arguments: Sequence[str], environment: dict[str, str], columns: int, cwd: Path
    ) -> None:
        self.seen = ""
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        kept = {name: value for name, value in environment.items() if name not in ("COLUMNS", "NO_COLOR")}
        self.process = subprocess.Popen(
            arguments,
            stdin=side,
            stdout=side,
            stderr=side,
            env={**kept, "TERM": "xterm-256color"},
            cwd=cwd,
            start_new_session=True,
            close_fds=True,
            # The terminal whose keys reach it, Ctrl-C too.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(side)

    def _read(self) -> None:
        while select.select([self._main], [], [], 0)[0]:
            try:
                chunk = os.read(self._main, 65536)
            except OSError:  # the other side is closed (Linux manual, pty(7))
                return
            if not chunk:
                return
            self.seen += chunk.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until the terminal was sent a text."""

        def is_there() -> bool:
            self._read()
            return text in self.seen

        wait_until(
            is_there,
            f"{text!r} on the terminal",
            deadline_seconds=PATIENCE_SECONDS,
            explain=lambda: f"{self.seen!r}\nexit code: {self.process.poll()}",
        )

    def forget(self) -> None:
        """Forget what was sent up to now."""
        self._read()
        self.seen = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._main, keys.encode())

    def end(self) -> int:
        """Wait for the command's end; return its exit code."""

        def has_ended() -> bool:
            self._read()
            return self.process.poll() is not None

        wait_until(
            has_ended,
            "the command to end",
            deadline_seconds=PATIENCE_SECONDS,
            explain=lambda: repr(self.seen),
        )
        self._read()
        assert self.process.returncode is not None
        return self.process.returncode

    def close(self) -> None:
        """End the command, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._main)


@dataclass(frozen=True)
class Command:
    """`lakebed` with the stacks in a folder of its own."""

    stacks: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *arguments],
            env={**self.environment, **variables},
            cwd=self.stacks.parent,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def status(self) -> dict[str, Any]:
        finished = self("status", "--json")
        assert finished.returncode == 0, finished.stderr
        content: dict[str, Any] = json.loads(finished.stdout)
        return content

    @contextlib.contextmanager
    def running(self, *arguments: str, **variables: str) -> Iterator[Running]:
        """Start the command; it is killed at the end, if it has not ended by then."""
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            env={**self.environment, **variables},
            cwd=self.stacks.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running = Running(process)
        try:
            yield running
        finally:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def on_terminal(self, *arguments: str, columns: int = 120, **variables: str) -> Iterator[Terminal]:
        """Start the command on a terminal; it is killed at the end, if it has not ended by then."""
        environment = {**self.environment, **variables}
        terminal = Terminal([*PROGRAM, *arguments], environment, columns, self.stacks.parent)
        try:
            yield terminal
        finally:
            terminal.close()
