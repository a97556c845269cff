"""What is known about the cache without any network."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from lakebed.errors import LakebedError, NotEnoughDisk
from lakebed.provision.download import cached_path, fetch, missing
from lakebed.provision.lock import Artifact

CONTENT = b"a jar" * 1000
ARTIFACT = Artifact(
    "org.example", "thing", "1.0", sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT)
)


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    file = cached_path(ARTIFACT, tmp_path)
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    return file


def test_a_right_file_is_not_missing_and_gets_a_stamp(cached: Path, tmp_path: Path) -> None:
    assert missing([ARTIFACT], tmp_path) == []
    stamp = cached.with_name(".thing-1.0.jar.checked")
    assert stamp.read_text().split() == [ARTIFACT.sha256, str(len(CONTENT)), str(cached.stat().st_mtime_ns)]


def test_a_stamped_file_is_not_hashed_again(cached: Path, tmp_path: Path) -> None:
    missing([ARTIFACT], tmp_path)
    before = cached.stat()
    cached.write_bytes(b"b" * len(CONTENT))
    os.utime(cached, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert missing([ARTIFACT], tmp_path) == []


def test_a_file_changed_after_its_stamp_is_hashed_again(cached: Path, tmp_path: Path) -> None:
    missing([ARTIFACT], tmp_path)
    cached.write_bytes(b"b" * len(CONTENT))
    os.utime(cached, ns=(1, 1))
    assert missing([ARTIFACT], tmp_path) == [ARTIFACT]


def test_a_file_of_another_size_is_missing(cached: Path, tmp_path: Path) -> None:
    cached.write_bytes(CONTENT[:-1])
    assert missing([ARTIFACT], tmp_path) == [ARTIFACT]


def test_another_lock_makes_a_stamped_file_missing(cached: Path, tmp_path: Path) -> None:
    missing([ARTIFACT], tmp_path)
    other = Artifact("org.example", "thing", "1.0", sha256="0" * 64, size=len(CONTENT))
    assert missing([other], tmp_path) == [other]


def test_what_does_not_fit_on_the_disk_is_refused_with_figures(tmp_path: Path) -> None:
    huge = Artifact("org.example", "huge", "1", sha256="0" * 64, size=10**18)
    with pytest.raises(NotEnoughDisk, match=r"1000000000000\.0 MB needed"):
        fetch([huge], tmp_path)


@pytest.mark.parametrize("mirror", ["", "repository", "ftp://localhost/maven", "http://"])
def test_a_mirror_that_is_no_address_is_refused(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(LakebedError, match="LAKEBED_MAVEN_MIRROR"):
        fetch([ARTIFACT], tmp_path, mirror=mirror)
