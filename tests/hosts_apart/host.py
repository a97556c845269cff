"""One host: holds its network, and runs its servers: `host.py NAME FOLDER [--bare]`.

It says `here` when it has its network, and waits for a line on its standard input: then there is a link. It
says `ready` when its servers are healthy, and lasts until its standard input ends.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.hosts_apart.servers import ATTACHED, ports_of, servers_of
from tests.software import software_of

from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.provision.java import java_executable
from lakebed.services import Place, Service
from lakebed.stack.folders import StackFolder
from lakebed.stack.running import RunningService
from lakebed.stack.unprivileged import unprivileged_owner

_JAVA = (
    *("-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true"),
    # Its file is named by the process id, which is not the only one of its kind here.
    "-XX:-UsePerfData",
)


def _start(service: Service, folder: StackFolder) -> None:
    cache = cache_folder(load_settings().cache_folder)
    own = folder.service_folder(service.name)
    own.mkdir(mode=0o711)
    temporary = own / "tmp"
    temporary.mkdir()
    owner = unprivileged_owner() if service.refuses_root else None
    ports = ports_of(service)
    place = Place(
        folder=own,
        cache=cache,
        ports=ports,
        stack_ports={service.name: ports},
        owner=owner,
        java=(str(java_executable()), *_JAVA, f"-Djava.io.tmpdir={temporary}"),
        attached=ATTACHED,
        **software_of(service, cache, own, owner),
    )
    RunningService(service, place, folder, 20.0, lambda running: None).start()


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Be the host."""
    name, path, *options = sys.argv[1:]
    _say("here")
    sys.stdin.readline()
    servers = [] if "--bare" in options else servers_of(name)
    if servers:
        folder = StackFolder(Path(path) / name)
        folder.make()
        with ThreadPoolExecutor(max_workers=len(servers)) as pool:
            for start in [pool.submit(_start, service, folder) for service in servers]:
                start.result()
    _say("ready")
    sys.stdin.read()


if __name__ == "__main__":
    main()
