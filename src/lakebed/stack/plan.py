"""Which services to start, and what each waits for. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Container, Iterable

from lakebed.services import SERVICES, Service, service_named, services_named


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
    ordered: list[Service] = []

    def add(service: Service) -> None:
        for needed in () if service.name in attached else service.needs:
            add(service_named(needed))
        if service not in ordered:
            ordered.append(service)

    for service in asked:
        add(service)
    return ordered
