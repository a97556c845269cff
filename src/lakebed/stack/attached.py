"""The services of a stack that somebody else runs: looked at once, before anything uses them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lakebed.config.attach import Attach
from lakebed.errors import IsAttached, LakebedError, PermissionMissing, StackFailed
from lakebed.services import Place, service_named
from lakebed.services.attached import ELSEWHERE, Missing
from lakebed.stack.ports import PortsByService

# A run of many tests must not wait for a server that is not there as often as there are tests.
_FAILURE_HOLDS_SECONDS = 30.0


@dataclass
class _Look:
    """What was found out about a service.

    Attributes:
        error: why it cannot be used; None if it is what it should be.
        missing: what it does not allow.
        at: when, on the clock that only goes forward.
    """

    error: LakebedError | None = None
    missing: list[Missing] = field(default_factory=list)
    at: float = field(default_factory=time.monotonic)

    def holds(self) -> bool:
        """Whether it need not be asked again."""
        is_good = self.error is None and not self.missing
        return is_good or time.monotonic() - self.at < _FAILURE_HOLDS_SECONDS


class AttachedServices:
    """What is attached to a stack.

    Args:
        attach: the setting.
        folder: of the stack.
        cache: the cache folder.
        ports: asked, each time, for the ports of the services that lakebed itself has started.
    """

    def __init__(
        self, attach: Attach, folder: Path, cache: Path, ports: Callable[[], PortsByService]
    ) -> None:
        self.attach = attach
        self._folder = folder
        self._cache = cache
        self._ports = ports
        self._looks: dict[str, _Look] = {}
        self._lock = threading.Lock()

    def __contains__(self, service: object) -> bool:
        return service in self.attach

    def places(self) -> dict[str, Place]:
        """Return, by name, their places: without ports of lakebed's, so that nothing is started at one."""
        return {
            name: Place(self._folder, self._cache, {}, self._ports(), attached=self.attach)
            for name in self.attach
        }

    def check(self, services: Iterable[str]) -> None:
        """Refuse to go on where one of these services is not what it should be, or does not allow enough.

        Each is looked at once; all at the same time.

        Raises:
            WrongAddress, CredentialsRefused: of the first of them; those of others stand in its text.
            PermissionMissing: with all that is missing, in all of them, and how it is granted.
        """
        asked = [name for name in services if name in self.attach]
        if not asked:
            return
        with self._lock:
            unknown = [name for name in asked if name not in self._looks or not self._looks[name].holds()]
            if unknown:
                places = self.places()
                with ThreadPoolExecutor(max_workers=len(unknown)) as pool:
                    looks = pool.map(lambda name: _look(name, places[name]), unknown)
                    self._looks.update(zip(unknown, looks, strict=True))
            if not all(self._is_good(name) for name in asked):
                self._raise()

    def _is_good(self, name: str) -> bool:
        return self._looks[name].error is None and not self._looks[name].missing

    def _raise(self) -> None:
        """Raise what is known of all of them, so that it can be put right at once."""
        errors = [look.error for look in self._looks.values() if look.error is not None]
        missing = {name: look.missing for name, look in self._looks.items() if look.missing}
        if errors:
            first, *others = errors
            seen = first.seen + "".join(f"\nalso: {other}" for other in others)
            raise type(first)(first.attempted, seen, first.remedy)
        endpoints = self.attach.endpoints()
        lines = [f"{name}: {one.what}" for name, found in missing.items() for one in found]
        grants = [f"{name}: {one.grant}" for name, found in missing.items() for one in found]
        where = ", ".join(f"{name} at {endpoints[name].address}" for name in missing)
        raise PermissionMissing(
            f"use the attached {where}",
            "not everything that tests need is allowed there:\n    " + "\n    ".join(lines),
            "have it granted:\n    " + "\n    ".join(dict.fromkeys(grants)),
        )

    def refuse(self, doing: str, service: str) -> None:
        """Refuse to do to an attached service what is done to servers of lakebed's own.

        Raises:
            IsAttached: it is one.
        """
        if service in self.attach:
            address = self.attach.endpoints()[service].address
            raise IsAttached(
                f"{doing} {service}",
                f"it is attached at {address}: somebody else runs it, and lakebed neither starts nor ends it",
                f"take attach.{service} out of the settings for a server of lakebed's own",
            )

    def describe(self) -> list[dict[str, object]]:
        """Return what `lakebed status` shows of them; nothing of it is secret."""
        return [
            {
                "service": name,
                "title": service_named(name).title,
                "state": "ATTACHED",
                "address": endpoint.address,
                "port": None,
                "pid": None,
                "paused": False,
                "memory_mb": 0,
                "seconds_to_start": None,
                "log": None,
                "history": [],
                "last_failure": None,
            }
            for name, endpoint in self.attach.endpoints().items()
        ]


def _look(name: str, place: Place) -> _Look:
    definition = ELSEWHERE[name]
    try:
        definition.examine(place)
        return _Look(missing=definition.missing(place))
    except LakebedError as error:
        return _Look(error)
    except Exception as error:  # whatever a client raises is said as the error of this service
        address = place.attached.endpoints()[name].address
        seen = f"{type(error).__name__}: {error}"
        return _Look(StackFailed(f"look at the attached {name} at {address}", seen, "see whether it is well"))
