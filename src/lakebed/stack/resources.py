"""What clients make in a stack, and how it is removed: by recorded name, or by what was there before."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lakebed.errors import LakebedError, NotOurs, StackFailed, UnknownKind
from lakebed.services import KNOWN_SERVICES, Place, ResourceKind, Service, further_servers
from lakebed.stack.ledger import Entry, Ledger, States
from lakebed.stack.plan import removal_order
from lakebed.stack.process import ProcessIdentity, end_process

FOLDER = "folder"
PROCESS = "process"
_PATIENCE_SECONDS = 10.0

_BY_KIND: dict[str, tuple[Service, ResourceKind]] = {
    kind.name: (service, kind) for service in KNOWN_SERVICES for kind in service.resources
}
KINDS: tuple[str, ...] = (*_BY_KIND, FOLDER, PROCESS)
"""The kinds of things a client can record: those of the services, a folder in the stack's, and a process."""


def service_of(kind: str) -> str | None:
    """Return the name of the service that has things of a kind; None for a folder or a process."""
    return _BY_KIND[kind][0].name if kind in _BY_KIND else None


def check_kind(kind: str) -> None:
    """Refuse a kind that cannot be removed.

    Raises:
        UnknownKind: listing the known ones.
    """
    if kind not in KINDS:
        raise UnknownKind(
            f"record a {kind!r}", "no service has such a thing", f"known kinds: {', '.join(KINDS)}"
        )


@dataclass(frozen=True)
class Left:
    """Something that could not be removed, or not be brought back, and why."""

    entry: Entry
    why: str

    def to_json(self) -> dict[str, str]:
        """Return it as JSON values."""
        return {"kind": self.entry.kind, "name": self.entry.name, "why": self.why}


def process_entry(identity: ProcessIdentity) -> Entry:
    """Return how a process is recorded: by pid and create time."""
    return Entry(PROCESS, f"{identity.pid} {identity.create_time!r}")


class Resources:
    """The things in the running services of one stack.

    Args:
        folder: of the stack; folders of clients are in it.
        places: asked, each time, for the services that run, by name.
    """

    def __init__(self, folder: Path, places: Callable[[], Mapping[str, Place]]) -> None:
        self._folder = folder
        self._places = places

    def remove(self, entries: Iterable[Entry]) -> list[Left]:
        """Remove things in this order; goes on after a failure. One that is not there is no error."""
        return [left for entry in entries if (left := self._removed(entry)) is not None]

    def _removed(self, entry: Entry) -> Left | None:
        try:
            check_kind(entry.kind)
            if entry.kind == FOLDER:
                self._remove_folder(Path(entry.name))
            elif entry.kind == PROCESS:
                pid, create_time = entry.name.split()
                end_process(ProcessIdentity(int(pid), float(create_time)), signal.SIGKILL, _PATIENCE_SECONDS)
            else:
                service, kind = _BY_KIND[entry.kind]
                kind.remove(self._place(service), entry.name)
        except Exception as error:  # whatever keeps one from going must not keep the rest
            return Left(entry, _in_words(error))
        return None

    def _remove_folder(self, folder: Path) -> None:
        if folder.parent != self._folder:
            raise StackFailed(f"remove {folder}", f"it is not in the stack's folder {self._folder}")
        if folder.exists():
            shutil.rmtree(folder)

    def _place(self, service: Service) -> Place:
        places = self._places()
        for name in (service.name, *further_servers(service.name)):
            if name in places:
                return places[name]
        raise StackFailed(f"reach {service.name}", "it does not run")

    def refuse_others(self, entries: Iterable[Entry]) -> None:
        """Refuse what is there already on servers of somebody else's: it would be removed some day.

        Raises:
            NotOurs: naming the first.
        """
        places = self._places()
        for entry in entries:
            if entry.kind not in _BY_KIND:
                continue
            service, kind = _BY_KIND[entry.kind]
            place = places.get(service.name)
            if place is None or not place.is_attached:
                continue
            if kind.exists is None or kind.exists(place, entry.name):
                address = place.attached.endpoints()[service.name].address
                name = entry.name or "(that of all)"
                raise NotOurs(
                    f"record {entry.kind} {name}",
                    f"it is there already on the attached {service.name} at {address}; what lakebed did not"
                    " make, it neither changes nor deletes",
                    "take a name that nobody has",
                )

    def present(self, service: str) -> dict[str, States]:
        """Return, by kind, what there is in a service that runs."""
        place = self._places()[service]
        return {
            kind.name: kind.present(place)
            for of, kind in _BY_KIND.values()
            if of.name == service and kind.present is not None
        }

    def note_baselines(self, ledger: Ledger) -> None:
        """Write down what is in every service that lakebed runs, all at once."""
        services = [name for name, place in self._places().items() if not place.is_attached]
        with ThreadPoolExecutor(max_workers=len(KNOWN_SERVICES)) as pool:
            for service, present in zip(services, pool.map(self.present, services), strict=True):
                ledger.set_baseline(service, present)

    def return_to(self, baselines: Mapping[str, Mapping[str, States]]) -> list[Left]:
        """Remove what was not there when the baselines were written, and bring back changed states.

        Those that use others' go first, as `removal_order` has it, one thread for each service.

        Returns:
            What could not be removed or brought back; also what was there and is gone.
        """
        lefts: list[Left] = []
        with ThreadPoolExecutor(max_workers=len(KNOWN_SERVICES)) as pool:
            for services in removal_order(baselines):
                for found in pool.map(lambda name: self._returned(name, baselines[name]), services):
                    lefts.extend(found)
        return lefts

    def _returned(self, service: str, baseline: Mapping[str, States]) -> list[Left]:
        lefts: list[Left] = []
        for kind_name, before in baseline.items():
            of, kind = _BY_KIND[kind_name]
            assert kind.present is not None
            try:
                now = kind.present(self._place(of))
            except Exception as error:  # a server that is gone: said once, for all of its kind
                lefts.append(Left(Entry(kind_name, "(all)"), _in_words(error)))
                continue
            lefts += self.remove(Entry(kind_name, name) for name in now if name not in before)
            for name, state in before.items():
                lefts += self._restored(of, kind, name, state, now.get(name))
        return lefts

    def _restored(
        self, service: Service, kind: ResourceKind, name: str, state: str, now: str | None
    ) -> list[Left]:
        if now == state:
            return []
        entry = Entry(kind.name, name)
        if kind.restore is None:
            return [Left(entry, "it was there before the tests and is gone")]
        try:
            kind.restore(self._place(service), name, state)
        except Exception as error:  # see `_removed`
            return [Left(entry, _in_words(error))]
        return []


def _in_words(error: Exception) -> str:
    if isinstance(error, LakebedError):
        return f"{error.attempted}: {error.seen}"
    return f"{type(error).__name__}: {error}"
