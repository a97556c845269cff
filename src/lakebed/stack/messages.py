"""What goes over the supervisor's socket: objects of JSON, one a line, and errors among them.

Both ends belong to one user. What comes is read as if it did not: a line that is no message ends a
connection with an error of lakebed's own, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import lakebed.errors
from lakebed.errors import LakebedError, StackFailed

Message = dict[str, Any]

# A request names services and things, an answer tells of them: far below that.
MOST_BYTES = 16 * 1024 * 1024


class Lines(Protocol):
    """A stream of bytes that is read line by line."""

    def readline(self, limit: int, /) -> bytes:
        """Return the next line, or as much of it as the limit allows; nothing at the end."""
        ...


def encoded(message: Mapping[str, Any]) -> bytes:
    """Return the line of a message."""
    return json.dumps(message).encode() + b"\n"


def read_message(stream: Lines) -> Message | None:
    """Read the next message of a stream; None at its end.

    Raises:
        StackFailed: what comes is no message, or no end of it comes.
        OSError: as the stream raises.
    """
    line = stream.readline(MOST_BYTES + 1)
    return decoded(line) if line else None


def decoded(line: bytes) -> Message:
    """Return the message of a line.

    Raises:
        StackFailed: it is none. Nothing of it is shown: a password may be in it.
    """
    if len(line) > MOST_BYTES:
        raise _no_message(f"a line of more than {MOST_BYTES} bytes")
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _no_message(f"{len(line)} bytes that are no JSON ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise _no_message(f"JSON that is no object but {type(message).__name__}")
    return message


def _no_message(seen: str) -> StackFailed:
    return StackFailed(
        "read what came over the supervisor's socket",
        seen,
        "see which program uses the socket; `lakebed down` ends the stack",
    )


def error_to_json(error: LakebedError) -> dict[str, str]:
    """Return an error as it goes over the socket: its type's name and its three parts."""
    return {
        "type": type(error).__name__,
        "attempted": error.attempted,
        "seen": error.seen,
        "remedy": error.remedy,
    }


def error_from_json(content: object) -> LakebedError:
    """Return the error that came over the socket; one of an unknown type is a StackFailed."""
    if not isinstance(content, dict):
        return _no_message(f"an error that is no object but {type(content).__name__}")
    found = getattr(lakebed.errors, str(content.get("type")), None)
    error_type = found if isinstance(found, type) and issubclass(found, LakebedError) else StackFailed
    attempted, seen, remedy = (str(content.get(part, "")) for part in ("attempted", "seen", "remedy"))
    return error_type(attempted, seen, remedy)
