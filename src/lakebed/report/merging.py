"""One view of a run that several processes saw: the workers of pytest-xdist share a stack. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from lakebed.report.records import FixtureRecord, MemorySample, RunRecord, ServiceRecord, TestRecord


def services_of(run: RunRecord) -> list[ServiceRecord]:
    """Return each service once: as the session saw it that ended last, with the longest history."""
    found: dict[str, ServiceRecord] = {}
    for session in run.sessions:
        for service in session.services:
            known = found.get(service.name)
            if known is None or len(service.states) >= len(known.states):
                found[service.name] = service
    return list(found.values())


def memory_of(run: RunRecord) -> list[MemorySample]:
    """Return all samples, each once, oldest first."""
    samples = {sample.at: sample for session in run.sessions for sample in session.memory}
    return [samples[at] for at in sorted(samples)]


def waited_of(run: RunRecord) -> dict[str, float]:
    """Return, by service, how long the test that waited longest for it had to wait first."""
    waited: dict[str, float] = {}
    for session in run.sessions:
        for service, seconds in (session.waited or {}).items():
            waited[service] = max(waited.get(service, 0.0), seconds)
    return waited


def leftovers_of(run: RunRecord) -> list[str]:
    """Return what could not be removed, each thing once."""
    of_tests = [left for test in run.tests for left in test.leftovers]
    return list(dict.fromkeys([*of_tests, *(left for one in run.sessions for left in one.leftovers)]))


def notes_of(run: RunRecord) -> list[str]:
    """Return what is to be said of the run and its sessions, each thing once."""
    return list(dict.fromkeys((*run.notes, *(note for one in run.sessions for note in one.notes))))


def slowest_fixtures(tests: Iterable[TestRecord], count: int) -> list[tuple[FixtureRecord, str]]:
    """Return lakebed's fixtures that took longest, one of each name, with the test they were made for."""
    slowest: dict[str, tuple[FixtureRecord, str]] = {}
    for test in tests:
        for fixture in test.fixtures:
            known = slowest.get(fixture.name)
            if fixture.is_own and (known is None or fixture.seconds > known[0].seconds):
                slowest[fixture.name] = (fixture, test.node)
    return sorted(slowest.values(), key=lambda one: one[0].seconds, reverse=True)[:count]
