"""Folders that are made once and copied from then on (a formatted Kafka data directory)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path


def template_folder(cache: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Return the template `name` of the cache, made by `make` if it is not there yet.

    Args:
        cache: the cache folder.
        name: what the template depends on (versions), in the form of a file name.
        make: fills the empty folder it is given; what it raises is passed on and nothing is kept.

    Two processes may make the same template at once: the first to finish wins, both get the same folder.

    Raises:
        OSError: the cache is read-only or full; nothing is left, and the caller does without a template.
    """
    template = cache / "templates" / name
    if template.is_dir():
        return template
    template.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=template.parent) as scratch:
        content = Path(scratch) / "content"
        content.mkdir()
        make(content)
        try:
            content.rename(template)
        except OSError:
            # Another process may have been first.
            if not template.is_dir():
                raise
    return template
