"""Which services to start, and what each waits for. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import TypeVar

from lakebed.services import SERVICES, Service, service_named, services_named

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
