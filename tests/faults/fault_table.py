"""The table of faults and services: what is done to which, and what does not apply.

docs/faults.md is its result. Each pair is done for real by a test; `tests/unit/test_faults_page.py` sees to
it that each has a row there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

SERVICES = ("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest")
_CHAIN = ("postgres", "kafka", "connect")
# What flows through a service needs these.
NEEDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_CHAIN, _CHAIN),
    "schema-registry": (*_CHAIN, "schema-registry"),
    "s3": ("s3",),
    "iceberg-rest": ("s3", "iceberg-rest"),
}
# Where what was seen is written, a file for each pair, if it is set: see `make faults`.
FOLDER = "FAULTS_FOLDER"
WRITES_DOWN = FOLDER in os.environ


@dataclass(frozen=True, eq=False)
class Fault:
    """One fault.

    Attributes:
        name: short, for ids of tests.
        title: what happens, as in the page.
        how: how it is done.
        not_for: by service, why it does not apply.
        elsewhere: by service, the test that does it where that is no test of the table's.
        lasts_seconds: by service, how long it lasts at least; longer than the time-out that notices it.
    """

    name: str
    title: str
    how: str
    not_for: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    lasts_seconds: Mapping[str, float] = field(default_factory=dict)


_KEEPS_NOTHING = "keeps nothing on disk: its connectors and offsets are in Kafka"

KILLED = Fault("killed", "killed", "SIGKILL, right after a commit; started again on its ports with its data")
PAUSED = Fault(
    "paused",
    "paused",
    "SIGSTOP to it and its children, for longer than the time-out that notices it; then SIGCONT",
    lasts_seconds={
        # The broker's session (lakebed's own setting) is 3 s, that of Connect's worker in its group 10 s.
        "kafka": 5.0,
        "connect": 12.0,
        # Clients wait 5 s for a health question, and for a connection to PostgreSQL.
        "postgres": 6.0,
        "schema-registry": 6.0,
        "s3": 6.0,
        "iceberg-rest": 6.0,
    },
)
REFUSED = Fault(
    "refused",
    "connections refused",
    "its clients reach it through a TCP line, which resets what is connected and listens no more",
    lasts_seconds=dict.fromkeys(SERVICES, 3.0),
)
HALF_OPEN = Fault(
    "half-open",
    "half-open connections",
    "its clients reach it through a TCP line, which hands nothing on and closes nothing",
    lasts_seconds=dict.fromkeys(SERVICES, 6.0),
)
DAMAGED = Fault(
    "damaged",
    "data directory damaged",
    "killed; in the files with its data a byte of every 512 is changed; started again",
    not_for={"connect": _KEEPS_NOTHING},
)
FULL = Fault(
    "full",
    "disk full",
    "its folder is a tmpfs of limited size, in a mount namespace; a file fills it up to the last byte",
    not_for={"connect": _KEEPS_NOTHING},
)
MEMORY = Fault(
    "memory",
    "out of memory",
    "its process is moved into a memory cgroup of 1 MB; the kernel's OOM killer ends what asks for more",
)
CLOCK = Fault(
    "clock",
    "clock jumps a day ahead",
    "a library that is preloaded adds a day to what the kernel says the time is, from one moment on; for"
    " the S3 store, whose program asks the kernel itself, into its client",
)
SLOW_DISK = Fault(
    "slow-disk",
    "disk slow",
    "its folder is on a loop device, mounted `sync`, that the blkio cgroup lets write 20 times a second",
    not_for={"connect": _KEEPS_NOTHING},
)
CUT = Fault(
    "cut",
    "network cut",
    "a rule of the router between two network namespaces drops the packets, both ways",
    not_for={
        "schema-registry": "it asks no other service; from its clients: half-open",
        "iceberg-rest": "its clients reach the store themselves; from them: half-open",
        "connect": "it is one end of the two cuts above",
    },
    elsewhere={
        "postgres": "tests/hosts_apart/chain.py::test_connect_is_cut_off_from_the_database",
        "kafka": "tests/hosts_apart/chain.py::test_connect_is_cut_off_from_kafka",
        "s3": "tests/hosts_apart/chain.py::test_the_pipeline_is_cut_off_from_the_lake",
    },
)

FAULTS = (KILLED, PAUSED, REFUSED, HALF_OPEN, DAMAGED, FULL, SLOW_DISK, MEMORY, CLOCK, CUT)
# These need namespaces, cgroups or a compiler: done in a world of their own, where the machine can make one.
IN_A_WORLD = (FULL, SLOW_DISK, MEMORY, CLOCK)
# These take minutes altogether: `make test-large`.
LARGE = (PAUSED, REFUSED, HALF_OPEN, DAMAGED, *IN_A_WORLD)


@dataclass(frozen=True)
class Pair:
    """A fault that is done to a service."""

    fault: Fault
    service: str

    def __str__(self) -> str:
        return f"{self.fault.name}-{self.service}"

    @property
    def lasts_seconds(self) -> float:
        """How long the fault lasts at least."""
        return self.fault.lasts_seconds.get(self.service, 0.0)


def pairs(*faults: Fault) -> list[Pair]:
    """Return the pairs of faults (of all, if none is named) and services that a test here does."""
    return [
        Pair(fault, service)
        for fault in faults or FAULTS
        for service in SERVICES
        if service not in fault.not_for and service not in fault.elsewhere
    ]
