"""What a server has written into its log from a moment on."""

from __future__ import annotations

import re
from pathlib import Path

# A test that makes a server write more than this has the end of it shown.
_MOST_BYTES = 512 * 1024
_LATEST = 5
# PostgreSQL, Java's logging, SeaweedFS (glog), and the first line of an exception.
_TELLING = re.compile(
    r"\b(WARN(ING)?|ERROR|FATAL|PANIC|SEVERE)\b|Caused by: |^[EF]\d{4} |^[a-z]\w*(\.\w+)+(Exception|Error)\b"
)
# Said of every topic that is made by being written to.
_OF_EVERY_TOPIC = "UNKNOWN_TOPIC_OR_PARTITION"
# SeaweedFS's maintenance worker looks for its admin server every five seconds, on a port that nobody has
# and no option of `weed mini` changes. Nothing depends on it, and it would be most of what a test sees.
_OF_A_WORKER_ALONE = re.compile(
    r"^[IW]\d{4} \S+ (client|worker)\.go:\d+ "
    r"(\[session \w+\] (Connected to admin|Worker stream created|Reconnection attempt)"
    r"|Plugin worker |Failed to send heartbeat: not connected to admin)"
)


def log_sizes(folder: Path) -> dict[str, int]:
    """Return, by service, how much is in the logs of a stack's folder now."""
    return {log.name.removesuffix(".log"): log.stat().st_size for log in folder.glob("*.log")}


def written_since(log: Path, position: int, most_lines: int) -> list[str]:
    """Return lines written behind a position: the last ones, and those before that tell of trouble.

    Args:
        log: the file; one that is not there has no lines.
        position: in bytes.
        most_lines: how many to return at most. Where lines are left out between two, "..." stands.
    """
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(position, size - _MOST_BYTES))
            read = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    lines = [line for line in read if _OF_A_WORKER_ALONE.match(line) is None]
    telling = [
        place
        for place, line in enumerate(lines)
        if _TELLING.search(line) is not None and _OF_EVERY_TOPIC not in line
    ]
    if not telling:
        return lines[-most_lines:]
    latest = range(max(len(lines) - _LATEST, 0), len(lines))
    chosen = sorted({*telling[-(most_lines - _LATEST) :], *latest})
    shown: list[str] = []
    for before, place in zip([None, *chosen[:-1]], chosen, strict=True):
        if before is not None and place != before + 1:
            shown.append("...")
        shown.append(lines[place])
    return shown
