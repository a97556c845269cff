"""Enough memory and disk, asked before a start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lakebed.errors import NotEnoughDisk, NotEnoughMemory
from lakebed.services.kafka import KAFKA
from lakebed.services.postgres import POSTGRES
from lakebed.stack import room
from lakebed.stack.room import available_memory_mb, check_disk, check_memory

_SMALL = replace(POSTGRES, memory_mb=1)


def cgroup(folder: Path, monkeypatch: pytest.MonkeyPatch, limit: str, used: str) -> None:
    (folder / "limit").write_text(f"{limit}\n")
    (folder / "used").write_text(f"{used}\n")
    files = (
        (str(folder / "missing"), str(folder / "missing")),
        (str(folder / "limit"), str(folder / "used")),
    )
    monkeypatch.setattr(room, "_CGROUP_FILES", files)


def test_more_than_the_budget_is_refused_with_a_table() -> None:
    with pytest.raises(NotEnoughMemory) as caught:
        check_memory([replace(POSTGRES, memory_mb=60), replace(KAFKA, memory_mb=330)], budget_mb=100)
    rows = [line.split() for line in caught.value.seen.splitlines()[1:]]
    assert rows == [
        ["postgres", "60", "MB"],
        ["kafka", "330", "MB"],
        ["together", "390", "MB"],
        ["there", "is", "100", "MB"],
    ]
    assert "memory_mb" in caught.value.remedy


def test_a_budget_that_is_just_enough_is_enough() -> None:
    check_memory([_SMALL, _SMALL], budget_mb=2)
    with pytest.raises(NotEnoughMemory):
        check_memory([_SMALL, _SMALL], budget_mb=1)


def test_a_budget_does_not_make_memory() -> None:
    more_than_there_is = replace(POSTGRES, memory_mb=10**9)
    with pytest.raises(NotEnoughMemory):
        check_memory([more_than_there_is], budget_mb=10**10)


def test_available_memory_is_no_more_than_the_machine_has() -> None:
    assert 0 < available_memory_mb() <= psutil.virtual_memory().total // (1024 * 1024)


@pytest.mark.parametrize(
    ("limit", "used", "available"), [(5 * 1024**2, 2 * 1024**2, 3), (1024**2, 9 * 1024**2, 0)]
)
def test_the_limit_of_the_cgroup_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, used: int, available: int
) -> None:
    cgroup(tmp_path, monkeypatch, str(limit), str(used))
    assert available_memory_mb() == available


def test_a_cgroup_without_limit_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cgroup(tmp_path, monkeypatch, "max", str(10**15))
    assert available_memory_mb() > 0


def test_too_little_disk_is_refused_with_figures(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughDisk) as caught:
        check_disk(tmp_path, 10**9)
    assert "1000000000 MB are wanted" in caught.value.seen
    assert "MB are free" in caught.value.seen
    assert str(tmp_path) in caught.value.attempted
    assert "data_folder" in caught.value.remedy


def test_enough_disk_is_enough(tmp_path: Path) -> None:
    check_disk(tmp_path, 0)
