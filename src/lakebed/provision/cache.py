"""The cache folder: what is downloaded, unpacked or made once, shared by every stack of the user."""

from __future__ import annotations

import os
from pathlib import Path

from lakebed.errors import LakebedError

_ELSEWHERE = "name a folder you can write to with the environment variable LAKEBED_CACHE"


def cache_folder(configured: Path | None = None) -> Path:
    """Return the cache folder, made with mode 0700 if it is not there yet.

    The first of these that is set: `configured`, `$LAKEBED_CACHE`, `$XDG_CACHE_HOME/lakebed`
    (XDG Base Directory Specification; a relative path there is ignored, as it demands),
    `~/.cache/lakebed`.

    Raises:
        LakebedError: it cannot be made, is no folder, or cannot be written to.
    """
    folder = _chosen(configured)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise LakebedError(f"use {folder} as the cache folder", "it is a file", _ELSEWHERE) from error
    except OSError as error:
        seen = f"{error.strerror}: {error.filename}"
        raise LakebedError(f"make the cache folder {folder}", seen, _ELSEWHERE) from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise LakebedError(
            f"use {folder} as the cache folder",
            f"user {os.geteuid()} may not write in it; it belongs to user {folder.stat().st_uid}",
            f"change its owner, or {_ELSEWHERE}",
        )
    return folder


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
