"""How a download is shown."""

from __future__ import annotations

import sys
import threading
import time
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar

_SECONDS_BETWEEN_LINES = 5.0


class Progress(Protocol):
    """What a download tells while it runs; `advance` and `named` come from several threads, one at a time."""

    def start(self, total_bytes: int, files: int) -> None:
        """Something has to be downloaded: so many bytes in so many files."""

    def advance(self, bytes: int) -> None:
        """So many bytes more are there; negative when a file had to be begun again."""

    def named(self, text: str) -> None:
        """What is being done now, a phrase."""

    def done(self) -> None:
        """The end, after success and after failure."""


class Silence:
    """Shows nothing."""

    def start(self, total_bytes: int, files: int) -> None:
        """Show nothing."""

    def advance(self, bytes: int) -> None:
        """Show nothing."""

    def named(self, text: str) -> None:
        """Show nothing."""

    def done(self) -> None:
        """Show nothing."""


class RichProgress:
    """A bar on standard error where that is a terminal; elsewhere a plain line every few seconds.

    Nothing is written when nothing is downloaded.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr)
        self._guard = threading.Lock()
        self._bar: Bar | None = None
        self._running = False
        self._total = 0
        self._seen = 0
        self._next_line = 0.0

    def start(self, total_bytes: int, files: int) -> None:
        """Show how much there is to do."""
        self._running = True
        self._total = total_bytes
        self._seen = 0
        if not self._console.is_terminal:
            size = f"{total_bytes / 1e6:.1f} MB"
            self._console.print(
                f"lakebed: downloading {files} files, {size}", soft_wrap=True, highlight=False
            )
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            return
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._bar.add_task(f"downloading {files} files", total=total_bytes)
        self._bar.start()

    def advance(self, bytes: int) -> None:
        """Move the bar, or write a line when the last one is some seconds old."""
        with self._guard:
            self._seen += bytes
            if self._bar is not None:
                self._bar.advance(self._bar.task_ids[0], bytes)
            elif self._running and time.monotonic() >= self._next_line:
                self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
                share = f"{self._seen / 1e6:.1f} of {self._total / 1e6:.1f} MB"
                self._console.print(f"lakebed: downloaded {share}", soft_wrap=True, highlight=False)

    def named(self, text: str) -> None:
        """Put the text beside the bar."""
        with self._guard:
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], description=text)

    def done(self) -> None:
        """Remove the bar and write one line with the sum, if anything was downloaded."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._running:
            self._running = False
            self._console.print(
                f"lakebed: downloaded {self._seen / 1e6:.1f} MB", soft_wrap=True, highlight=False
            )
