"""What goes wrong on a machine, and that it is said at once, clearly, with nothing left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.free_ports import free_port

from lakebed.cli.doctor import examine
from lakebed.config.settings import Settings, load_settings
from lakebed.errors import NotEnoughDisk, NotEnoughMemory, PortTaken, ServiceFailed, SettingsInvalid
from lakebed.lifecycle import MAX_FAILED_CHECKS, ServiceState
from lakebed.provision.cache import cache_folder
from lakebed.provision.provide import provide
from lakebed.services import Place, Service
from lakebed.services.definition import LOOPBACK
from lakebed.services.postgres import POSTGRES, connect
from lakebed.stack.connection import find_stack, open_stack
from lakebed.stack.folders import StackFolder
from lakebed.stack.leftovers import find_leftovers
from lakebed.stack.process import ProcessIdentity
from lakebed.stack.running import RunningService
from lakebed.stack.unprivileged import readable_software, unprivileged_owner
from lakebed.waiting import wait_until

NAME = "faults"


@pytest.fixture
def settings(stacks: Path) -> Settings:
    """Settings with the stacks in a folder of this test."""
    return load_settings({"data_folder": stacks})


def refusal(settings: Settings, *services: str) -> Exception:
    """Ask for services that cannot be started, look that none was, and return the error."""
    connection = open_stack(settings, NAME, client="tests")
    try:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the caller looks at its type
            connection.start(services, settings)
        assert connection.status()["services"] == []
        supervisor = psutil.Process(connection.status()["pid"])
        assert supervisor.children(recursive=True) == []
    finally:
        connection.close()
    assert not connection.folder.path.exists()
    return caught.value


# -- refused before anything is started ----------------------------------------------------------------


def test_a_port_that_is_taken_is_named_with_service_and_process(settings: Settings) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        error = refusal(settings.model_copy(update={"ports": {"postgres": port}}), "postgres", "kafka")
    assert isinstance(error, PortTaken)
    assert f"port {port} (postgres) is held by {psutil.Process().name()} (pid {os.getpid()}," in error.seen
    assert "nothing was started" in error.remedy


def test_one_port_for_two_services_is_refused(settings: Settings) -> None:
    port = free_port()
    error = refusal(
        settings.model_copy(update={"ports": {"postgres": port, "kafka": port}}), "postgres", "kafka"
    )
    assert isinstance(error, PortTaken)
    assert f"port {port} is asked for by both postgres and kafka" in error.seen


def test_too_little_memory_is_refused_with_the_table(settings: Settings) -> None:
    error = refusal(settings.model_copy(update={"memory_mb": 100}), "connect", "postgres")
    assert isinstance(error, NotEnoughMemory)
    rows = [line.split()[0] for line in error.seen.splitlines()[1:]]
    assert rows == ["kafka", "connect", "postgres", "together", "there", "missing"]
    assert "100 MB" in error.seen


def test_too_little_disk_is_refused_with_figures(settings: Settings) -> None:
    error = refusal(settings.model_copy(update={"free_disk_mb": 10**9}), "postgres")
    assert isinstance(error, NotEnoughDisk)
    assert "1000000000 MB are wanted" in error.seen


@pytest.mark.parametrize(
    ("text", "seen"), [("memroy_mb = 5\n", "memroy_mb"), ("memory_mb = 'much'\n", "memory_mb = 'much'")]
)
def test_a_wrong_settings_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, seen: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lakebed.toml").write_text(text)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert seen in caught.value.seen
    assert "known settings: attach, cache_folder" in caught.value.remedy


# -- a server that fails to start ------------------------------------------------------------------------


@pytest.fixture
def run(stacks: Path) -> Iterator[Callable[[Service, float], RunningService]]:
    """Make PostgreSQL, or a variant of it, ready to be started."""
    stacks.mkdir(mode=0o711)
    folder = StackFolder(stacks / NAME)
    folder.make()
    cache = cache_folder(load_settings().cache_folder)
    made: list[RunningService] = []

    def make(service: Service, check_interval_seconds: float) -> RunningService:
        own = folder.service_folder(service.name)
        own.mkdir(mode=0o711)
        owner = unprivileged_owner()
        software = provide(["postgres"], cache=cache).folder("postgres")
        ports = {"postgres": free_port()}
        place = Place(
            folder=own,
            cache=cache,
            ports=ports,
            stack_ports={"postgres": ports},
            software=software if owner is None else readable_software(software, own),
            owner=owner,
        )
        running = RunningService(service, place, folder, check_interval_seconds, lambda running: None)
        made.append(running)
        return running

    yield make
    for running in made:
        running.stop("the test is over")
    folder.remove()


def test_a_server_that_dies_says_why_with_exit_code_and_log_at_once(
    run: Callable[[Service, float], RunningService],
) -> None:
    def command(place: Place) -> list[str]:
        return [*POSTGRES.command(place), "-c", "no_such_parameter=1"]

    # No check interval passes while the process is gone: the test would take five of them.
    running = run(replace(POSTGRES, command=command), 60.0)
    started = time.monotonic()
    with pytest.raises(ServiceFailed) as caught:
        running.start()
    assert time.monotonic() - started < 30
    assert caught.value.attempted == "start postgres"
    assert "exit code 1" in caught.value.seen
    assert 'unrecognized configuration parameter "no_such_parameter"' in caught.value.seen
    assert running.lifecycle.state is ServiceState.STOPPED


def test_a_server_that_never_gets_healthy_is_stopped_after_five_checks(
    run: Callable[[Service, float], RunningService],
) -> None:
    nobody_listens = free_port()

    def check(place: Place) -> None:
        POSTGRES.check(replace(place, stack_ports={"postgres": {"postgres": nobody_listens}}))

    running = run(replace(POSTGRES, check=check), 0.05)
    with pytest.raises(ServiceFailed) as caught:
        running.start()
    assert "5 health checks of 0.05 s failed" in caught.value.seen
    assert str(nobody_listens) in caught.value.seen
    states = [move.to_state for move in running.lifecycle.history]
    assert states == [ServiceState.STARTING] * MAX_FAILED_CHECKS + [ServiceState.STOPPED]
    # It had started, as its log shows, and is gone; the fixture `stacks` looks for what is left of it.
    assert "listening on" in running.log.read_text()
    pid = running.describe()["pid"]
    assert isinstance(pid, int)
    assert not psutil.pid_exists(pid)


def test_a_server_that_died_is_reported_and_can_be_started_again(settings: Settings) -> None:
    connection = open_stack(settings, NAME, client="tests")
    try:
        connection.start(["postgres"], settings)
        pid = connection.status()["services"][0]["pid"]
        psutil.Process(pid).kill()

        def state() -> str:
            (entry,) = connection.status()["services"]
            return str(entry["state"])

        wait_until(lambda: state() == "STOPPED", "the end to be noticed", deadline_seconds=10)
        (entry,) = connection.status()["services"]
        assert "137" in entry["history"][-1]["reason"] or "SIGKILL" in entry["history"][-1]["reason"]
        ports = connection.start(["postgres"], settings)
        with connect(ports["postgres"]["postgres"], "cdcdb") as session:
            assert session.execute("SELECT 1").fetchone() == (1,)
    finally:
        connection.close()


# -- killed -----------------------------------------------------------------------------------------------


def test_what_a_killed_supervisor_leaves_is_found_ended_and_removed_and_nothing_else(
    settings: Settings,
) -> None:
    connection = open_stack(settings, NAME, client="tests")
    connection.start(["postgres"], settings)
    status = connection.status()
    server = psutil.Process(status["services"][0]["pid"])
    servers = [server, *server.children(recursive=True)]
    supervisor = psutil.Process(status["pid"])
    supervisor.kill()
    wait_until(
        lambda: ProcessIdentity(supervisor.pid, 0).process() is None and not _lives(supervisor),
        "the supervisor to be gone",
        deadline_seconds=10,
    )
    folder = connection.folder
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()", "not", "a", "server"]
    innocent = subprocess.Popen(waits, stdin=subprocess.PIPE)
    try:
        # Recorded under its pid is a process that ended long ago, as when a pid is given out again.
        born = psutil.Process(innocent.pid).create_time()
        folder.record_process("kafka", ProcessIdentity(innocent.pid, born - 1000))
        (leftover,) = find_leftovers(folder.path.parent)
        assert set(leftover.processes) == {"postgres"}
        findings = {finding.subject: finding for finding in examine(settings)}
        finding = findings[f"leftover {folder.path}"]
        assert f"postgres (pid {server.pid})" in finding.seen
        assert finding.remedy
        assert find_stack(settings, NAME, "tests") is None

        open_stack(settings, "another", client="tests").close()
        assert [one for one in servers if _lives(one)] == []
        assert not folder.path.exists()
        assert innocent.poll() is None
    finally:
        innocent.communicate()
    assert innocent.returncode == 0


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


_CLIENT = """
import sys
from lakebed.config.settings import load_settings
from lakebed.stack.connection import open_stack
settings = load_settings()
connection = open_stack(settings, "faults", client="a client that is killed")
connection.start(["postgres"], settings)
status = connection.status()
print(status["pid"], status["services"][0]["pid"], flush=True)
sys.stdin.read()
"""


def test_the_stack_of_a_killed_client_ends_by_itself(
    stacks: Path, child_environment: Callable[[Path], dict[str, str]]
) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", _CLIENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(stacks),
        text=True,
    )
    with client:
        assert client.stdout is not None
        supervisor, server = (psutil.Process(int(pid)) for pid in client.stdout.readline().split())
        assert (stacks / NAME).is_dir()
        client.kill()
    wait_until(lambda: not (stacks / NAME).exists(), "the stack's folder to be gone", deadline_seconds=30)
    wait_until(lambda: not _lives(supervisor), "the supervisor to be gone", deadline_seconds=10)
    assert not _lives(server)
