"""The hint to ext4: set where there is ext4, and no error anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil

from lakebed.provision.ext4 import spread_subfolders


def file_system_of(folder: Path) -> str:
    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    return next(mounts[parent] for parent in (folder, *folder.parents) if parent in mounts)


def attributes(folder: Path) -> str:
    """Return a folder's attributes as e2fsprogs shows them, "" where it or they are not there."""
    if shutil.which("lsattr") is None:
        return ""
    command = ["lsattr", "-d", str(folder)]
    return subprocess.run(command, capture_output=True, text=True).stdout.partition(" ")[0]


def test_the_attribute_is_set_where_the_file_system_has_it(tmp_path: Path) -> None:
    before = attributes(tmp_path)
    assert "T" not in before
    spread_subfolders(tmp_path)
    has_it = bool(before) and file_system_of(tmp_path.resolve()) == "ext4"
    assert ("T" in attributes(tmp_path)) == has_it


def test_what_is_no_folder_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    spread_subfolders(file)
    spread_subfolders(tmp_path / "nothing")
    assert os.listdir(tmp_path) == ["file"]
