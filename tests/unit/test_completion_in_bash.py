"""What is completed in a real bash, with the Tab key: all that needs no server."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.lakebed_command import PROGRAM, Terminal


@pytest.fixture
def bash(tmp_path: Path, child_environment: Callable[[Path], dict[str, str]]) -> Iterator[Terminal]:
    """An interactive bash on a terminal, in which the completion of lakebed was switched on."""
    program = tmp_path / "lakebed"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    environment = child_environment(tmp_path / "stacks") | {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PS1": "ready> ",
        # One Tab lists all there are.
        "INPUTRC": os.devnull,
    }
    shell = shutil.which("bash")
    assert shell is not None
    terminal = Terminal([shell, "--norc", "--noprofile", "-i"], environment, 200, tmp_path)
    try:
        terminal.wait_for("ready> ")
        terminal.type(
            'eval "$(lakebed completion bash)"; bind "set show-all-if-ambiguous on"; echo switched on\r'
        )
        terminal.wait_for("\rswitched on")
        terminal.forget()
        yield terminal
    finally:
        terminal.close()


def test_a_press_of_the_tab_key_completes(bash: Terminal) -> None:
    bash.type("lakebed pre\t")
    bash.wait_for("lakebed prefetch ")
    bash.type("spark-m\t")
    bash.wait_for("spark-master ")
    bash.forget()
    # What is typed before bash has come back is thrown away with the line.
    bash.type("\x03")
    bash.wait_for("ready> ")
    bash.forget()
    bash.type("lakebed \t")
    for name in ("completion", "compose", "doctor", "prefetch", "status", "tail", "up"):
        bash.wait_for(name)
