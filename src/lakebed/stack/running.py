"""One service of a stack, from its start to its end."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lakebed.errors import DeadlinePassed, ServiceFailed
from lakebed.lifecycle import ServiceLifecycle, ServiceState
from lakebed.services import Place, Service
from lakebed.stack.folders import Progress, StackFolder
from lakebed.stack.ports import holder_of, is_free
from lakebed.stack.process import (
    ProcessIdentity,
    end_process,
    kill_process,
    last_lines,
    resident_mb,
    start_process,
)
from lakebed.waiting import wait_until

STOP_PATIENCE_SECONDS = 15.0

OnChange = Callable[["RunningService"], None]


class _Exited(Exception):
    """The process ended while it was being asked for its health."""


class RunningService:
    """A service with its process and its life cycle; every change of state goes through the latter."""

    def __init__(
        self,
        service: Service,
        place: Place,
        folder: StackFolder,
        check_interval_seconds: float,
        on_change: OnChange,
    ) -> None:
        self.service = service
        self.place = place
        self.lifecycle = ServiceLifecycle(service.name)
        self.seconds_to_start: float | None = None
        self._folder = folder
        self._check_interval_seconds = check_interval_seconds
        self._on_change = on_change
        # None where the process was started by a supervisor that was killed: it is not a child of this one.
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: ProcessIdentity | None = None
        # Start, stop and the watcher of the process's end change the state from different threads.
        self._lock = threading.RLock()

    @property
    def log(self) -> Path:
        """The file with all the process has written."""
        return self._folder.log(self.service.name)

    @property
    def pid(self) -> int | None:
        """The id of its process, which may have ended; None before there was one."""
        return None if self._identity is None else self._identity.pid

    def start(self) -> None:
        """Start the process and return when it is healthy.

        Raises:
            ServiceFailed: it exited, stayed unhealthy for five checks, or was stopped meanwhile; with its
                last log lines.
        """
        started = time.monotonic()
        self._change(self.lifecycle.start)
        try:
            self._prepare()
            self.service.configure(self.place)
            self._launch()
            self._wait_for_health()
            self.service.complete(self.place)
            self._folder.record_progress(self.service.name, Progress.COMPLETE)
        except BaseException as error:
            self._give_up(str(error).splitlines()[0] if str(error) else type(error).__name__)
            raise
        self.seconds_to_start = time.monotonic() - started
        self._change(self.lifecycle.check_passed)

    def _prepare(self) -> None:
        if self._folder.progress(self.service.name) < Progress.PREPARED:
            self.service.prepare(self.place)
            self._folder.record_progress(self.service.name, Progress.PREPARED)

    def take_over(self, identity: ProcessIdentity) -> None:
        """Go on with a process that a killed supervisor has started, and return when it is healthy.

        Raises:
            ServiceFailed: as for `start`; the process has been ended then.
        """
        self._identity = identity
        self._change(lambda: self.lifecycle.start("taken over from a supervisor that was killed"))
        try:
            self._wait_for_health()
        except BaseException as error:
            self._give_up(str(error).splitlines()[0] if str(error) else type(error).__name__)
            raise
        threading.Thread(target=self._watch, args=(None, identity), daemon=True).start()
        self._change(self.lifecycle.check_passed)

    def _launch(self) -> None:
        with self._lock:
            if self.lifecycle.state is not ServiceState.STARTING:
                raise ServiceFailed(f"start {self.service.name}", "it was stopped before its process started")
            process = start_process(
                self.service.command(self.place),
                environment=self.service.environment(self.place),
                log=self.log,
                folder=self.place.folder,
                owner=self.place.owner,
            )
            self._process = process
            self._identity = identity = ProcessIdentity.of(process.pid)
            self._folder.record_process(self.service.name, identity)
            self._folder.record_outside_files(self.service.name, self.service.outside_files(self.place))
        threading.Thread(target=self._watch, args=(process, identity), daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes] | None, identity: ProcessIdentity) -> None:
        """Wait for the process to end, however it does, and put it on record."""
        exit_code = process.wait() if process is not None else identity.wait()
        with self._lock:
            self._folder.forget_process(self.service.name)
            if self.lifecycle.state is not ServiceState.STOPPED:
                self._change(lambda: self.lifecycle.terminated(exit_code))

    def _wait_for_health(self) -> None:
        while True:
            try:
                wait_until(
                    self._is_healthy,
                    f"{self.service.name} to be healthy",
                    deadline_seconds=self._check_interval_seconds,
                    longest_pause_seconds=0.05,
                )
                return
            except DeadlinePassed as error:
                seen = self._last_refusal or error.seen
                if not self._note_failed_check(seen):
                    # Its process has ended while it was asked, as the next question will tell.
                    continue
                if self.lifecycle.state is ServiceState.STOPPED:
                    raise ServiceFailed(
                        f"start {self.service.name}",
                        f"{self.lifecycle.failed_checks} health checks of {self._check_interval_seconds:g} s"
                        f" failed, the last with: {seen}\nthe end of its log:\n{last_lines(self.log)}",
                        "raise the setting check_interval_seconds if the machine is slow",
                    ) from error
            except _Exited as error:
                taken = [(port, holder_of(port)) for port in self.place.ports.values() if not is_free(port)]
                held = "".join(f"\nport {port} is held by {holder.seen}" for port, holder in taken)
                ways_out = dict.fromkeys(holder.remedy for _, holder in taken)
                raise ServiceFailed(
                    f"start {self.service.name}",
                    f"its process ended: {error}{held}\nthe end of its log:\n{last_lines(self.log)}",
                    ", or ".join(ways_out)
                    or "the log above names the cause; `lakebed doctor` checks the usual ones",
                ) from None

    def _note_failed_check(self, seen: str) -> bool:
        """Change the state accordingly; return whether it was still STARTING."""
        with self._lock:
            is_starting = self.lifecycle.state is ServiceState.STARTING
            if is_starting:
                self._change(lambda: self.lifecycle.check_failed(seen))
            return is_starting

    _last_refusal = ""

    def _is_healthy(self) -> bool:
        if self._process is not None:
            if self._process.poll() is not None:
                raise _Exited(f"exit code {self._process.returncode}")
        elif self._identity is None or self._identity.process() is None:
            raise _Exited("exit code unknown")
        try:
            self.service.check(self.place)
        except ServiceFailed:
            # It will never be healthy, and the check knows why.
            raise
        except Exception as error:  # every kind of refusal means "not yet"; the last one is reported
            self._last_refusal = f"{type(error).__name__}: {error}"
            return False
        return True

    def _give_up(self, reason: str) -> None:
        self._end()
        with self._lock:
            if self.lifecycle.state is ServiceState.STARTING:
                self._change(lambda: self.lifecycle.terminated(reason=reason))

    def client_connected(self, client: str) -> None:
        """Note that a client has connected; the first one makes the service RUNNING."""
        with self._lock:
            if self.lifecycle.state in (ServiceState.HEALTHY, ServiceState.RUNNING):
                self._change(lambda: self.lifecycle.client_connected(client))

    def stop(self, reason: str) -> None:
        """End the process; returns when it has ended. A service that has stopped is no error."""
        with self._lock:
            if self.lifecycle.state in (ServiceState.STARTING, ServiceState.HEALTHY, ServiceState.RUNNING):
                self._change(lambda: self.lifecycle.stop(reason))
        self._end()
        with self._lock:
            if self.lifecycle.state is ServiceState.STOPPING:
                self._change(lambda: self.lifecycle.terminated(reason=reason))

    def kill(self) -> None:
        """Kill the process and its children, as a crash would, and return when that is on record."""
        if self._identity is None:
            return
        kill_process(self._identity, STOP_PATIENCE_SECONDS)
        wait_until(
            lambda: self.lifecycle.state is ServiceState.STOPPED,
            f"the end of {self.service.name} to be noticed",
            deadline_seconds=STOP_PATIENCE_SECONDS,
            longest_pause_seconds=0.01,
        )

    def _end(self) -> None:
        if self._identity is not None:
            abruptly = self.service.ends_abruptly(self.place)
            end_process(
                self._identity,
                signal.SIGKILL if abruptly else self.service.stop_signal,
                STOP_PATIENCE_SECONDS,
            )
            if self._process is not None:
                self._process.wait(STOP_PATIENCE_SECONDS)
            self._folder.forget_process(self.service.name)
            # Here too: who deletes the stack's folder deletes the record of them.
            for file in self.service.outside_files(self.place):
                file.unlink(missing_ok=True)

    def _change(self, happen: Callable[[], object]) -> None:
        with self._lock:
            before = len(self.lifecycle.history)
            happen()
            if len(self.lifecycle.history) != before:
                self._on_change(self)

    def describe(self) -> dict[str, object]:
        """Return what `lakebed status` shows: state, ports, pid, memory in MB, and the history."""
        return {
            "service": self.service.name,
            "title": self.service.title,
            "port": self.place.ports[self.service.main_port],
            "pid": self._identity.pid if self._identity else None,
            "paused": self._identity is not None and self._identity.is_paused(),
            "memory_mb": resident_mb(self._identity) if self._identity else 0,
            "seconds_to_start": self.seconds_to_start,
            "log": str(self.log),
            **self.lifecycle.to_json(),
        }
