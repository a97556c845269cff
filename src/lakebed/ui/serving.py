"""Serving the page on loopback until it is interrupted."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from lakebed.errors import PortTaken
from lakebed.ui.access import LOOPBACK, Access
from lakebed.ui.application import application
from lakebed.ui.looking import Looking
from lakebed.ui.pages import Ending
from lakebed.ui.rendering import render

_SECONDS_TO_END = 2


def serve(looking: Looking, port: int, *, browser: bool, on_ready: Callable[[str], None]) -> None:
    """Serve the page; return when SIGINT or SIGTERM has ended it.

    Args:
        looking: looks at the stack, from any thread.
        port: to listen on; 0 for a free one.
        browser: whether to open it in the user's browser, where there is one.
        on_ready: called with the address, the token in it, when it answers.

    Raises:
        PortTaken: somebody else listens on the port.
    """
    listener = _listener(port)
    access = Access.new(listener.getsockname()[1])
    # Without it the server would hand on SIGTERM, and nothing below would be done.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _opened_by_file(access.address) as opener:

            def ready() -> None:
                on_ready(access.address)
                if browser and _has_browser():
                    # A file, because every user of the machine can read a command line.
                    webbrowser.open(opener.as_uri())

            asyncio.run(_serve(looking, access, listener, ready))
    except KeyboardInterrupt:
        # The server has ended in good order, and hands on what has ended it.
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
        listener.close()


async def _serve(
    looking: Looking, access: Access, listener: socket.socket, on_ready: Callable[[], None]
) -> None:
    ending = Ending()
    config = uvicorn.Config(
        application(looking, access, ending),
        # What is asked for has the token in it, and data: nothing of it is logged.
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=_SECONDS_TO_END,
    )
    await _Server(config, ending, on_ready).serve([listener])


class _Server(uvicorn.Server):
    """Tells when it answers, and, before it waits for its connections to end, that it ends."""

    def __init__(self, config: uvicorn.Config, ending: Ending, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending.tell()
        await super().shutdown(sockets)


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # The port of a page that was just ended can be had again at once.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        remedy = "give another one with --port, or none for a free one"
        raise PortTaken(f"listen on port {port}", str(error.strerror), remedy) from error
    return listener


@contextmanager
def _opened_by_file(address: str) -> Iterator[Path]:
    """Make a file, for this user only, that leads a browser to the address."""
    folder = Path(tempfile.mkdtemp(prefix="lakebed-ui-"))
    try:
        file = folder / "open.html"
        file.touch(mode=0o600)
        file.write_text(render("entrance.html", to=address))
        yield file
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_browser() -> bool:
    """Whether there is a screen: a browser of the terminal would take that over."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
