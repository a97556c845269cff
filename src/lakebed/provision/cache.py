"""The cache folder: what is downloaded, unpacked or made once, shared by every stack of the user.

It may be read-only when all that is needed is in it, as in an image with prefetched files: then nothing is
written.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from pathlib import Path

from lakebed.errors import LakebedError, NotEnoughDisk

_ELSEWHERE = "name a folder you can write to with the environment variable LAKEBED_CACHE"
_MAKE_ROOM = "make room, or set LAKEBED_CACHE to a folder on another disk"
# What separates entries of a list and cannot be written inside of one.
_SEPARATORS = {":": "Java's class path", ",": "Kafka's list of data folders"}


def cache_folder(configured: Path | None = None) -> Path:
    """Return the cache folder, made with mode 0700 if it is not there yet.

    The first of these that is set: `configured`, `$LAKEBED_CACHE`, `$XDG_CACHE_HOME/lakebed`
    (XDG Base Directory Specification; a relative path there is ignored, as it demands),
    `~/.cache/lakebed`.

    Raises:
        LakebedError: it cannot be made, is no folder, cannot be read, or has a colon or a comma in its path.
    """
    try:
        folder = _chosen(configured)
    except RuntimeError as error:
        # `~` of a user id without an account, as containers run with, where HOME is not set.
        raise LakebedError("find the cache folder", str(error), _ELSEWHERE) from error
    for separator, of in _SEPARATORS.items():
        if separator in str(folder):
            seen = f"its path has a {separator!r}, which separates the entries of {of}"
            raise LakebedError(f"use {folder} as the cache folder", seen, _ELSEWHERE)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise LakebedError(f"use {folder} as the cache folder", "it is a file", _ELSEWHERE) from error
    except OSError as error:
        raise LakebedError(f"make the cache folder {folder}", _said(error), _ELSEWHERE) from error
    if not os.access(folder, os.R_OK | os.X_OK):
        belongs = f"it belongs to user {folder.stat().st_uid}"
        raise unreadable(folder, PermissionError(errno.EACCES, belongs))
    return folder


def is_writable(cache: Path) -> bool:
    """Whether something can be put into the cache folder; a read-only file system counts as well."""
    return os.access(cache, os.W_OK | os.X_OK)


def check_room(attempted: str, cache: Path, needed: int) -> None:
    """Refuse what does not fit on the disk of the cache folder.

    Args:
        attempted: what is to be put there.
        cache: the cache folder.
        needed: in bytes.

    Raises:
        NotEnoughDisk: with the figures.
    """
    free = shutil.disk_usage(cache).free
    if free < needed:
        seen = f"{needed / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free in {cache}"
        raise NotEnoughDisk(attempted, seen, _MAKE_ROOM)


def refused(
    attempted: str, cache: Path, error: OSError, kind: type[LakebedError] = LakebedError
) -> LakebedError:
    """Return the error to raise when the system refuses to write into the cache folder.

    Args:
        attempted: what was to be put there.
        cache: the cache folder.
        error: what the system said.
        kind: of the error; NotEnoughDisk where the disk is full.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        seen = f"{_said(error)}; {shutil.disk_usage(cache).free / 1e6:.1f} MB free in {cache}"
        more = " (a quota, or a limit on the size of files, may leave less than is free)"
        return NotEnoughDisk(attempted, seen, f"{_MAKE_ROOM}{more}; what has been downloaded is kept")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return kind(
            attempted,
            f"user {os.geteuid()} may not write in {cache}, which belongs to user {cache.stat().st_uid}"
            f" ({_said(error)})",
            f"put it there by `lakebed prefetch` as a user who may write, or {_ELSEWHERE}",
        )
    return kind(attempted, f"{_said(error)} in {cache}", f"run `lakebed doctor`, or {_ELSEWHERE}")


def unreadable(cache: Path, error: OSError) -> LakebedError:
    """Return the error to raise when a part of the cache folder cannot be read."""
    return LakebedError(
        f"read the cache folder {cache}",
        f"user {os.geteuid()} may not: {_said(error)}",
        f"make it readable (`chmod -R a+rX {shlex.quote(str(cache))}` as its owner), or {_ELSEWHERE}",
    )


def _said(error: OSError) -> str:
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


def _chosen(configured: Path | None) -> Path:
    if configured is not None:
        return Path(configured).expanduser().absolute()
    named = os.environ.get("LAKEBED_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(shared):
        return Path(shared) / "lakebed"
    return Path.home() / ".cache" / "lakebed"
