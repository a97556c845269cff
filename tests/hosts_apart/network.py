"""Hosts on a network: each in a network namespace of its own, and a router between them that can be cut.

    database 10.77.1.2 --- 10.77.1.1 router 10.77.5.1 --- 10.77.5.2 tests

The router is the namespace of the world's first process. There a cut is a rule that drops the packets from
one address to another without a word, as a firewall or a dead switch does: no end of the connection is told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIDS = "HOSTS_APART_PIDS"
_ROUTER = ("nsenter", "--net=/proc/1/ns/net")
# In this order the router looks: first what is cut, then what is late (Linux manual, ip-rule(8)).
_CUT, _LATE = 100, 200
_TABLE = 77


@dataclass(frozen=True)
class Host:
    """One host: its name, and the number of its network."""

    name: str
    number: int

    @property
    def address(self) -> str:
        """Its address."""
        return f"10.77.{self.number}.2"

    @property
    def gateway(self) -> str:
        """The router's address on its link."""
        return f"10.77.{self.number}.1"

    @property
    def link(self) -> str:
        """The router's end of its link."""
        return f"to-{self.name}"


NAMES = ("database", "broker", "connect", "lake", "tests")
HOSTS = {name: Host(name, number) for number, name in enumerate(NAMES, start=1)}


def run(*command: str) -> str:
    """Run a command and return what it prints; one that fails raises with what it says."""
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{finished.stdout}{finished.stderr}")
    return finished.stdout


def inside(pid: int) -> tuple[str, ...]:
    """Return what goes before a command that is to run in the network of a process."""
    return ("nsenter", f"--net=/proc/{pid}/ns/net")


def on(host: str) -> tuple[str, ...]:
    """Return what goes before a command that is to run on a host, for the tests in the world."""
    return inside(json.loads(os.environ[PIDS])[host])


def make_router() -> None:
    """Make this process's network the router."""
    run("ip", "link", "set", "lo", "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def join(host: Host, pid: int) -> None:
    """Connect the network of a process to the router, as that of a host."""
    run("ip", "link", "add", host.link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    run("ip", "address", "add", f"{host.gateway}/24", "dev", host.link)
    run("ip", "link", "set", host.link, "up")
    there = inside(pid)
    run(*there, "ip", "link", "set", "lo", "up")
    run(*there, "ip", "address", "add", f"{host.address}/24", "dev", "eth0")
    run(*there, "ip", "link", "set", "eth0", "up")
    run(*there, "ip", "route", "add", "default", "via", host.gateway)


def _router(*command: str) -> str:
    return run(*_ROUTER, *command)


def _ways(one: str, other: str) -> list[tuple[Host, Host]]:
    return [(HOSTS[one], HOSTS[other]), (HOSTS[other], HOSTS[one])]


@contextmanager
def cut(one: str, other: str) -> Iterator[None]:
    """Drop all packets between two hosts, silently, until the end of the block."""
    rules = [
        ("priority", str(_CUT), "from", first.address, "to", second.address, "blackhole")
        for first, second in _ways(one, other)
    ]
    for rule in rules:
        _router("ip", "rule", "add", *rule)
    try:
        yield
    finally:
        for rule in rules:
            _router("ip", "rule", "del", *rule)


@contextmanager
def slow(host: str, kilobits_per_second: int) -> Iterator[None]:
    """Let no more than this through to a host, and from it, until the end of the block.

    What does not fit into a second of waiting is dropped, as a full line does (Linux manual, tc-tbf(8)).
    """
    bucket = ("root", "tbf", "rate", f"{kilobits_per_second}kbit", "burst", "16kb", "latency", "1s")
    ends: list[tuple[Sequence[str], str]] = [(_ROUTER, HOSTS[host].link), (on(host), "eth0")]
    for where, device in ends:
        run(*where, "tc", "qdisc", "add", "dev", device, *bucket)
    try:
        yield
    finally:
        for where, device in ends:
            run(*where, "tc", "qdisc", "del", "dev", device, "root")


@contextmanager
def late(one: str, other: str, seconds: float) -> Iterator[None]:
    """Let packets between two hosts come later by this, each way, until the end of the block.

    The router hands them to `late_packets.py` and gets them back when it is time: many kernels have no
    qdisc that delays (netem).
    """
    device = f"late-{HOSTS[one].number}-{HOSTS[other].number}"
    command = [*_ROUTER, sys.executable, "-m", "tests.hosts_apart.late_packets", device, str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    rules = [
        ("priority", str(_LATE), "iif", first.link, "from", first.address, "to", second.address)
        for first, second in _ways(one, other)
    ]
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"up\n":
            raise RuntimeError(f"no delay: late_packets.py has ended with exit code {process.wait()}")
        _router("ip", "route", "add", "default", "dev", device, "table", str(_TABLE))
        for rule in rules:
            _router("ip", "rule", "add", *rule, "lookup", str(_TABLE))
        try:
            yield
        finally:
            for rule in rules:
                _router("ip", "rule", "del", *rule, "lookup", str(_TABLE))
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
