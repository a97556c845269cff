"""Hosts that are apart, without any server: their network does what it says, and goes without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.hosts_apart.network import ROOT
from tests.hosts_apart.world import command_in_world

from lakebed.waiting import wait_until

# It takes minutes: `make test-large`.
pytestmark = pytest.mark.large

BETWEEN_HOSTS = Path(__file__).with_name("between_hosts.py")


def _networks() -> set[str]:
    """Return the network namespaces that processes are in."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add(os.readlink(process / "ns" / "net"))
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def test_the_network_between_hosts(in_world: Callable[..., pytest.RunResult]) -> None:
    before = subprocess.check_output(["ip", "-oneline", "link"])
    result = in_world(BETWEEN_HOSTS, bare=True)
    result.assert_outcomes(passed=8)
    assert subprocess.check_output(["ip", "-oneline", "link"]) == before


_AS_A_CHILD = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])"]


@pytest.mark.parametrize("killed", ["the world", "who has started it"])
def test_a_world_that_is_killed_leaves_nothing(tmp_path: Path, killed: str) -> None:
    said = "import os, sys; print(os.readlink('/proc/self/ns/net'), flush=True); sys.stdin.read()"
    command = command_in_world(tmp_path, [sys.executable, "-c", said], bare=True)
    if killed == "who has started it":
        command = [*_AS_A_CHILD, *command]
    before = _networks()
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as world:
        assert world.stdout is not None
        network = world.stdout.readline().strip()
        # The router's and those of five hosts.
        during = _networks() - before
        assert network in during
        assert len(during) >= 6
        world.send_signal(signal.SIGKILL)
        wait_until(
            lambda: not during & _networks(),
            "the world's networks to be gone",
            deadline_seconds=10,
            explain=lambda: str(during & _networks()),
        )
