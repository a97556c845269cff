"""Which services to start, what each waits for, and whose things are removed first. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator
from graphlib import TopologicalSorter
from typing import TypeVar

from lakebed.config.settings import Settings
from lakebed.errors import IsAttached
from lakebed.services import KNOWN_SERVICES, SERVICES, Service, service_named, services_named
from lakebed.services.endpoints import BROKERS, WORKERS

T = TypeVar("T")


def services_for(names: Iterable[str], attached: Container[str] = ()) -> list[Service]:
    """Return the named services and everything they need, needed ones first.

    Args:
        names: names as in `lakebed up NAME`, groups too; none at all means every service but those that
            are started on request only.
        attached: those that somebody else runs: what they need is not lakebed's affair.

    Raises:
        UnknownService: for a name lakebed does not have.
    """
    asked = [service for name in names for service in services_named(name)] or list(SERVICES)

    def needs(service: Service) -> list[Service]:
        return [] if service.name in attached else [service_named(name) for name in service.needs]

    return needed_first(asked, needs)


def asked_for(names: Iterable[str], settings: Settings) -> list[str]:
    """Return what is asked for where clusters are as large as the settings, or the names, say.

    Args:
        names: as for `services_for`. One server of a cluster brings the others.
        settings: `kafka_brokers`, `connect_workers` and `attach`.

    Raises:
        UnknownService: for a name lakebed does not have.
        IsAttached: it is to be a server beside those that somebody else runs.
    """
    sizes = {BROKERS[0]: BROKERS[: settings.kafka_brokers], WORKERS[0]: WORKERS[: settings.connect_workers]}
    asked: dict[str, None] = {}
    for service in services_for(names, settings.attach):
        for other in service.started_with:
            if other in settings.attach:
                address = settings.attach.endpoints()[other].address
                raise IsAttached(
                    f"start {service.name}",
                    f"{other} is attached at {address}: it has the servers that somebody else runs there",
                    f"take attach.{other} out of the settings for a cluster of lakebed's own",
                )
        together = (*service.started_with, *sizes.get(service.name, ()))
        asked.update(dict.fromkeys((service.name, *together)))
    return list(asked)


def needed_first(asked: Iterable[T], needs: Callable[[T], Iterable[T]]) -> list[T]:
    """Return what is asked for and all that it needs, directly or not, each once and needed ones first."""
    ordered: list[T] = []

    def add(one: T) -> None:
        for needed in needs(one):
            add(needed)
        if one not in ordered:
            ordered.append(one)

    for one in asked:
        add(one)
    return ordered


def to_end_first(services: Collection[Service]) -> list[str]:
    """Return the names of those that no other of these services needs; the servers of a cluster as one."""
    needed = {name for service in services for name in service.needs}
    return [
        service.name for service in services if not needed.intersection((service.name, *service.started_with))
    ]


def removal_order(services: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Return the names of services in groups: what is in one group uses only what is in later ones."""
    order: TopologicalSorter[str] = TopologicalSorter()
    for service in KNOWN_SERVICES:
        if service.name in services:
            order.add(service.name)
            for used in service.resources_use:
                if used in services:
                    order.add(used, service.name)
    order.prepare()
    while order.is_active():
        group = order.get_ready()
        yield group
        order.done(*group)
