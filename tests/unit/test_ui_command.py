"""The command `lakebed ui` before it serves anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_WITHOUT = """
import sys
sys.modules[{package!r}] = None
from lakebed.cli import main
main()
"""


@pytest.mark.parametrize("package", ["uvicorn", "starlette", "jinja2"])
def test_extra_that_is_not_installed_is_named(package: str, tmp_path: Path) -> None:
    program = _WITHOUT.format(package=package)
    finished = subprocess.run(
        [sys.executable, "-c", program, "ui", "--no-browser"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 1
    assert package in finished.stderr
    assert 'pip install "lakebed[ui]"' in finished.stderr
    assert finished.stdout == ""


@pytest.mark.parametrize("name", ["../up", "", "..", "a/b"])
def test_stack_is_a_name_and_no_path(name: str, tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "lakebed", "ui", "--no-browser", "--stack", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 2
    assert "no name of a stack" in finished.stderr


def test_other_commands_do_not_load_the_page(tmp_path: Path) -> None:
    program = (
        "import sys; from lakebed.cli.commands import lakebed; "
        "sys.exit([name for name in ('starlette', 'uvicorn', 'jinja2') if name in sys.modules] or 0)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
