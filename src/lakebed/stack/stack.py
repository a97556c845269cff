"""All services of one stack: started in parallel along what they need, stopped in reverse."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

from lakebed.config.settings import Settings
from lakebed.errors import LakebedError, StackFailed
from lakebed.lifecycle import ServiceState
from lakebed.provision.cache import cache_folder
from lakebed.provision.class_data import ClassData, adopt, class_data_for
from lakebed.provision.java import java_executable
from lakebed.provision.provide import Provisions, provide
from lakebed.services import KNOWN_SERVICES, Place, Service, further_servers, service_named
from lakebed.services.endpoints import WORKERS
from lakebed.services.schema_registry import SCHEMA_REGISTRY
from lakebed.stack.attached import AttachedServices
from lakebed.stack.folders import Progress, StackFolder
from lakebed.stack.plan import services_for, to_end_first
from lakebed.stack.ports import PortsByService, choose_ports, hold
from lakebed.stack.process import end_process
from lakebed.stack.room import check_disk, check_memory
from lakebed.stack.running import STOP_PATIENCE_SECONDS, RunningService
from lakebed.stack.unprivileged import readable_software, unprivileged_owner

# C1 only: a test's servers are too short-lived for C2 to pay. Serial: the least memory and start-up time.
_JAVA_FLAGS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
)

OnChange = Callable[[RunningService], None]


class Stack:
    """The running services of one stack folder. Methods may be called from several threads."""

    def __init__(
        self,
        folder: StackFolder,
        settings: Settings,
        *,
        well_known_ports: bool,
        on_change: OnChange,
        on_healthy: Callable[[str], None],
        memory_of_clients: Callable[[], tuple[dict[str, int], dict[str, int]]],
        record_elsewhere: Callable[[list[tuple[str, str]]], None],
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.running: dict[str, RunningService] = {}
        self._cache = cache_folder(settings.cache_folder)
        self._well_known_ports = well_known_ports
        self._on_change = on_change
        self._on_healthy = on_healthy
        self._memory_of_clients = memory_of_clients
        self._record_elsewhere = record_elsewhere
        self.attached = AttachedServices(settings.attach, folder.path, self._cache, lambda: self.ports)
        self._ports: PortsByService = {}
        self._held_ports = ExitStack()
        self._class_data: dict[str, ClassData] = {}
        self._starts: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(max_workers=len(KNOWN_SERVICES), thread_name_prefix="start")
        self._lock = threading.Lock()
        self._stopped = False

    def missing(self, names: Iterable[str], chosen_ports: Mapping[str, int]) -> list[Service]:
        """Return what would have to be started for `names`, after checking that it can be.

        Args:
            names: of services.
            chosen_ports: by service, the port it must have.

        Raises:
            StackFailed: a service that runs would have to change its port.
            WrongAddress, CredentialsRefused, PermissionMissing: one that is attached cannot be used.
            UnknownService, PortTaken, NotEnoughMemory, NotEnoughDisk: before anything is started.
            NotInstalled: likewise.
        """
        names = list(names)
        self.attached.check(service.name for service in services_for(names, self.attached))
        with self._lock:
            missing = self._not_started(names)
            self._check(missing, chosen_ports)
            return missing

    def _not_started(self, names: Iterable[str]) -> list[Service]:
        return [
            service
            for service in services_for(names, self.attached)
            if service.name not in self.attached and not self._is_up(service.name)
        ]

    def _is_up(self, name: str) -> bool:
        start = self._starts.get(name)
        if start is None:
            return False
        return not start.done() or self.running[name].lifecycle.state is not ServiceState.STOPPED

    def _check(
        self,
        missing: Sequence[Service],
        chosen_ports: Mapping[str, int],
        held: ExitStack | None = None,
    ) -> PortsByService:
        for name, port in chosen_ports.items():
            if name in self._ports and self._ports[name][service_named(name).main_port] != port:
                raise StackFailed(
                    f"give {name} port {port}",
                    f"it runs on port {self._ports[name][service_named(name).main_port]}",
                    "`lakebed down` first; nothing was changed",
                )
        for service in missing:
            self._refuse_to_grow(service)
        taken = [port for ports in self._ports.values() for port in ports.values()]
        ports = choose_ports(
            [service for service in missing if service.name not in self._ports],
            well_known=self._well_known_ports,
            chosen=chosen_ports,
            taken=taken,
            held=held,
        )
        self.check_memory({service.name: service.memory_mb for service in missing})
        for service in missing:
            service.installed(self.settings)
        if missing:
            check_disk(self.folder.path, self.settings.free_disk_mb)
        return ports

    def _refuse_to_grow(self, service: Service) -> None:
        """Refuse what servers that are there would not know of: one more of a cluster, Connect's database."""
        if service.connect_jars is not None and service.name not in self._ports:
            workers = [name for name in WORKERS if name in self._ports]
            if workers:
                raise StackFailed(
                    f"start {service.name} beside {', '.join(workers)}",
                    "this stack's Kafka Connect has been started without its connector, and reads its class"
                    " path only when it starts",
                    f"`lakebed down`, then `lakebed up` with {service.name} among the services; or the"
                    " setting stack = own for tests; nothing was started",
                )
        others = [name for name in service.started_with if name in self._ports]
        if service.name not in self._ports and others:
            raise StackFailed(
                f"start {service.name} beside {', '.join(others)}",
                "this stack has been started without it, and a cluster keeps its size",
                "`lakebed down` for a new stack, or the setting stack = own for tests; several from the"
                " beginning come with the settings kafka_brokers and connect_workers; nothing was started",
            )

    def check_memory(self, asked: Mapping[str, int]) -> None:
        """Refuse what needs more memory than there is, what has been promised before being counted in.

        Args:
            asked: by what for, the MB.

        Raises:
            NotEnoughMemory: with a table.
        """
        promised, used = self._memory_of_clients()
        for name, start in self._starts.items():
            running = self.running[name]
            if not start.done():
                promised[name] = running.service.memory_mb
            elif running.lifecycle.state is not ServiceState.STOPPED:
                used[name] = running.service.memory_mb
        check_memory(asked, promised=promised, running=used, budget_mb=self.settings.memory_mb)

    def ensure(self, names: Iterable[str], chosen_ports: Mapping[str, int]) -> list[Future[None]]:
        """Start what is not up yet of `names` and what they need; `chosen_ports` as for `missing`.

        Returns:
            One future for each service asked for, needed ones and the others of a cluster that runs
            included; each raises what the start of its service raised.
        """
        names = list(names)
        asked = [
            service for service in services_for(names, self.attached) if service.name not in self.attached
        ]
        with self._lock:
            if self._stopped:
                raise StackFailed("start services", "the stack is being stopped", "start a new one")
            missing = self._not_started(names)
            with ExitStack() as held:
                self._ports.update(self._check(missing, chosen_ports, held))
                self._held_ports.enter_context(held.pop_all())
            self.folder.record_ports(self._ports)
            provisions = self._provide(missing)
            for service in missing:
                self._prepare_to_run(service, provisions)
            for service in missing:
                self._starts[service.name] = self._pool.submit(self._start, service)
            names = [service.name for service in asked]
            others = [other for name in names for other in further_servers(name) if self._is_up(other)]
            return [self._starts[name] for name in (*names, *others)]

    def _jars_of(self, service: Service) -> str | None:
        """Return the set that a service runs from in this stack: with some databases Connect has another."""
        if service.name in WORKERS:
            for one in KNOWN_SERVICES:
                if one.name in self._ports and one.connect_jars is not None:
                    return one.connect_jars
        return service.jar_set(self.settings)

    def _provide(self, services: Iterable[Service]) -> Provisions:
        sets = [jars for service in services if (jars := self._jars_of(service)) is not None]
        return provide(sets, cache=self._cache, mirror=self.settings.maven_mirror)

    def _prepare_to_run(self, service: Service, provisions: Provisions) -> None:
        if service.name not in self.running:
            place = self._place(service, provisions)
            self.running[service.name] = RunningService(
                service, place, self.folder, self.settings.check_interval_seconds, self._on_change
            )
        elif self.folder.progress(service.name) is Progress.NOTHING:
            self.running[service.name].place = self._place(service, provisions)
        # Else it ended before; it goes on with its data, its ports and its history.

    def take_over(self) -> list[LakebedError]:
        """Go on with the servers that a killed supervisor of this folder has left.

        One that was not complete yet is ended; it is started afresh by whoever asks for it.

        Returns:
            What could not be taken over.
        """
        self._ports = self.folder.recorded_ports()
        for port in (port for ports in self._ports.values() for port in ports.values()):
            with suppress(OSError):
                # Of one that runs it is held by itself.
                hold(port, self._held_ports)
        recorded = self.folder.recorded_processes()
        known = [service for service in KNOWN_SERVICES if service.name in self._ports]
        for service in known:
            if self.folder.progress(service.name) is not Progress.COMPLETE and service.name in recorded:
                end_process(recorded.pop(service.name), signal.SIGKILL, STOP_PATIENCE_SECONDS)
        complete = [service for service in known if self.folder.progress(service.name) is Progress.COMPLETE]
        provisions = self._provide(complete)
        for service in complete:
            self._prepare_to_run(service, provisions)
            identity = recorded.get(service.name)
            if identity is not None and identity.process() is not None:
                take_over = self.running[service.name].take_over
                self._starts[service.name] = self._pool.submit(take_over, identity)
        errors = [start.exception() for start in self._starts.values()]
        return [error for error in errors if isinstance(error, LakebedError)]

    def _place(self, service: Service, provisions: Provisions) -> Place:
        folder = self.folder.service_folder(service.name)
        if folder.exists() and self.folder.progress(service.name) is Progress.NOTHING:
            # What a start that failed has left would be in the way of the next one.
            shutil.rmtree(folder)
        owner = unprivileged_owner() if service.refuses_root else None
        # Another user must pass through it to its data.
        folder.mkdir(mode=0o700 if owner is None else 0o711, exist_ok=True)
        software = service.installed(self.settings)
        class_path: tuple[Path, ...] = ()
        jars = self._jars_of(service)
        if jars is not None and jars in provisions.folders:
            software = provisions.folder(jars)
            if owner is not None:
                software = readable_software(software, folder)
        elif jars is not None:
            class_path = tuple(provisions.class_path(jars))
        class_path += service.package_jars()
        java: tuple[str, ...] = ()
        if service.heap_mb is not None:
            java = self._java(service, folder, class_path or _entry_jars(software))
        return Place(
            folder=folder,
            cache=self._cache,
            ports=self._ports[service.name],
            stack_ports=self._ports,
            software=software,
            class_path=class_path,
            java=java,
            owner=owner,
            credentials=self.settings.registry_credentials if service.name == SCHEMA_REGISTRY.name else None,
            attached=self.settings.attach,
        )

    def _java(self, service: Service, folder: Path, class_path: Sequence[Path]) -> tuple[str, ...]:
        data = class_data_for(service.same_program_as or service.name, list(class_path), self._cache, folder)
        self._class_data[service.name] = data
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        flags = (f"-Xmx{service.heap_mb}m", *_JAVA_FLAGS, f"-Djava.io.tmpdir={temporary}", *data.flags)
        return (str(java_executable()), *flags)

    def _start(self, service: Service) -> None:
        for needed in service.waits_for:
            if needed not in self.attached:
                self._starts[needed].result()
        if elsewhere := self._things_elsewhere(service):
            self._record_elsewhere(elsewhere)
        self.running[service.name].start()
        self._on_healthy(service.name)

    def _things_elsewhere(self, service: Service) -> list[tuple[str, str]]:
        if not any(needed in self.attached for needed in service.needs):
            return []
        return service.things_elsewhere(self.running[service.name].place)

    def kill(self, name: str) -> None:
        """Kill a server with SIGKILL and return when it is STOPPED. One that does not run is no error.

        Raises:
            UnknownService: there is no such service.
            IsAttached: somebody else runs it.
        """
        self.attached.refuse("kill", service_named(name).name)
        running = self.running.get(service_named(name).name)
        if running is not None:
            running.kill()

    def stop(self, reason: str) -> list[LakebedError]:
        """Stop every service, those that need others first; goes on after a failure.

        Returns:
            What could not be stopped.
        """
        with self._lock:
            self._stopped = True
            left = dict(self.running)
        failures: list[LakebedError] = []
        while left:
            first = to_end_first([running.service for running in left.values()])
            with ThreadPoolExecutor(max_workers=len(first)) as pool:
                ends = {name: pool.submit(left[name].stop, reason) for name in first}
            for name, end in ends.items():
                error = end.exception()
                if error is not None:
                    failures.append(StackFailed(f"stop {name}", f"{type(error).__name__}: {error}"))
                del left[name]
        self._pool.shutdown(wait=True)
        self._held_ports.close()
        for name, data in self._class_data.items():
            # A server that did not get as far as being healthy has loaded only a part of its classes.
            if self.running[name].seconds_to_start is not None:
                adopt(data)
        return failures

    def places(self) -> dict[str, Place]:
        """Return, by name, the places of the services that are up, and of those that are attached."""
        up = (ServiceState.HEALTHY, ServiceState.RUNNING)
        own = {name: running.place for name, running in self.running.items() if running.lifecycle.state in up}
        return {**own, **self.attached.places()}

    @property
    def ports(self) -> PortsByService:
        """By service and port name, the number."""
        return {name: dict(ports) for name, ports in self._ports.items()}


def _entry_jars(software: Path | None) -> list[Path]:
    return sorted(software.glob("*.jar")) if software is not None else []
