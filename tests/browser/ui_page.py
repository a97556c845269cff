"""`lakebed ui` as its user has it: a process that prints an address, and a browser that opens it."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page

SECONDS_TO_END = 10


@dataclass(frozen=True)
class RunningPage:
    """A page that is served.

    Attributes:
        address: as printed, the token in it.
        process: of `lakebed ui`.
    """

    address: str
    process: subprocess.Popen[str]

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def token(self) -> str:
        """The token of the address."""
        return self.address.partition("token=")[2]

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; return the exit code and what was written to standard error."""
        self.process.send_signal(signal.SIGINT)
        _, error = self.process.communicate(timeout=SECONDS_TO_END)
        return self.process.returncode, error


@contextlib.contextmanager
def served(environment: dict[str, str], folder: Path, *options: str) -> Iterator[RunningPage]:
    """Run `lakebed ui`, and end it as a user does; it must end well, and have told nothing it should not."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lakebed", "ui", "--no-browser", *options],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        running = RunningPage(process.stdout.readline().strip(), process)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", running.address), running.address
        yield running
        if process.poll() is None:
            code, error = running.interrupt()
            assert code == 0, error
            assert running.token not in error
            assert "Traceback" not in error, error
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@dataclass(frozen=True)
class Visit:
    """A person's browser at the page; whatever its console says against the page fails the test."""

    page: Page
    running: RunningPage
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Go to a path."""
        self.page.goto(self.running.origin + path)
        return self.page

    def stays(self) -> None:
        """Mark the page as it is: `has_stayed` tells whether it was loaded again since."""
        self.page.evaluate("window.marked = true")

    def has_stayed(self) -> bool:
        """Whether the page was not loaded again."""
        return bool(self.page.evaluate("window.marked === true"))

    def tab_to(self, name: str) -> None:
        """Press Tab until what has that name, or whose name begins with it, has the focus."""
        focused: list[str] = []
        for _ in range(60):
            self.page.keyboard.press("Tab")
            text = str(self.page.evaluate("(document.activeElement?.textContent ?? '').trim()"))
            focused.append(" ".join(text.split()))
            if focused[-1].startswith(name):
                return
        raise AssertionError(f"Tab does not come to {name!r}, but to {focused}")


@contextlib.contextmanager
def visited(browser: Browser, running: RunningPage, **options: object) -> Iterator[Visit]:
    """Open the printed address in a browser of its own."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        visit = Visit(page, running)

        def said(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                visit.complaints.append(message.text)

        page.on("console", said)
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        page.on("dialog", lambda dialog: visit.complaints.append(f"dialog {dialog.message}"))
        page.goto(running.address)
        page.wait_for_url(f"{running.origin}/services")
        yield visit
        assert visit.complaints == []
    finally:
        context.close()
