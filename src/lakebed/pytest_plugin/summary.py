"""The lines at the end of pytest's output. Pure."""

from __future__ import annotations

from lakebed.report.merging import leftovers_of, notes_of, services_of, slowest_fixtures, waited_of
from lakebed.report.records import RunRecord, ServiceRecord

MOST_FIXTURES = 5
MOST_LEFTOVERS = 20


def summary_lines(run: RunRecord, *, more: bool) -> list[str]:
    """Return what is to be said of a run.

    Args:
        run: what happened.
        more: services and fixtures too; without it only waits, and what should not be.
    """
    lines: list[str] = []
    services = services_of(run)
    if more and services:
        lines.append(f"services {', '.join(map(_service, services))}")
    if waited := waited_of(run):
        lines.append(f"waited for {', '.join(f'{name} {seconds:.1f} s' for name, seconds in waited.items())}")
    slowest = slowest_fixtures(run.tests, MOST_FIXTURES) if more else []
    if slowest:
        told = [f"{one.name} {one.seconds:.2f} s ({node.rpartition('::')[2]})" for one, node in slowest]
        lines.append(f"slowest fixtures {', '.join(told)}")
    leftovers = leftovers_of(run)
    lines += [f"left over: {one}" for one in leftovers[:MOST_LEFTOVERS]]
    if len(leftovers) > MOST_LEFTOVERS:
        lines.append(f"left over: {len(leftovers) - MOST_LEFTOVERS} more")
    return lines + notes_of(run)


def _service(service: ServiceRecord) -> str:
    if service.state == "ATTACHED":
        return f"{service.name} attached at {service.address}"
    start = "" if service.seconds_to_start is None else f", started in {service.seconds_to_start:.1f} s"
    return f"{service.name} {service.state}{start}"
