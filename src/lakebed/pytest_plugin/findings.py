"""What is found out when a test has failed: it may take no longer than a few seconds, and never raises.

Servers may be dead, stopped, or somebody else's; whatever does not answer in time is said in its place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lakebed.errors import LakebedError
from lakebed.report.secrecy import Mask, masking
from lakebed.stack.written_log import written_since
from lakebed.waiting import with_patience

if TYPE_CHECKING:
    from lakebed.clients.connector import Connector
    from lakebed.config.settings import Settings
    from lakebed.pytest_plugin.session import SessionStack
    from lakebed.stack.addresses import Addresses

Section = tuple[str, str]
Look = Callable[[], list[Section]]

# For everything together.
DEADLINE_SECONDS = 5.0
# Less, so that what Kafka's client says is told and not only that there was no answer.
_EVENTS_SECONDS = 4.0
LOG_LINES = 20
MORE_LOG_LINES = 100
EVENTS = 10
_LONGEST_SECTION = 20_000


def look_around(looks: Sequence[tuple[str, Look]], seconds: float = DEADLINE_SECONDS) -> list[Section]:
    """Return what several looks find, in their order; all of them look at the same time.

    Args:
        looks: each with the title that is used if it finds nothing out.
        seconds: how long all of them may take together; multiplied by `lakebed.waiting.patience`.
    """
    found: dict[int, list[Section]] = {}

    def run(number: int, title: str, look: Look) -> None:
        try:
            found[number] = look()
        except Exception as error:  # a server that is gone must not hide the test's own failure
            seen = error.seen if isinstance(error, LakebedError) else str(error)
            found[number] = [(title, f"no answer: {type(error).__name__}: {seen}")]

    threads = [
        threading.Thread(target=run, args=(number, title, look), name=f"look at {title}", daemon=True)
        for number, (title, look) in enumerate(looks)
    ]
    for thread in threads:
        thread.start()
    seconds = with_patience(seconds)
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
    sections: list[Section] = []
    for number, (title, _) in enumerate(looks):
        sections += found.get(number, [(title, f"no answer within {seconds:g} s")])
    return sections


def masked(sections: Sequence[Section], mask: Mask) -> list[Section]:
    """Return sections without secrets, and none of them endless."""
    return [(mask(title), _shortened(mask(text))) for title, text in sections]


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST_SECTION:
        return text
    half = _LONGEST_SECTION // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def mask_of(settings: Settings) -> Mask:
    """Return what takes the secrets of these settings out of a text.

    The password of lakebed's own PostgreSQL is also the name of a user and of a database, and public: it is
    known by its setting only. The keys of its S3 store are masked.
    """
    from lakebed.services import s3

    secrets = [s3.ACCESS_KEY, s3.SECRET_KEY]
    if settings.registry_password is not None:
        secrets.append(settings.registry_password.get_secret_value())
    secrets += _secrets_in(settings.attach.to_json(secrets=True), settings.attach.to_json())
    return masking(secrets)


def _secrets_in(told: object, hidden: object) -> list[str]:
    """Return the values that are shown otherwise where secrets are not told."""
    if isinstance(told, dict) and isinstance(hidden, dict):
        return [one for name in told for one in _secrets_in(told[name], hidden.get(name))]
    return [told] if isinstance(told, str) and told != hidden else []


def logs_of(
    stack: SessionStack, services: Sequence[str], sizes: dict[str, int] | None, lines: int
) -> list[Section]:
    """Return what services have written into their logs while the test ran.

    Args:
        stack: of the session.
        services: which; of those that somebody else runs is said that their logs are not here.
        sizes: of the logs when the test began; None where there was no stack yet, or none was known.
        lines: how many of each log at most.
    """
    attach, folder = stack.settings.attach, stack.known_folder()
    sections: list[Section] = []
    elsewhere = [f"{name} at {attach.endpoints()[name].address}" for name in services if name in attach]
    if elsewhere:
        told = f"not here: somebody else runs {', '.join(elsewhere)}"
        sections.append(("lakebed: logs of attached services", told))
    for service in services:
        if service in attach or folder is None:
            continue
        log = folder / f"{service}.log"
        written = written_since(log, (sizes or {}).get(service, 0), lines)
        if written:
            when = "the end of it" if sizes is None else "written during the test"
            sections.append((f"lakebed: log of {service}, {when}", "\n".join(written)))
        elif not log.exists():
            sections.append((f"lakebed: log of {service}", "none: it was not started"))
    return sections


def events_of(connector: Connector, addresses: Addresses) -> list[Section]:
    """Return the last events in the topics of a connector."""
    from lakebed.report.changes import newest_of

    seen = newest_of(connector, addresses, most=EVENTS, seconds=_EVENTS_SECONDS)
    title = f"lakebed: last events of connector {connector.name}"
    if not seen.topics:
        return [(title, f"none: no topic begins with {connector.config.topic_prefix!r}")]
    if not seen.changes:
        return [(title, f"none: its {seen.topics} topics are empty")]
    lines = [f"{_clock(one.record.produced)}  {one.line}" for one in seen.changes]
    if seen.left_out:
        lines.insert(0, f"({seen.left_out} older ones are left out)")
    return [(title, "\n".join(lines))]


def _clock(at: float | None) -> str:
    from datetime import datetime, timezone

    if at is None:
        return "--:--:--.---"
    return datetime.fromtimestamp(at, timezone.utc).strftime("%H:%M:%S.%f")[:-3]
