"""Choosing ports, and telling who holds one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lakebed.errors import PortTaken, SettingsInvalid
from lakebed.services import SERVICES
from lakebed.services.definition import LOOPBACK
from lakebed.services.kafka import KAFKA
from lakebed.services.postgres import POSTGRES
from lakebed.stack.folders import StackFolder
from lakebed.stack.ports import choose_ports, hold, holder_of, is_free, is_held_by
from lakebed.stack.process import ProcessIdentity


@pytest.fixture
def held_port() -> Iterator[int]:
    """A port this process listens on."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_the_well_known_ports_are_those_of_the_contract() -> None:
    assert {service.name: service.ports[service.main_port] for service in SERVICES} == {
        "postgres": 5432,
        "kafka": 29092,
        "connect": 8083,
        "schema-registry": 8081,
        "s3": 9000,
        "iceberg-rest": 8181,
    }


def test_free_ports_are_given_to_every_port_and_are_all_different() -> None:
    ports = choose_ports(SERVICES, well_known=False, chosen={})
    assert {name: set(numbers) for name, numbers in ports.items()} == {s.name: set(s.ports) for s in SERVICES}
    numbers = [number for of_service in ports.values() for number in of_service.values()]
    assert len(numbers) == len(set(numbers))
    assert all(is_free(number) for number in numbers)


def test_a_well_known_port_is_used_and_the_inner_ones_are_free_ones(free_port: int) -> None:
    service = replace(KAFKA, ports={"kafka": free_port, "controller": None})
    ports = choose_ports([service], well_known=True, chosen={})["kafka"]
    assert ports["kafka"] == free_port
    assert ports["controller"] not in (None, free_port)


@pytest.mark.parametrize("well_known", [True, False])
def test_a_chosen_port_wins(well_known: bool, free_port: int) -> None:
    ports = choose_ports([POSTGRES], well_known=well_known, chosen={"postgres": free_port})
    assert ports == {"postgres": {"postgres": free_port}}


def test_a_port_that_is_held_is_only_for_a_server() -> None:
    with ExitStack() as held:
        port = hold(0, held)
        assert is_free(port)
        with socket.socket() as somebody, pytest.raises(OSError, match="in use"):
            somebody.bind((LOOPBACK, port))
        # It sets SO_REUSEADDR.
        with socket.create_server((LOOPBACK, port)):
            open_before = psutil.Process().num_fds()
            with pytest.raises(OSError, match="in use"):
                hold(port, held)
            assert psutil.Process().num_fds() == open_before
        # The server may come back.
        with socket.create_server((LOOPBACK, port)):
            pass
    with socket.socket() as somebody:
        somebody.bind((LOOPBACK, port))


def test_ports_are_held_from_their_choice_on(free_port: int) -> None:
    with ExitStack() as held:
        chosen = choose_ports([KAFKA], well_known=False, chosen={"kafka": free_port}, held=held)
        for port in chosen["kafka"].values():
            with socket.socket() as somebody, pytest.raises(OSError, match="in use"):
                somebody.bind((LOOPBACK, port))


def test_a_port_given_away_already_is_not_chosen(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    # The system offers the same port first; with it in `taken`, the next one must be asked for.
    offered = iter([free_port])

    class Offering(socket.socket):
        def bind(self, address: object) -> None:
            super().bind((LOOPBACK, next(offered, 0)))

    monkeypatch.setattr(socket, "socket", Offering)
    ports = choose_ports([POSTGRES], well_known=False, chosen={}, taken=[free_port])
    assert ports["postgres"]["postgres"] != free_port


def test_a_port_that_is_held_is_refused_with_service_process_and_pid(held_port: int) -> None:
    with pytest.raises(PortTaken) as caught:
        choose_ports([POSTGRES], well_known=False, chosen={"postgres": held_port})
    assert f"port {held_port} (postgres)" in caught.value.seen
    assert f"(pid {os.getpid()}," in caught.value.seen
    assert "nothing was started" in caught.value.remedy


def test_every_port_that_is_held_is_named_not_only_the_first(held_port: int) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        chosen = {"postgres": held_port, "kafka": other.getsockname()[1]}
        with pytest.raises(PortTaken) as caught:
            choose_ports([POSTGRES, KAFKA], well_known=False, chosen=chosen)
    for service, number in chosen.items():
        assert f"port {number} ({service})" in caught.value.seen


def test_one_port_for_two_services_is_refused_with_both(free_port: int) -> None:
    with pytest.raises(PortTaken, match=f"port {free_port} is asked for by both postgres and kafka"):
        choose_ports([POSTGRES, KAFKA], well_known=False, chosen={"postgres": free_port, "kafka": free_port})


def test_the_holder_is_named_and_a_free_port_has_none(held_port: int) -> None:
    assert f"(pid {os.getpid()}, user " in holder_of(held_port).seen
    assert not is_free(held_port)


_LISTENER = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@contextmanager
def listener_in(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """A process that works in `folder` and listens on the port that is yielded."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-c", _LISTENER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), psutil.Process(process.pid)
        process.kill()


def make_stack(folder: Path, supervisor: ProcessIdentity) -> None:
    folder.mkdir(parents=True)
    StackFolder(folder).record_process("supervisor", supervisor)


THIS_PROCESS = ProcessIdentity.of(os.getpid())
GONE = ProcessIdentity(os.getpid(), 1.0)


@pytest.mark.parametrize(
    ("name", "supervisor", "remedy"),
    [
        ("up", THIS_PROCESS, "`LAKEBED_DATA_FOLDER='{parent}' lakebed down`"),
        ("run-1", THIS_PROCESS, "`kill {pid}`"),
        # Its supervisor was killed, and the pid may be another process's by now.
        ("run-1", GONE, "`LAKEBED_DATA_FOLDER='{parent}' lakebed down`"),
    ],
)
def test_a_server_of_another_stack_is_named_with_the_way_to_end_that(
    tmp_path: Path, name: str, supervisor: ProcessIdentity, remedy: str
) -> None:
    parent = tmp_path / "data of stacks"
    make_stack(parent / name, supervisor)
    with listener_in(parent / name / "kafka" / "log") as (port, process):
        with pytest.raises(PortTaken) as caught:
            choose_ports([KAFKA], well_known=False, chosen={"kafka": port})
        seen = f"port {port} (kafka) is held by kafka of the stack in {parent / name} (pid {process.pid})"
        assert caught.value.seen == seen
        assert remedy.format(parent=parent, pid=os.getpid()) in caught.value.remedy
        assert "--port SERVICE=NUMBER" in caught.value.remedy


def test_a_process_in_a_folder_that_is_no_stack_is_any_process(tmp_path: Path) -> None:
    with listener_in(tmp_path / "up" / "kafka") as (port, process):
        assert holder_of(port).seen.startswith(f"{process.name()} (pid {process.pid}, user ")


def test_a_port_is_held_by_its_process_and_by_those_above_it(tmp_path: Path) -> None:
    with listener_in(tmp_path / "one") as (port, process), listener_in(tmp_path / "two") as (_, other):
        assert is_held_by(port, process)
        assert is_held_by(port, psutil.Process())
        assert not is_held_by(port, other)
    assert not is_held_by(port, psutil.Process())


def test_a_port_whose_connections_have_just_closed_is_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)):
            accepted, _ = listener.accept()
            # The side that closes first is left in TIME_WAIT.
            accepted.close()
    assert is_free(port)


def test_a_port_for_a_service_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="mysql"):
        choose_ports([], well_known=False, chosen={"mysql": 3306})
