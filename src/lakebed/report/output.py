"""Write the page where it was asked for, and find out before a run whether that will be possible."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lakebed.errors import ReportImpossible


def check_writable(file: Path) -> None:
    """Refuse a file that could not be written at the end. Nothing is changed.

    Raises:
        ReportImpossible: why not.
    """
    folder = file.absolute().parent
    if file.is_dir():
        raise _refusal(file, "it is a folder", f"name a file in it, such as {file / 'report.html'}")
    if not folder.is_dir():
        raise _refusal(file, f"there is no folder {folder}", "make the folder first")
    try:
        # As it is written in the end; permissions alone do not tell of a file system that is read-only.
        with tempfile.TemporaryFile(dir=folder):
            pass
        if file.exists() and not os.access(file, os.W_OK):
            raise PermissionError(f"{file} may not be written")
    except OSError as error:
        raise _refusal(file, str(error), "name another file") from error


def write(file: Path, page: str) -> None:
    """Write the page at once or not at all; a file of that name is replaced.

    Raises:
        ReportImpossible: the disk is full, or the folder is gone.
    """
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.unfinished")
    try:
        # A name may hold half of a surrogate pair, which no file can.
        unfinished.write_bytes(page.encode("utf-8", errors="backslashreplace"))
        unfinished.replace(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise _refusal(file, str(error), "name another file") from error


def _refusal(file: Path, seen: str, remedy: str) -> ReportImpossible:
    return ReportImpossible(f"write the report {file}", seen, remedy)
