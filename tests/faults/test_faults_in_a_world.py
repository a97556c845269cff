"""Faults of disk, memory and clock: in a world of their own, whose mounts and groups go when it does."""

from __future__ import annotations

import importlib.metadata
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.faults.fault_table import IN_A_WORLD, pairs
from tests.faults.own_world import NAMESPACES, lacks, possible
from tests.hosts_apart.machine import entering

INSIDE = Path(__file__).with_name("faults_in_a_world.py")
_SECONDS = 900


@pytest.mark.large
def test_faults_of_disk_memory_and_clock(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    new_stacks_folder: Callable[[], AbstractContextManager[Path]],
    child_environment: Callable[[Path], dict[str, str]],
) -> None:
    for fault in IN_A_WORLD:
        if missing := lacks(fault):
            warnings.warn(f"not done here: {fault.title}: this machine lacks {missing}", stacklevel=1)
    with new_stacks_folder() as stacks:
        stacks.mkdir(mode=0o711)
        for name, value in child_environment(stacks).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("LAKEBED_STACK", raising=False)
        # Installed, lakebed is found by its entry point.
        installed = {entry.name for entry in importlib.metadata.entry_points(group="pytest11")}
        plugin = [] if "lakebed" in installed else ["-p", "lakebed.pytest_plugin"]
        options = ("-p", "no:cacheprovider", "-p", "no:randomly", *plugin, "-rP", "-v")
        command = [sys.executable, "-m", "pytest", *options, str(INSIDE)]
        result = pytester.run(*entering(command, *NAMESPACES), timeout=_SECONDS)
    result.assert_outcomes(passed=len(pairs(*possible())))
