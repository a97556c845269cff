"""What this machine must allow for hosts to be apart on it, and the way into a world of their own.

A world is one process with network and process namespaces of its own, and all that it starts. When that
process dies, however it dies, the kernel kills all others in it and removes their networks with them (Linux
manual, pid_namespaces(7) and network_namespaces(7)).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

# It dies with the process that starts it, as that one may be killed.
_WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "KILL")
_WORLD = (*_WITH_ITS_PARENT, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
# Not root: a user namespace gives the rights over the world, and nothing outside it. The user stays who it
# is, because PostgreSQL refuses to run as root (Linux manual, unshare(1) and user_namespaces(7)).
_OF_USER = ("--user", "--map-current-user", "--keep-caps")
_PROGRAMS = ("setpriv", "unshare", "nsenter", "ip", "tc")
_NEEDED = (
    ("process and network namespaces", ("true",)),
    ("a network namespace for each host", ("unshare", "--net", "true")),
    ("links between them (VETH)", ("ip", "link", "add", "one", "type", "veth", "peer", "name", "other")),
    ("cuts (IP_MULTIPLE_TABLES)", ("ip", "rule", "add", "from", "10.77.1.2", "blackhole")),
    (
        "slow links (NET_SCH_TBF)",
        ("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "16kb", "latency", "1s"),
    ),
    ("delays (TUN, and /dev/net/tun for this user)", ("ip", "tuntap", "add", "tun0", "mode", "tun")),
)


def entering(command: Sequence[str], *namespaces: str) -> list[str]:
    """Return the command that runs another one as the first process of a new world.

    Args:
        command: the other one.
        namespaces: options of `unshare` beside those for processes and mounts; none for a network of its own.
    """
    return [*_WORLD, *(namespaces or ("--net",)), *(() if os.geteuid() == 0 else _OF_USER), "--", *command]


@cache
def lacks() -> tuple[str, ...]:
    """Return what this machine lacks, a line for each thing; nothing where hosts can be apart."""
    missing = tuple(f"the program {name} is not on PATH" for name in _PROGRAMS if shutil.which(name) is None)
    if missing:
        return missing
    lines = []
    for what, command in _NEEDED:
        tried = subprocess.run(entering(command), capture_output=True, text=True)
        if tried.returncode != 0:
            lines.append(f"{what}: {tried.stderr.strip() or f'exit code {tried.returncode}'}")
            if command == ("true",):
                break
    return tuple(lines)
