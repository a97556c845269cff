"""When each version of a Delta table was committed, as Delta itself tells it.

Source: Delta Lake, `CDCReader.getTimestampsByVersion` and `DeltaHistoryManager`: the time of a commit is that
of its file in `_delta_log`, moved on by a millisecond where it is not after the one before. Where the table
has in-commit time stamps, the commit says it itself.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from lakebed.clients.object_store import object_store
from lakebed.services.endpoints import Store

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_COMMIT = re.compile(r"(\d{20})\.json")
# As many commits before the first one asked for are looked at for their times.
_LOOKED_BACK = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)


def commit_files(endpoint: Store | None, path: str) -> dict[int, datetime]:
    """Return the versions whose commit is still in the log, oldest first, with their files' times in UTC."""
    from pyarrow.fs import FileSelector, LocalFileSystem

    store: FileSystem = LocalFileSystem() if endpoint is None else object_store(endpoint)
    folder = path.split("://", 1)[-1].rstrip("/") + "/_delta_log"
    found = {}
    for file in store.get_file_info(FileSelector(folder, allow_not_found=True)):
        match = _COMMIT.fullmatch(file.base_name)
        if match is not None:
            # Delta counts in whole milliseconds.
            found[int(match[1])] = _EPOCH + timedelta(milliseconds=file.mtime_ns // 1_000_000)
    return dict(sorted(found.items()))


def commit_times(files: dict[int, datetime], first: int) -> dict[int, datetime]:
    """Return the time of each version, after that of the one before, as a feed from `first` on has them."""
    times: dict[int, datetime] = {}
    last: datetime | None = None
    for version, time in files.items():
        if version < first - _LOOKED_BACK:
            continue
        last = time if last is None or time > last else last + _MILLISECOND
        times[version] = last
    return times
