"""How long each service and the whole stack take to start, with what is made once and without; memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import psutil
from rich.table import Table

from bench.report import new_table, ratio
from bench.stacks import cache_without, running
from lakebed.config.settings import Settings, load_settings
from lakebed.provision.cache import cache_folder
from lakebed.services import SERVICE_NAMES
from lakebed.stack.plan import services_for

EVERYTHING: tuple[str, ...] = ()
# The whole stack is what the others are compared with: measured that many times as often.
N_OF_EVERYTHING = 3


@dataclass(frozen=True)
class Start:
    """One start: seconds until all was healthy; then, of the servers and the supervisor, CPU and memory.

    Attributes:
        seconds: that it took.
        cpu_seconds: that all of them had used, programs that prepare something included.
        memory_mb: resident, by service, and of the supervisor.
    """

    seconds: float
    cpu_seconds: float
    memory_mb: dict[str, int]


def _start(services: Sequence[str], settings: Settings) -> Start:
    started = time.monotonic()
    with running(services, settings) as connection:
        seconds = time.monotonic() - started
        status = connection.status()
        supervisor = psutil.Process(status["pid"])
        cpu_seconds = _cpu_seconds(supervisor)
        memory_mb = {entry["service"]: int(entry["memory_mb"]) for entry in status["services"]}
        memory_mb["supervisor"] = supervisor.memory_info().rss // 2**20
    return Start(seconds, cpu_seconds, memory_mb)


def _cpu_seconds(supervisor: psutil.Process) -> float:
    """Return what the supervisor and all that it has started have used, in user and kernel mode."""
    times = [process.cpu_times() for process in (supervisor, *supervisor.children(recursive=True))]
    return sum(one.user + one.system + one.children_user + one.children_system for one in times)


@dataclass(frozen=True)
class Compared:
    """Starts of the same services, in turns: from the cache as it is, and plain."""

    own: list[Start]
    plain: list[Start]

    def cells(self) -> tuple[str, ...]:
        """Return seconds and CPU seconds, each with those of the plain ones."""
        seconds = [median(start.seconds for start in starts) for starts in (self.own, self.plain)]
        cpu = [median(start.cpu_seconds for start in starts) for starts in (self.own, self.plain)]
        shown = [f"{seconds[0]:.1f} s", f"{seconds[1]:.1f} s", ratio(seconds[1], seconds[0])]
        return (*shown, f"{cpu[0]:.1f} s", f"{cpu[1]:.1f} s", ratio(cpu[1], cpu[0]))

    def memory_mb(self, name: str) -> int:
        return int(median(start.memory_mb[name] for start in self.own))


def _compare(services: Sequence[str], settings: Settings, plain: Settings, rounds: int) -> Compared:
    pairs = [(_start(services, settings), _start(services, plain)) for _ in range(rounds)]
    return Compared([own for own, _ in pairs], [other for _, other in pairs])


def run(rounds: int) -> Table:
    """Measure."""
    settings = load_settings()
    cache = cache_folder(settings.cache_folder)
    # Downloads, unpacks, and makes what is made once, where it is missing.
    _start(EVERYTHING, settings)
    table = new_table(
        "start",
        "from nothing to healthy, the supervisor's start and what a service needs included"
        f" (median of {rounds}, of all {N_OF_EVERYTHING * rounds});"
        "\nplain: without class-data archives and templates; CPU: of all processes until then, in seconds;"
        "\nmemory: resident then, each in the whole stack",
        "service",
        "start",
        "plain",
        "ratio",
        "CPU",
        "plain",
        "ratio",
        "memory",
    )
    with cache_without(cache, "class-data", "templates") as plain_cache:
        plain = load_settings({"cache_folder": plain_cache})
        whole = _compare(EVERYTHING, settings, plain, N_OF_EVERYTHING * rounds)
        for name in SERVICE_NAMES:
            one = _compare([name], settings, plain, rounds)
            table.add_row(_with_needed(name), *one.cells(), f"{whole.memory_mb(name)} MB")
    table.add_row("supervisor", *[""] * 6, f"{whole.memory_mb('supervisor')} MB")
    table.add_section()
    memory_mb = int(median(sum(start.memory_mb.values()) for start in whole.own))
    table.add_row("all of them", *whole.cells(), f"{memory_mb} MB")
    return table


def _with_needed(name: str) -> str:
    needed = [service.name for service in services_for([name]) if service.name != name]
    return f"{name} (with {', '.join(needed)})" if needed else name
