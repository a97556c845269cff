"""What a machine lacks for hosts to be apart is found by trying, and the tests that need it are left out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hosts_apart import machine


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The one folder on PATH, empty; what was found out of the real machine is forgotten."""
    monkeypatch.setenv("PATH", str(tmp_path))
    machine.lacks.cache_clear()
    yield tmp_path
    machine.lacks.cache_clear()


def _program(folder: Path, name: str, script: str = "exit 0") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_programs_that_are_not_there_are_named(programs: Path) -> None:
    for name in ("setpriv", "unshare", "nsenter"):
        _program(programs, name)
    assert machine.lacks() == ("the program ip is not on PATH", "the program tc is not on PATH")


def test_a_user_without_the_right_to_namespaces_is_told_so_and_nothing_else(programs: Path) -> None:
    for name in ("unshare", "nsenter", "ip", "tc"):
        _program(programs, name)
    _program(programs, "setpriv", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1")
    assert machine.lacks() == (
        "process and network namespaces: unshare: unshare failed: Operation not permitted",
    )


def test_what_the_kernel_has_not_is_told_in_its_words(programs: Path) -> None:
    for name in ("unshare", "nsenter", "ip", "tc"):
        _program(programs, name)
    refuse = "case \"$*\" in *tbf*) echo 'Error: Specified qdisc kind is unknown.' >&2; exit 2;; esac"
    _program(programs, "setpriv", refuse)
    assert machine.lacks() == ("slow links (NET_SCH_TBF): Error: Specified qdisc kind is unknown.",)


@pytest.mark.parametrize(("user", "is_mapped"), [(0, False), (1000, True)])
def test_only_who_is_not_root_needs_a_user_namespace(
    monkeypatch: pytest.MonkeyPatch, user: int, is_mapped: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    command = machine.entering(["true"])
    assert command[-2:] == ["--", "true"]
    assert ("--map-current-user" in command) is is_mapped
