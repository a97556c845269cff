"""What a service is: data that every runtime reads."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lakebed.config.attach import NOTHING, Attach
from lakebed.services.endpoints import LOOPBACK, Endpoints

if TYPE_CHECKING:
    from lakebed.config.settings import Settings
    from lakebed.services.container import Container


@dataclass(frozen=True)
class Place:
    """Where one instance of a service runs, given to the functions of its definition.

    Attributes:
        folder: a folder of its own for data and configuration; exists, and is deleted with the stack.
        cache: the cache folder, for data-directory templates that are made once.
        ports: its own ports by name (the names of `Service.ports`).
        stack_ports: the ports of every service of the stack, by service and port name.
        software: the service's unpacked archive (PostgreSQL, schema registry), if it has one.
        class_path: the service's jars, if it has any.
        java: the Java command up to and without the class path (heap, class-data archive), as a list.
        owner: (user id, group id) the server must run as, or None for the user of this process.
        credentials: user and password that it asks of its clients, where a setting says so.
        attached: those services of the stack that somebody else runs.
    """

    folder: Path
    cache: Path
    ports: Mapping[str, int]
    stack_ports: Mapping[str, Mapping[str, int]]
    software: Path | None = None
    class_path: tuple[Path, ...] = ()
    java: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    attached: Attach = NOTHING

    @property
    def endpoints(self) -> Endpoints:
        """Where this service and the others of the same stack answer."""
        return Endpoints(self.stack_ports, self.credentials, self.attached)

    @property
    def is_attached(self) -> bool:
        """Whether somebody else runs this service: then it has none of lakebed's ports."""
        return not self.ports

    def joined_class_path(self) -> str:
        """Return the jars as Java's `-cp` wants them."""
        return ":".join(str(jar) for jar in self.class_path)


def nothing(place: Place) -> None:
    """Do nothing: the `prepare`, `configure` or `complete` of a service that needs none."""


def never(place: Place) -> bool:
    """Return no: the `ends_abruptly` of a service that ends by itself when it is asked to."""
    return False


def no_files(place: Place) -> list[Path]:
    """Return no files: the `outside_files` of a service that makes none."""
    return []


def no_things(place: Place) -> list[tuple[str, str]]:
    """Return no things: the `things_elsewhere` of a service that makes none."""
    return []


def no_jars() -> tuple[Path, ...]:
    """Return no jars: the `package_jars` of a service that has none."""
    return ()


def not_installed(settings: Settings) -> Path | None:
    """Return no folder: the `installed` of a service that never runs from what the machine has."""
    return None


def no_environment(place: Place) -> dict[str, str]:
    """Return no variables: the `environment` of a service that needs none."""
    return {}


@dataclass(frozen=True)
class ResourceKind:
    """One kind of thing that tests make in a service: how it is found and removed.

    Attributes:
        name: "topic"; unique over all services.
        remove: removes the one of that name and returns when it is gone; one that is not there is no
            error; raises what stands in the way.
        present: by name, the state of each there is ("" where only being there counts); None for a kind
            that is only ever removed by a recorded name (the topics of a prefix).
        restore: gives the one of that name the state it had before; None where there is no state.
        exists: whether the one of that name is there, or anything with that prefix: asked before one is
            made on a server of somebody else's, where what was there before is never removed.
    """

    name: str
    remove: Callable[[Place, str], None]
    present: Callable[[Place], Mapping[str, str]] | None = None
    restore: Callable[[Place, str, str], None] | None = None
    exists: Callable[[Place, str], bool] | None = None


@dataclass(frozen=True)
class Service:
    """One server: what it is, needs, listens on, costs, and how it is healthy.

    Attributes:
        name: as typed in `lakebed up NAME`.
        title: what it is, in a few words.
        needs: services without which it is of no use; they are started with it.
        waits_for: those of `needs` that must be healthy before its process is started. The others it
            finds by itself as soon as they answer, so that both can start at the same time.
        ports: by name, the port it has under `lakebed up`, or None for any free one. The first is the
            one its clients use.
        memory_mb: resident memory to reckon with, in MB (measured, see docs/services.md).
        jars: the set of locked files it runs from, or None.
        jars_for: where a setting chooses the set: returns the one to take instead of `jars`, or None.
        installed: returns the folder of a server that is installed on the machine, where the settings ask for
            that one; raises where there is none that can be used.
        connect_jars: the set of locked files that Kafka Connect runs from in a stack with this service, where
            that is another than its own: one with a connector for it.
        package_jars: jars of a Python package that it runs from as well; raises where that is not installed.
        heap_mb: the Java heap, in MB, or None where it is no Java program.
        command: the process, as an argument list; never a shell string.
        environment: variables added to the process's environment.
        prepare: done once, before the first start of the process (configuration files, data directory).
        configure: done before every start of the process, also that of one which was killed.
        check: the health question; returns when the answer is good, raises when it is not: `ServiceFailed`
            when it never will be.
        complete: done after the first good answer of every start, also that of a server which comes back
            with its data (databases, buckets).
        outside_files: files it makes outside its folder, removed with the stack.
        stop_signal: what asks it to end.
        ends_abruptly: whether it is ended with SIGKILL instead, because an orderly end would wait for servers
            that end at the same time.
        refuses_root: whether it must run as another user when lakebed runs as root.
        resources: what tests make in it, in the order in which it is to be removed.
        resources_use: services whose things are in use by those in it, which are removed before them.
        container: what it is in a Compose file, or None where it cannot be in one.
        started_with: the other servers of its cluster: whoever asks for it gets them too, and they end at
            the same time.
        same_program_as: the service whose program it runs too, on the same class path: both use one
            class-data archive.
        things_elsewhere: what it makes itself in services that it needs, each a kind and a name; removed
            after its end where somebody else runs those.
    """

    name: str
    title: str
    ports: Mapping[str, int | None]
    memory_mb: int
    command: Callable[[Place], list[str]]
    check: Callable[[Place], None]
    needs: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    jars: str | None = None
    jars_for: Callable[[Settings], str | None] | None = None
    installed: Callable[[Settings], Path | None] = not_installed
    connect_jars: str | None = None
    package_jars: Callable[[], tuple[Path, ...]] = no_jars
    heap_mb: int | None = None
    environment: Callable[[Place], dict[str, str]] = no_environment
    prepare: Callable[[Place], None] = nothing
    configure: Callable[[Place], None] = nothing
    complete: Callable[[Place], None] = nothing
    outside_files: Callable[[Place], list[Path]] = no_files
    stop_signal: signal.Signals = signal.SIGTERM
    ends_abruptly: Callable[[Place], bool] = never
    refuses_root: bool = False
    resources: tuple[ResourceKind, ...] = ()
    resources_use: tuple[str, ...] = ()
    other_names: tuple[str, ...] = field(default=())
    container: Container | None = None
    started_with: tuple[str, ...] = ()
    same_program_as: str | None = None
    things_elsewhere: Callable[[Place], list[tuple[str, str]]] = no_things

    def jar_set(self, settings: Settings) -> str | None:
        """Return the set of locked files it runs from with these settings, or None."""
        return self.jars if self.jars_for is None else self.jars_for(settings)

    @property
    def main_port(self) -> str:
        """Name of the port that clients use."""
        return next(iter(self.ports))


__all__ = [
    "LOOPBACK",
    "Place",
    "ResourceKind",
    "Service",
    "never",
    "no_environment",
    "no_files",
    "no_jars",
    "no_things",
    "not_installed",
    "nothing",
]
