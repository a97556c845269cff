"""Files that lakebed reads back or is given: records of a stack, the ledger, coordinates, archives."""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
from hypothesis import given, strategies
from tests.security.strategies import DEEP, JSON, as_bytes, broken_text

from lakebed.errors import LakebedError, LedgerUnreadable
from lakebed.provision.lock import Artifact
from lakebed.provision.unpack import is_unpacked, unpack_postgres, unpack_tar
from lakebed.services.properties import write_properties
from lakebed.stack.folders import Progress, StackFolder
from lakebed.stack.ledger import Entry, Ledger

_NAMES = strategies.text("abc./-:@ é\n\x00\x1f\ud800", max_size=12)
_ENTRIES = strategies.lists(strategies.builds(Entry, kind=_NAMES, name=_NAMES), max_size=5)
_LINES = (
    {"ledger": 1},
    {"record": [["topic", "orders"]], "holder": "one"},
    {"forget": [["topic", "orders"]]},
    {"service": "kafka", "baseline": {"topic": {"orders": ""}}},
)
_RECORDS = (
    {"pid": 5, "create_time": 1700000000.5},
    {"kafka": {"kafka": 9092}},
    "PREPARED",
    {"settings": {}, "keep": True},
    ["/tmp/a.sock"],
)
_NOISE = strategies.one_of(strategies.binary(), JSON.map(as_bytes), broken_text(*_RECORDS), DEEP)


@given(rest=strategies.lists(broken_text(*_LINES), max_size=5), noise=_NOISE)
def test_a_ledger_is_read_or_refused(rest: list[bytes], noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        for content in (noise, b"\n".join([as_bytes(_LINES[0]), *rest])):
            path.write_bytes(content)
            try:
                entries = Ledger.read(path).entries()
            except LedgerUnreadable:
                continue
            assert all(isinstance(str(entry), str) for entry in entries)


@given(first=_ENTRIES, second=_ENTRIES, forgotten=_ENTRIES)
def test_a_ledger_comes_back_as_it_was(
    first: list[Entry], second: list[Entry], forgotten: list[Entry]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        ledger = Ledger(path)
        ledger.record("one", first)
        ledger.record("two", second)
        ledger.forget([*forgotten, *first[:1]])
        read = Ledger.read(path)
        for holder in (None, "one", "two", "three"):
            assert read.entries(holder) == ledger.entries(holder)


@given(content=_NOISE)
def test_a_damaged_record_counts_as_none(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as parent:
        folder = StackFolder(Path(parent) / "up")
        folder.make()
        names = ("request", "ports", "kafka.progress", "kafka.process", "kafka.outside")
        for name in names:
            (folder.path / f"{name}.json").write_bytes(content)
        request = folder.recorded_request()
        assert request is None or isinstance(request, dict)
        assert all(isinstance(ports, dict) for ports in folder.recorded_ports().values())
        assert isinstance(folder.progress("kafka"), Progress)
        for identity in folder.recorded_processes().values():
            assert isinstance(identity.process(), psutil.Process | None)


@given(
    properties=strategies.dictionaries(
        strategies.text(min_size=1, max_size=12),
        strategies.text(max_size=20),
        max_size=4,
    )
)
def test_properties_come_back_as_java_reads_them(properties: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.properties"
        write_properties(path, properties)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert _properties(path.read_text("ascii")) == properties


def _properties(text: str) -> dict[str, str]:
    """Read by the rules of `java.util.Properties.load`, for lines without a comment."""
    found: dict[str, str] = {}
    for line in text.split("\n")[:-1]:
        at = 0
        units: list[list[str]] = [[], []]
        part = 0
        while at < len(line):
            letter = line[at]
            if letter == "\\":
                at += 1
                if line[at] == "u":
                    units[part].append(chr(int(line[at + 1 : at + 5], 16)))
                    at += 5
                    continue
                units[part].append({"n": "\n", "r": "\r", "t": "\t", "f": "\f"}.get(line[at], line[at]))
            elif part == 0 and letter in "=: \t\f":
                part = 1
                rest = line[at:].lstrip(" \t\f")
                rest = rest[1:] if rest[:1] in ("=", ":") else rest
                line, at = rest.lstrip(" \t\f"), 0
                continue
            else:
                units[part].append(letter)
            at += 1
        name, value = (_joined(part) for part in units)
        found[name] = value
    return found


def _joined(units: list[str]) -> str:
    return "".join(units).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


_PART = strategies.text("abc.-_1", min_size=1, max_size=6)


@given(parts=strategies.lists(_PART, min_size=3, max_size=4), extension=_PART, text=strategies.text())
def test_coordinates_come_back_or_are_refused(parts: list[str], extension: str, text: str) -> None:
    artifact = Artifact.parse(f"{':'.join(parts)}@{extension}")
    assert Artifact.parse(artifact.coordinates) == artifact
    with contextlib.suppress(ValueError):
        assert Artifact.parse(text).coordinates


_MEMBER_NAMES = strategies.sampled_from(
    [
        "a",
        "a/b",
        "b",
        "../out",
        "a/../../out",
        "/tmp/lakebed-out",
        "a/./b",
        "",
        ".",
        "..",
        "a//b",
        "é",
        "a\\b",
    ]
)


@strategies.composite
def _archives(draw: strategies.DrawFn) -> bytes:
    """A tar archive with any names, kinds and links, some with bytes of it changed."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for _ in range(draw(strategies.integers(0, 5))):
            member = tarfile.TarInfo(draw(_MEMBER_NAMES))
            member.type = draw(
                strategies.sampled_from(
                    [
                        *(tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE),
                        *(tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE),
                    ]
                )
            )
            member.linkname = draw(_MEMBER_NAMES)
            member.mode = draw(strategies.sampled_from([0o644, 0o000, 0o7777]))
            member.size = 3 if member.isreg() else 0
            tar.addfile(member, io.BytesIO(b"abc"))
    content = bytearray(file.getvalue())
    for _ in range(draw(strategies.integers(0, 3))):
        content[draw(strategies.integers(0, len(content) - 1))] = draw(strategies.integers(0, 255))
    return bytes(content)


@given(content=strategies.one_of(_archives(), strategies.binary()))
def test_a_tar_archive_is_unpacked_into_its_folder_or_refused_whole(content: bytes) -> None:
    _unpacked_or_refused(unpack_tar, content)


@given(content=strategies.one_of(_archives(), strategies.binary()), in_jar=strategies.booleans())
def test_a_postgres_jar_is_unpacked_into_its_folder_or_refused_whole(content: bytes, in_jar: bool) -> None:
    if in_jar:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as jar:
            jar.writestr("postgres.txz", lzma.compress(content))
        content = file.getvalue()
    _unpacked_or_refused(unpack_postgres, content)


def _unpacked_or_refused(unpack: Callable[[Path, Path], Path], content: bytes) -> None:
    with tempfile.TemporaryDirectory() as parent:
        (Path(parent) / "archives").mkdir()
        archive = Path(parent) / "archives" / "a.tar"
        archive.write_bytes(content)
        into = Path(parent) / "cache" / "a-1"
        try:
            unpack(archive, into)
        except LakebedError:
            assert not into.exists()
        else:
            assert is_unpacked(into)
            inside = os.path.realpath(into)
            for path in into.rglob("*"):
                assert os.path.realpath(path).startswith(inside), path
                # Neither with the rights of somebody else nor writable for others.
                mode = path.lstat().st_mode
                assert path.is_symlink() or not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH), (
                    f"{stat.filemode(mode)} {path}"
                )
        assert not Path("/tmp/lakebed-out").exists()
        assert sorted(path.name for path in Path(parent).iterdir()) in (["archives"], ["archives", "cache"])
        assert [path.name for path in (Path(parent) / "archives").iterdir()] == ["a.tar"]
