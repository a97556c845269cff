"""Tests of hosts that are apart: run where the machine can make such hosts, else left out in plain sight."""

from __future__ import annotations

import importlib.metadata
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from tests.hosts_apart.machine import lacks
from tests.hosts_apart.network import NAMES, ROOT
from tests.hosts_apart.world import command_in_world

from lakebed.stack.folders import StackFolder

InWorld = Callable[..., pytest.RunResult]
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out where the machine cannot make hosts, and say what it lacks."""
    here = [item for item in items if _HERE in item.path.parents]
    if not here or not lacks():
        return
    told = "\n  ".join(lacks())
    warnings.warn(
        f"{len(here)} tests of hosts that are apart are left out; this machine lacks:\n  {told}", stacklevel=1
    )
    config.hook.pytest_deselected(items=here)
    items[:] = [item for item in items if item not in here]


@pytest.fixture
def in_world(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    new_stacks_folder: Callable[[], AbstractContextManager[Path]],
    child_environment: Callable[[Path], dict[str, str]],
) -> Iterator[InWorld]:
    """Run pytest on a file, on the host `tests` of a world of its own: `in_world(file, *options)`.

    When the test is over, nothing of that world may be left.
    """
    with new_stacks_folder() as stacks:
        stacks.mkdir(mode=0o711)
        for name, value in child_environment(stacks).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTHONPATH", f"{child_environment(stacks)['PYTHONPATH']}:{ROOT}")
        monkeypatch.delenv("LAKEBED_STACK", raising=False)
        hosts = stacks / "hosts"
        hosts.mkdir(mode=0o711)

        # Installed, lakebed is found by its entry point.
        installed = {entry.name for entry in importlib.metadata.entry_points(group="pytest11")}
        plugin = [] if "lakebed" in installed else ["-p", "lakebed.pytest_plugin"]

        def run(file: Path, *options: str, bare: bool = False) -> pytest.RunResult:
            tests: Sequence[str] = ("-p", "no:cacheprovider", "-p", "no:randomly", *plugin, "-rP", *options)
            pytester.makepyfile(test_inside=file.read_text())
            command = [sys.executable, "-m", "pytest", *tests, "test_inside.py"]
            return pytester.run(*command_in_world(hosts, command, bare=bare), timeout=600)

        try:
            yield run
        finally:
            for name in NAMES:
                with suppress(FileNotFoundError):
                    StackFolder(hosts / name).remove()
            hosts.rmdir()
