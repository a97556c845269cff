"""Where the cache folder is, and what is said when it cannot be used."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from lakebed.errors import DownloadFailed, LakebedError, NotEnoughDisk
from lakebed.provision.cache import cache_folder, check_room, refused


def test_the_configured_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEBED_CACHE", str(tmp_path / "named"))
    assert cache_folder(tmp_path / "configured") == tmp_path / "configured"


def test_the_named_folder_wins_over_the_shared_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEBED_CACHE", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert cache_folder() == tmp_path / "named"


def test_the_shared_folder_wins_over_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKEBED_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "lakebed"


@pytest.mark.parametrize("shared", ["", "relative/path"])
def test_home_is_the_last_resort(shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKEBED_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", shared)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "lakebed"


def test_it_is_made_for_this_user_alone(tmp_path: Path) -> None:
    folder = cache_folder(tmp_path / "cache")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert cache_folder(folder) == folder


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(LakebedError, match="it is a file") as raised:
        cache_folder(tmp_path / "cache")
    assert str(tmp_path / "cache") in str(raised.value)
    assert "LAKEBED_CACHE" in raised.value.remedy


def test_a_file_above_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "above").touch()
    with pytest.raises(LakebedError, match="make the cache folder") as raised:
        cache_folder(tmp_path / "above" / "cache")
    assert "above" in raised.value.seen


@pytest.mark.parametrize(("separator", "of"), [(":", "class path"), (",", "Kafka")])
def test_a_path_that_would_be_two_in_a_list_is_refused(separator: str, of: str, tmp_path: Path) -> None:
    with pytest.raises(LakebedError, match=of) as raised:
        cache_folder(tmp_path / f"a{separator}b")
    assert f"a{separator}b" in raised.value.attempted
    assert "LAKEBED_CACHE" in raised.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LAKEBED_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(LakebedError, match="Could not determine") as raised:
        cache_folder()
    assert "LAKEBED_CACHE" in raised.value.remedy


def test_a_read_only_folder_is_a_cache_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert cache_folder(tmp_path) == tmp_path
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("number", "kind", "seen"),
    [
        (errno.ENOSPC, NotEnoughDisk, "MB free in"),
        (errno.EDQUOT, NotEnoughDisk, "MB free in"),
        (errno.EFBIG, NotEnoughDisk, "MB free in"),
        (errno.EROFS, DownloadFailed, "may not write in"),
        (errno.EACCES, DownloadFailed, "may not write in"),
        (errno.EIO, DownloadFailed, "Input/output error"),
    ],
)
def test_what_the_system_refuses_is_told_with_the_folder_and_a_way_out(
    number: int, kind: type[LakebedError], seen: str, tmp_path: Path
) -> None:
    error = refused("put something there", tmp_path, OSError(number, os.strerror(number)), DownloadFailed)
    assert type(error) is kind
    assert error.attempted == "put something there"
    assert os.strerror(number) in error.seen
    assert seen in error.seen
    assert str(tmp_path) in error.seen
    assert "LAKEBED_CACHE" in error.remedy


def test_what_does_not_fit_is_refused_with_figures(tmp_path: Path) -> None:
    check_room("put something there", tmp_path, 1)
    with pytest.raises(NotEnoughDisk, match=r"1000000000\.0 MB needed, [0-9.]+ MB free in "):
        check_room("put something there", tmp_path, 10**15)
