"""Where the cache folder is, and what is said when it cannot be used."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lakebed.errors import LakebedError
from lakebed.provision.cache import cache_folder


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


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere, and tests may run as root: the system's answer is given here.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(LakebedError, match="may not write") as raised:
        cache_folder(tmp_path)
    assert "LAKEBED_CACHE" in raised.value.remedy
