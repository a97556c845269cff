"""Starting services with Compose: from nothing to healthy, or back to what was."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from lakebed.compose.containers import SeenContainer, observe
from lakebed.compose.failures import failure_of_container, failure_of_up
from lakebed.compose.project import Project
from lakebed.errors import DeadlinePassed, LakebedError, StackFailed
from lakebed.lifecycle import ServiceLifecycle, ServiceState
from lakebed.waiting import wait_until

OnEvent = Callable[[dict[str, Any]], None]
OnPull = Callable[[str], None]

_PAUSE_SECONDS = 0.5
# Counted from when every container is started: before, images are downloaded, which takes what it takes.
_PATIENCE_SECONDS = 300.0
_END_PATIENCE_SECONDS = 20.0


@dataclass
class _Starting:
    """Services on their way, with the life cycle of each."""

    project: Project
    process: subprocess.Popen[str]
    lives: dict[str, ServiceLifecycle]
    on_event: OnEvent
    # Containers that had ended before: until Compose has started them again they say nothing new.
    ended_before: frozenset[str]
    told: dict[str, int] = field(default_factory=dict)

    def look(self) -> bool:
        """Look at every container once; return whether all services are healthy.

        Raises:
            ServiceFailed: a container exited or is unhealthy.
        """
        is_up = self.process.poll() is not None
        for container in self.project.containers():
            life = self.lives.get(container.service)
            is_old = container.has_ended and container.identity in self.ended_before and not is_up
            if life is None or is_old:
                continue
            failed, output = self._failed_checks(container)
            observe(life, container, failed, output)
            self.tell(life)
            if life.state is ServiceState.STOPPED:
                raise failure_of_container(self.project, container, life)
        return all(life.state is ServiceState.HEALTHY for life in self.lives.values())

    def look_for(self, seconds: float) -> bool:
        """Look again and again until Compose has ended; return whether it has, or the time was over first.

        It ends when every container is started, and a container is started when those it needs are healthy.
        """

        def has_ended() -> bool:
            self.look()
            return self.process.poll() is not None

        with suppress(DeadlinePassed):
            wait_until(has_ended, "Compose", deadline_seconds=seconds, longest_pause_seconds=_PAUSE_SECONDS)
        return self.process.poll() is not None

    def _failed_checks(self, container: SeenContainer) -> tuple[int, str]:
        if container.state != "running" or container.is_healthy:
            return 0, ""
        return self.project.failed_checks(container)

    def tell(self, life: ServiceLifecycle) -> None:
        """Hand on the transitions that nobody has been told yet."""
        for move in life.history[self.told.get(life.name, 0) :]:
            self.on_event({"service": life.name, "state": move.to_state.value, "reason": move.reason})
        self.told[life.name] = len(life.history)


def start_services(
    project: Project, text: str, services: list[str], *, on_event: OnEvent, on_pull: OnPull
) -> dict[str, ServiceLifecycle]:
    """Start services and return their life cycles when all are healthy.

    When that fails, or is interrupted, what this call has made is removed: the whole project, or, where it
    ran already, only the services that were added.

    Args:
        text: the Compose file with the services and all that they need.
        services: lakebed's names of all of them.
        on_event: told each change of state, as by `StackConnection.start`.
        on_pull: told each line of Compose about the download of an image.

    Raises:
        ServiceFailed: a container exited or stayed unhealthy; with its last log lines.
        PortTaken, DownloadFailed, StackFailed: Compose could not start them; with what it said.
    """
    before = project.containers()
    try:
        with _terminated_like_interrupted():
            return _start(project, text, services, before, on_event, on_pull)
    except BaseException as error:
        with _undisturbed():
            _remove_what_is_new(project, before, services, error)
        raise


def _start(
    project: Project,
    text: str,
    services: list[str],
    before: list[SeenContainer],
    on_event: OnEvent,
    on_pull: OnPull,
) -> dict[str, ServiceLifecycle]:
    process = project.start_up(text, services)
    try:
        written: list[str] = []
        reader = threading.Thread(target=_read, args=(process, written, on_pull), daemon=True)
        reader.start()
        lives = {name: ServiceLifecycle(name) for name in services}
        ended = frozenset(container.identity for container in before if container.has_ended)
        starting = _Starting(project, process, lives, on_event, ended)
        for life in lives.values():
            life.start()
            starting.tell(life)
        while not starting.look_for(_PATIENCE_SECONDS):
            pass
        reader.join()
        if process.returncode != 0:
            starting.look()
            raise failure_of_up(process.returncode, written)
        _wait_for_the_last(starting)
        return lives
    finally:
        # Before anything is removed: it would make new containers meanwhile.
        with _undisturbed():
            _end(process)


def _wait_for_the_last(starting: _Starting) -> None:
    def states() -> str:
        return ", ".join(f"{name} is {life.state.value}" for name, life in starting.lives.items())

    wait_until(
        starting.look,
        "every container to be healthy",
        deadline_seconds=_PATIENCE_SECONDS,
        longest_pause_seconds=_PAUSE_SECONDS,
        explain=states,
        remedy="`docker ps` shows what the engine does; `docker compose logs` what the servers say",
    )


def _read(process: subprocess.Popen[str], written: list[str], on_pull: OnPull) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        written.append(line.rstrip())
        if " Pull" in line:
            on_pull(line.strip())


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _remove_what_is_new(
    project: Project, before: list[SeenContainer], services: list[str], error: BaseException
) -> None:
    there = {container.service for container in before}
    try:
        if there:
            project.remove([name for name in reversed(services) if name not in there])
        else:
            project.down()
    except LakebedError as failure:
        raise StackFailed(
            "remove what a failed start has left",
            f"{failure.seen}\nthe start had failed with: {error}",
            "`lakebed down --runtime compose` removes the rest",
        ) from error


@contextmanager
def _signals(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    """Handle signals so meanwhile; in another thread than the main one nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in usual.items():
            signal.signal(number, before)


def _undisturbed() -> AbstractContextManager[None]:
    """Put off signals: a second one would leave half of what the first one ends."""
    return _signals(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM)


def _terminated_like_interrupted() -> AbstractContextManager[None]:
    """Have SIGTERM, with which a job is cancelled, end this process in the orderly way."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    return _signals(leave, signal.SIGTERM)
