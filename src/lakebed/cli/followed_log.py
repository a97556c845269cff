"""A log file that grows, is cut short, replaced, or is not there yet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1024 * 1024


class FollowedLog:
    """Reads what is new in a log file, line by line.

    A file that was replaced or cut short is read from its beginning. The end of a file without an end of line
    is held back until that comes, or until `rest` asks for it.

    Args:
        path: of the file; it need not be there.
        lines: begin with so many of the last lines; None for all of them.
    """

    def __init__(self, path: Path, lines: int | None = None) -> None:
        self._path = path
        self._lines = lines
        self._file: BinaryIO | None = None
        self._held = b""

    def new_lines(self) -> list[str]:
        """Return the whole lines that have come since the last call."""
        found: list[str] = []
        if self._was_replaced():
            found = self._read()
            found += self.rest()
            self.close()
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return found
        fresh = self._read()
        if self._lines is not None:
            fresh = fresh[-self._lines :]
            self._lines = None
        return found + fresh

    def _was_replaced(self) -> bool:
        if self._file is None:
            return False
        opened = os.fstat(self._file.fileno())
        try:
            there = self._path.stat()
        except FileNotFoundError:
            # Its last words can still be read.
            return True
        is_another = (there.st_dev, there.st_ino) != (opened.st_dev, opened.st_ino)
        return is_another or opened.st_size < self._file.tell()

    def _read(self) -> list[str]:
        assert self._file is not None
        while chunk := self._file.read(_CHUNK_BYTES):
            self._held += chunk
        *whole, self._held = self._held.split(b"\n")
        return [line.decode(errors="replace").rstrip("\r") for line in whole]

    def rest(self) -> list[str]:
        """Return the line that has no end yet, if there is one."""
        held, self._held = self._held, b""
        return [held.decode(errors="replace")] if held else []

    def close(self) -> None:
        """Close the file; if it is there at the next call, it is read from its beginning."""
        if self._file is not None:
            self._file.close()
            self._file = None
