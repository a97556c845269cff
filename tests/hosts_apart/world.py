"""The first process of a world: makes the network and its hosts, and runs a command on the host `tests`.

`world.py FOLDER [--bare] -- COMMAND...`: the hosts keep their data in FOLDER; bare ones have no servers. It
ends with the command's exit code, and with it the kernel ends the world.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.hosts_apart.machine import entering
from tests.hosts_apart.network import HOSTS, PIDS, ROOT, Host, inside, join, make_router
from tests.hosts_apart.servers import attach


def command_in_world(folder: Path, command: Sequence[str], *, bare: bool = False) -> list[str]:
    """Return the command that makes a world and runs another command in it; to be run in `ROOT`."""
    options = ["--bare"] if bare else []
    program = [sys.executable, "-m", "tests.hosts_apart.world", str(folder), *options]
    return entering([*program, "--", *command])


def _new_host(host: Host, folder: str, options: Sequence[str]) -> subprocess.Popen[str]:
    command = ["unshare", "--net", sys.executable, "-m", "tests.hosts_apart.host", host.name, folder]
    process = subprocess.Popen(
        [*command, *options], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process


def _expect(host: str, process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    said = process.stdout.readline()
    if said != f"{word}\n":
        raise SystemExit(f"host {host} did not say {word!r} but {said!r}; its error is above")


def main() -> None:
    """Be the world."""
    split = sys.argv.index("--")
    folder, *options = sys.argv[1:split]
    command = sys.argv[split + 1 :]
    make_router()
    processes = {name: _new_host(host, folder, options) for name, host in HOSTS.items()}
    for name, process in processes.items():
        _expect(name, process, "here")
        join(HOSTS[name], process.pid)
        assert process.stdin is not None
        process.stdin.write("joined\n")
        process.stdin.flush()
    for name, process in processes.items():
        _expect(name, process, "ready")
    pids = {name: process.pid for name, process in processes.items()}
    environment = {**os.environ, PIDS: json.dumps(pids), "LAKEBED_ATTACH": json.dumps(attach())}
    sys.exit(subprocess.run([*inside(pids["tests"]), *command], env=environment).returncode)


if __name__ == "__main__":
    main()
