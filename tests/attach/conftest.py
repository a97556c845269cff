"""Servers of somebody else's, started as their administrators would: with users and other settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.free_ports import free_port
from tests.software import software_of

from lakebed.config.attach import Attach
from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.provision.java import java_executable
from lakebed.pytest_plugin.session import SessionStack
from lakebed.services import SERVICE_NAMES, Place, Service
from lakebed.stack.addresses import Addresses
from lakebed.stack.attached import AttachedServices
from lakebed.stack.folders import StackFolder
from lakebed.stack.running import RunningService
from lakebed.stack.unprivileged import unprivileged_owner

StartServer = Callable[..., RunningService]
Check = Callable[..., None]


@pytest.fixture(scope="module")
def start_server(new_stacks_folder: Callable[[], AbstractContextManager[Path]]) -> Iterator[StartServer]:
    """Start a server by a definition that may have been changed; ended with the module."""
    cache = cache_folder(load_settings().cache_folder)
    started: list[RunningService] = []
    with new_stacks_folder() as stacks:
        stacks.mkdir(mode=0o711)
        folder = StackFolder(stacks / "elsewhere")
        folder.make()

        def start(service: Service, more_ports: Sequence[str] = (), **more: Any) -> RunningService:
            own = folder.path / f"{service.name}-{len(started)}"
            own.mkdir(mode=0o711)
            ports = {name: free_port() for name in (*service.ports, *more_ports)}
            owner = unprivileged_owner() if service.refuses_root else None
            place = Place(
                folder=own,
                cache=cache,
                ports=ports,
                stack_ports={**more.pop("stack_ports", {}), service.name: ports},
                owner=owner,
                java=(str(java_executable()), "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
                **software_of(service, cache, own, owner),
            )
            # Each has records of its own there.
            records = StackFolder(own)
            running = RunningService(service, place, records, 20.0, lambda running: None)
            started.append(running)
            running.start()
            return running

        yield start
        for running in reversed(started):
            running.stop("the tests are over")
        folder.remove()


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Look at attached services as a stack does before it uses them: `check(kafka="broker:9092")`."""

    def look(**attach: Any) -> None:
        setting = {name.replace("_", "-"): endpoint for name, endpoint in attach.items()}
        AttachedServices(Attach.model_validate(setting), tmp_path, tmp_path, dict).check(setting)

    return look


@pytest.fixture(scope="session")
def addresses(lakebed_stack: SessionStack) -> Addresses:
    """The addresses of every service of the session's own stack."""
    return lakebed_stack.need(*SERVICE_NAMES)
