"""Enough memory and disk, asked before a start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import psutil
import pytest

from lakebed.errors import NotEnoughDisk, NotEnoughMemory
from lakebed.stack import room
from lakebed.stack.room import (
    VERSION_1,
    VERSION_2,
    Hierarchy,
    available_memory_mb,
    bytes_left,
    check_disk,
    check_memory,
    own_groups,
)

MB = 1024 * 1024


def table(error: NotEnoughMemory) -> list[list[str]]:
    return [line.split() for line in error.seen.splitlines()[1:]]


def test_more_than_the_budget_is_refused_with_a_table() -> None:
    with pytest.raises(NotEnoughMemory) as caught:
        check_memory(
            {"kafka": 330, "connect": 300},
            promised={"Spark session of gw1": 110},
            running={"postgres": 60},
            budget_mb=700,
        )
    assert table(caught.value) == [
        ["kafka", "330", "MB"],
        ["connect", "300", "MB"],
        ["Spark", "session", "of", "gw1", "110", "MB", "promised", "before"],
        ["postgres", "60", "MB", "in", "use"],
        ["together", "800", "MB"],
        ["there", "is", "700", "MB", "setting", "memory_mb"],
        ["missing", "100", "MB"],
    ]
    assert caught.value.attempted == "find memory for kafka, connect"
    assert "raise the setting memory_mb" in caught.value.remedy


@pytest.mark.parametrize("counted", ["asked", "promised", "running"])
def test_a_budget_that_is_just_enough_is_enough(counted: str) -> None:
    figures = {"asked": {"a": 1}, "promised": {"b": 1}, "running": {"c": 1}}
    check_memory(**figures, budget_mb=3)
    figures[counted] = {counted: 2}
    with pytest.raises(NotEnoughMemory):
        check_memory(**figures, budget_mb=3)


def test_what_is_promised_counts_against_the_machine_and_what_runs_is_counted_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "available_memory_mb", lambda: 2200)
    promised = {"Spark session of gw0": 1100}
    check_memory({"Spark session of gw1": 1100}, promised=promised, running={"kafka": 9000}, budget_mb=None)
    with pytest.raises(NotEnoughMemory) as caught:
        check_memory({"Spark session of gw1": 1101}, promised=promised, running={"kafka": 9}, budget_mb=None)
    assert table(caught.value)[2:] == [
        ["together", "2201", "MB"],
        ["there", "is", "2200", "MB", "available"],
        ["missing", "1", "MB"],
    ]
    assert "end other programs" in caught.value.remedy


def test_a_budget_does_not_make_memory() -> None:
    with pytest.raises(NotEnoughMemory):
        check_memory({"kafka": 10**9}, promised={}, running={}, budget_mb=10**10)


def test_available_memory_is_no_more_than_the_machine_has() -> None:
    assert 0 < available_memory_mb() <= psutil.virtual_memory().total // MB


# -- control groups ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("membership", "groups"),
    [
        ("0::/user.slice/a.scope\n", [(VERSION_2, "/user.slice/a.scope")]),
        ("9:cpu,memory:/docker/ab:c\n2:cpuset:/\n", [(VERSION_1, "/docker/ab:c")]),
        # Both are mounted, and version 1 has the memory controller.
        ("4:memory:/\n1:name=systemd:/x\n0::/x\n", [(VERSION_1, "/"), (VERSION_2, "/x")]),
        ("", []),
    ],
)
def test_the_groups_of_a_process_are_read(membership: str, groups: list[tuple[Hierarchy, str]]) -> None:
    assert own_groups(membership) == [(hierarchy, PurePosixPath(path)) for hierarchy, path in groups]


STAT = "anon 500\nactive_file 100\ninactive_file 200\nunevictable 0\n"


@pytest.mark.parametrize(
    ("limit", "usage", "left"),
    [
        ("1000\n", "800\n", 500),
        ("1000\n", "1300\n", 0),
        ("1000\n", "5000\n", 0),
        # The files are read one after the other, and the figures may not fit together.
        ("1000\n", "100\n", 1000),
        ("max\n", "800\n", None),
    ],
)
def test_files_held_in_memory_are_not_in_use(limit: str, usage: str, left: int | None) -> None:
    assert bytes_left(limit, usage, STAT, VERSION_2.file_keys) == left


def test_version_1_sums_over_a_groups_children_under_names_of_its_own() -> None:
    stat = "active_file 1\ntotal_active_file 100\ntotal_inactive_file 200\n"
    assert bytes_left("1000", "800", stat, VERSION_1.file_keys) == 500


def make_group(folder: Path, limit: str, usage: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(limit)
    (folder / "memory.current").write_text(str(usage))
    (folder / "memory.stat").write_text(STAT)


@pytest.mark.parametrize("limited", ["", "outer", "outer/inner"])
def test_the_limits_of_the_group_and_of_those_above_it_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limited: str
) -> None:
    for group in ("", "outer", "outer/inner"):
        make_group(tmp_path / group, str(5 * MB) if group == limited else "max", 2 * MB)
    own = (replace(VERSION_2, mount=tmp_path), PurePosixPath("/outer/inner"))
    monkeypatch.setattr(room, "own_groups", lambda membership: [own])
    assert available_memory_mb() == 3


def test_in_a_container_that_sees_its_outer_path_the_root_is_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_group(tmp_path, str(5 * MB), 2 * MB)
    own = (replace(VERSION_2, mount=tmp_path), PurePosixPath("/docker/abc"))
    monkeypatch.setattr(room, "own_groups", lambda membership: [own])
    assert available_memory_mb() == 3


def test_groups_without_a_limit_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_group(tmp_path, "max", 10**15)
    own = (replace(VERSION_2, mount=tmp_path), PurePosixPath("/"))
    monkeypatch.setattr(room, "own_groups", lambda membership: [own])
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
