"""The stack of one test session: started in the background, waited for by whoever needs a part of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lakebed.config.settings import Settings
from lakebed.errors import LakebedError
from lakebed.provision.cache import cache_folder
from lakebed.provision.progress import RichProgress
from lakebed.provision.provide import provide
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import StackConnection, open_stack


class SessionStack:
    """A lease on the stack that the tests of this session share.

    Attributes:
        settings: how lakebed runs here.
        services: what the collected tests need together.
        seconds_waited: by service, how long the first test that needed it had to wait.
    """

    def __init__(self, settings: Settings, name: str, client: str, services: Sequence[str]) -> None:
        self.settings = settings
        self.services = tuple(services)
        self.seconds_waited: dict[str, float] = {}
        self._client = client
        self._name = name
        self._connection: StackConnection | None = None
        self._background: threading.Thread | None = None
        self._starting: StackConnection | None = None

    @property
    def cache(self) -> Path:
        """The cache folder in use."""
        return cache_folder(self.settings.cache_folder)

    @property
    def folder(self) -> Path:
        """The stack's folder; its `<service>.log` files are the servers' logs."""
        return self._open().folder.path

    def _open(self) -> StackConnection:
        if self._connection is None:
            self._connection = open_stack(self.settings, self._name, client=self._client)
        return self._connection

    def start_in_background(self) -> None:
        """Begin to start all services the tests need; whoever needs one waits for it with `need`."""
        if not self.services:
            return
        self._open()
        self._background = threading.Thread(target=self._start_all, name="lakebed-start", daemon=True)
        self._background.start()

    def _start_all(self) -> None:
        try:
            connection = open_stack(self.settings, self._name, client=f"{self._client} (start)")
        except LakebedError:
            return
        self._starting = connection
        try:
            connection.start(self.services, self.settings)
        except LakebedError:
            # The test that needs the service asks again and gets the error as its own.
            pass
        finally:
            connection.close()

    def provide_jars(self) -> None:
        """Download what is missing, with progress, before the start in the background."""
        from lakebed.services import service_named

        sets = [jars for name in self.services if (jars := service_named(name).jars)]
        provide(sets, cache=self.cache, mirror=self.settings.maven_mirror, progress=RichProgress())

    def need(self, *services: str) -> Addresses:
        """Return the stack's addresses when these services, with what they need, are healthy.

        Raises:
            LakebedError: a service could not be started; the same error for every test that needs it.
        """
        started = time.monotonic()
        connection = self._open()
        ports = connection.start(services, self.settings)
        waited = time.monotonic() - started
        for service in services:
            self.seconds_waited.setdefault(service, waited)
            connection.connected(service)
        return Addresses(ports)

    def status(self) -> dict[str, Any] | None:
        """Return the stack's state, or None when nothing was started."""
        return None if self._connection is None else self._connection.status()

    def close(self) -> None:
        """End the lease and wait until the stack has ended, if it was the last."""
        if self._background is not None:
            if self._starting is not None:
                self._starting.abort()
            self._background.join()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
