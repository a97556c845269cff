"""Writing a Compose file: whole or not at all, and never over somebody's own."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from lakebed.compose.text import written_by_lakebed
from lakebed.errors import LakebedError, NotOverwritten


def write_compose_file(path: Path, text: str, *, force: bool = False) -> None:
    """Write a Compose file, readable by whom the umask lets; a reader sees the old or the new one.

    Args:
        force: write over a file that lakebed did not write, or that was changed since.

    Raises:
        NotOverwritten: there is such a file, or something else than a file.
        LakebedError: it cannot be written.
    """
    attempted = f"write {path}"
    # A link keeps pointing to the file that is written.
    target = path.resolve()
    if not force and target.exists() and not _is_ours(target):
        raise NotOverwritten(
            attempted,
            "it is there, and lakebed did not write it or it was changed since",
            "choose another file, or give --force to write over it",
        )
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with unfinished.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except OSError as error:
        remedy = "name a file in a folder that exists and may be written to"
        raise LakebedError(attempted, f"{error.strerror or error}", remedy) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    try:
        return written_by_lakebed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
