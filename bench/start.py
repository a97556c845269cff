"""How long each service and the whole stack take to start, with class-data archives and without; memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from rich.table import Table

from bench.report import new_table, ratio
from bench.stacks import cache_without_class_data, running
from lakebed.config.settings import Settings, load_settings
from lakebed.provision.cache import cache_folder
from lakebed.services import SERVICE_NAMES
from lakebed.stack.plan import services_for

EVERYTHING: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """One start: seconds until all was healthy, resident memory in MB then (the supervisor's included)."""

    seconds: float
    memory_mb: dict[str, int]


def _start(services: Sequence[str], settings: Settings) -> Start:
    started = time.monotonic()
    with running(services, settings) as connection:
        seconds = time.monotonic() - started
        status = connection.status()
        memory_mb = {entry["service"]: int(entry["memory_mb"]) for entry in status["services"]}
        memory_mb["supervisor"] = psutil.Process(status["pid"]).memory_info().rss // 2**20
    return Start(seconds, memory_mb)


def _seconds(services: Sequence[str], settings: Settings, rounds: int) -> float:
    return median(_start(services, settings).seconds for _ in range(rounds))


def _without_archives(cache: Path) -> Settings:
    return load_settings({"cache_folder": cache})


def run(rounds: int) -> Table:
    """Measure."""
    settings = load_settings()
    cache = cache_folder(settings.cache_folder)
    # Downloads, unpacks, and writes the archives where they are missing.
    _start(EVERYTHING, settings)
    memory = _start(EVERYTHING, settings).memory_mb
    table = new_table(
        "start",
        "seconds from nothing to healthy, the supervisor's start and what a service needs included"
        f" (median of {rounds}); resident memory in the whole stack;\nplain: without class-data archives",
        "service",
        "started with it",
        "with archives",
        "plain",
        "plain/with",
        "memory",
    )
    with cache_without_class_data(cache) as plain_cache:
        plain_settings = _without_archives(plain_cache)
        for name in SERVICE_NAMES:
            needed = [service.name for service in services_for([name]) if service.name != name]
            with_archives = _seconds([name], settings, rounds)
            plain = _seconds([name], plain_settings, rounds)
            _add(table, name, ", ".join(needed) or "-", with_archives, plain, memory[name])
        table.add_section()
        with_archives = _seconds(EVERYTHING, settings, rounds)
        plain = _seconds(EVERYTHING, plain_settings, rounds)
        table.add_row("supervisor", "", "", "", "", f"{memory['supervisor']} MB")
        _add(table, "all of them", "-", with_archives, plain, sum(memory.values()))
    return table


def _add(table: Table, name: str, needed: str, with_archives: float, plain: float, memory_mb: int) -> None:
    table.add_row(
        name,
        needed,
        f"{with_archives:.1f} s",
        f"{plain:.1f} s",
        ratio(plain, with_archives),
        f"{memory_mb} MB",
    )
