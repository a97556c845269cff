"""Which servers of a stack do not run is known from its folder and the kernel, without asking any of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lakebed.stack.folders import Progress, StackFolder
from lakebed.stack.not_running import not_running
from lakebed.stack.process import ProcessIdentity
from lakebed.waiting import wait_until


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for the end of its input."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def folder(tmp_path: Path, process: subprocess.Popen[bytes]) -> StackFolder:
    """The folder of a stack whose Kafka is that process, and whose registry has not come up yet."""
    folder = StackFolder(tmp_path)
    folder.record_progress("kafka", Progress.COMPLETE)
    folder.record_process("kafka", ProcessIdentity.of(process.pid))
    folder.record_progress("schema-registry", Progress.PREPARED)
    return folder


def test_of_servers_that_run_and_of_those_that_have_not_started_nothing_is_said(folder: StackFolder) -> None:
    assert not_running(folder) == {}


def test_a_server_that_is_paused_is_named_with_what_lets_it_go_on(
    folder: StackFolder, process: subprocess.Popen[bytes]
) -> None:
    psutil.Process(process.pid).suspend()
    wait_until(lambda: not_running(folder), "the kernel to have paused it", deadline_seconds=10)
    said = not_running(folder)["kafka"]
    assert said == f"its process {process.pid} is paused (SIGSTOP): `kill -CONT {process.pid}` lets it go on"
    psutil.Process(process.pid).resume()
    wait_until(lambda: not not_running(folder), "it to go on", deadline_seconds=10)


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_server_that_has_ended_is_named_with_its_log(
    folder: StackFolder, process: subprocess.Popen[bytes], is_noted: bool
) -> None:
    process.kill()
    process.wait()
    if is_noted:
        folder.forget_process("kafka")
    assert not_running(folder) == {"kafka": f"its process has ended; its log: {folder.log('kafka')}"}


def test_of_a_stack_that_is_gone_nothing_is_said(tmp_path: Path) -> None:
    assert not_running(StackFolder(tmp_path / "gone")) == {}
