"""Faults of disk, memory and clock, done to each service; run by `test_faults_in_a_world.py`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from tests.faults.client_clock import ObjectsWithClock
from tests.faults.conftest import parametrized
from tests.faults.fault_table import CLOCK, FULL, MEMORY, SLOW_DISK, Pair
from tests.faults.flows import Flow
from tests.faults.own_world import possible
from tests.faults.seen import Run
from tests.faults.world_faults import (
    Clock,
    SlowDisk,
    full,
    mount_small,
    on_file_system,
    out_of_memory,
    with_environment,
)

from lakebed.pytest_plugin.crash import Crash
from lakebed.pytest_plugin.session import SessionStack

# Of a number: on a full disk it does not fit into what has been written beforehand, nor into little memory.
_WEIGHT_BYTES = 300_000


@pytest.fixture
def clock(lakebed_stack: SessionStack, pair: Pair) -> Clock:
    """A clock that can jump, in a folder that every user can pass through."""
    folder = lakebed_stack.folder / f"clock-{pair.service}"
    folder.mkdir(mode=0o711)
    return Clock(folder)


@parametrized(*possible())
def test_nothing_committed_is_lost(
    pair: Pair,
    flow: Flow,
    lakebed_crash: Crash,
    lakebed_stack: SessionStack,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    if pair.fault is FULL:
        _fill_its_disk(pair, flow, lakebed_crash, lakebed_stack)
    elif pair.fault is SLOW_DISK:
        _slow_its_disk(pair, flow, lakebed_crash, lakebed_stack, tmp_path)
    elif pair.fault is MEMORY:
        run = Run(pair, lakebed_stack, flow, weight_bytes=_WEIGHT_BYTES)
        fault = out_of_memory(lakebed_crash, lakebed_stack, pair.service)
        # Who asks nothing of a server does not have it ask for memory.
        seen = run.go_through(fault, is_noticed=True, commits_until_noticed=True)
        assert seen.told or seen.refused
    else:
        assert pair.fault is CLOCK
        _let_its_clock_jump(pair, flow, request.getfixturevalue("clock"), lakebed_crash, lakebed_stack)


def _fill_its_disk(pair: Pair, flow: Flow, crash: Crash, stack: SessionStack) -> None:
    run = Run(pair, stack, flow, weight_bytes=_WEIGHT_BYTES)
    # The S3 store makes no new volume on a disk as small as that, but goes on with one that is there.
    run.commit()
    with on_file_system(crash, stack.folder, pair.service, mount_small) as data:
        seen = run.go_through(full(crash, stack, pair.service, data), is_noticed=False)
    assert seen.refused or seen.told


def _slow_its_disk(pair: Pair, flow: Flow, crash: Crash, stack: SessionStack, tmp_path: Path) -> None:
    with (
        closing(SlowDisk(tmp_path / "image")) as disk,
        on_file_system(crash, stack.folder, pair.service, disk.mount),
    ):
        Run(pair, stack, flow).go_through(disk.slow(), is_noticed=False)


def _let_its_clock_jump(pair: Pair, flow: Flow, clock: Clock, crash: Crash, stack: SessionStack) -> None:
    if pair.service == "s3":
        # The clients' clock: the program of the store asks the kernel itself.
        client = ObjectsWithClock(flow, clock.environment)
        seen = Run(pair, stack, client).go_through(clock.jumps(), is_noticed=False)
        assert "RequestTimeTooSkewed" in seen.refused
        return
    with with_environment(crash, stack, pair.service, clock.environment):
        Run(pair, stack, flow).go_through(clock.jumps(), is_noticed=None)
