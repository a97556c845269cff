"""What lakebed writes is for its user only, whatever the user's umask says."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakebed.errors import StackFailed
from lakebed.provision.cache import cache_folder
from lakebed.services.properties import write_properties
from lakebed.stack.folders import Progress, StackFolder, stacks_folder
from lakebed.stack.ledger import Ledger
from lakebed.stack.process import ProcessIdentity, start_process


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    """Take nothing from the modes that are asked for."""
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    made = StackFolder(tmp_path / "up")
    made.make()
    return made


def test_the_folders_of_stacks_cannot_be_listed(tmp_path: Path, folder: StackFolder) -> None:
    passable = 0o711 if os.geteuid() == 0 else 0o700
    assert _mode(stacks_folder(tmp_path / "new" / "stacks")) == passable
    assert _mode(folder.path) == passable


def test_every_record_is_private(folder: StackFolder) -> None:
    folder.record_request({"settings": {}})
    folder.record_ports({"kafka": {"kafka": 1}})
    folder.record_progress("kafka", Progress.COMPLETE)
    folder.record_process("kafka", ProcessIdentity(1, 2.0))
    folder.record_outside_files("s3", [])
    Ledger(folder.ledger)
    written = list(folder.path.iterdir())
    assert len(written) == 6
    assert {path.name: oct(_mode(path)) for path in written if _mode(path) != 0o600} == {}


def test_what_a_server_writes_is_private(folder: StackFolder) -> None:
    program = "import os; os.mkdir('data'); open('data/file', 'w'); print('started')"
    process = start_process(
        [sys.executable, "-c", program], environment={}, log=folder.log("one"), folder=folder.path
    )
    assert process.wait(30) == 0
    assert "started" in folder.log("one").read_text()
    modes = {name: _mode(folder.path / name) for name in ("one.log", "data", "data/file")}
    assert modes == {"one.log": 0o600, "data": 0o700, "data/file": 0o600}


def test_a_configuration_is_private(tmp_path: Path) -> None:
    write_properties(tmp_path / "file.properties", {"password": "secret"})
    assert _mode(tmp_path / "file.properties") == 0o600


def test_a_new_cache_is_private(tmp_path: Path) -> None:
    assert _mode(cache_folder(tmp_path / "cache")) == 0o700


def test_a_folder_in_which_everybody_may_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    with pytest.raises(StackFailed, match="other users may write") as raised:
        stacks_folder(shared)
    assert f"chmod o-w {shared}" in raised.value.remedy
    # As in /tmp, nobody can put something else in place of what is another's.
    shared.chmod(0o1777)
    assert stacks_folder(shared) == shared


def test_a_link_in_place_of_a_stacks_folder_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "up").symlink_to(elsewhere)
    with pytest.raises(StackFailed, match="it is no folder"):
        StackFolder(tmp_path / "up").make()
