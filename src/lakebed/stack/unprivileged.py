"""Running a server that refuses root, when lakebed runs as root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from pathlib import Path

from lakebed.errors import ServiceFailed

_USER = "nobody"


def unprivileged_owner() -> tuple[int, int] | None:
    """Return (user id, group id) to run such a server as, or None when this process is not root.

    Raises:
        ServiceFailed: the system has no user `nobody`.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(_USER)
    except KeyError as error:
        raise ServiceFailed(
            "find a user for a server that refuses to run as root",
            f"the system has no user {_USER!r}",
            "run lakebed as an ordinary user",
        ) from error
    return entry.pw_uid, entry.pw_gid


def _link_or_copy(source: str, target: str) -> None:
    """Give a file a second name, or copy it where that is on another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def readable_software(software: Path, folder: Path) -> Path:
    """Return a copy of `software` that any user can read: itself where it is, else one in `folder`.

    The cache often lies under root's home, which other users cannot enter.
    """
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in (software, *software.parents)):
        return software
    copy = folder / "software"
    if copy.exists():
        return copy
    shutil.copytree(software, copy, symlinks=True, copy_function=_link_or_copy)
    for place in (copy, *copy.rglob("*")):
        if not place.is_symlink():
            mode = place.stat().st_mode
            place.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
    return copy
