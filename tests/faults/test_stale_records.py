"""What a stack's folder can hold after a crash, or from another version: never in the way, never trusted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from lakebed.config.settings import Settings, load_settings
from lakebed.errors import OtherVersion, PortTaken
from lakebed.services.postgres import connect
from lakebed.stack.connection import end_stack, find_stack, open_stack
from lakebed.stack.folders import NAME_OF_UP, StackFolder
from lakebed.stack.leftovers import find_leftovers
from lakebed.stack.process import ProcessIdentity
from lakebed.waiting import wait_until

RunTests = Callable[..., pytest.RunResult]


@pytest.fixture
def settings(stacks: Path) -> Settings:
    """Settings with the stacks in a folder of this test."""
    return load_settings({"data_folder": stacks})


@pytest.fixture
def folder(stacks: Path) -> StackFolder:
    """The folder of the kept stack, made, with nothing in it."""
    stacks.mkdir(mode=0o711)
    folder = StackFolder(stacks / NAME_OF_UP)
    folder.make()
    return folder


def starts(settings: Settings) -> None:
    """A stack starts where the records lie."""
    connection = open_stack(settings, NAME_OF_UP, client="tests")
    try:
        ports = connection.start(["postgres"], settings)
        with connect(ports["postgres"]["postgres"], "cdcdb") as session:
            assert session.execute("SELECT 1").fetchone() == (1,)
    finally:
        connection.close()


def test_a_socket_that_nobody_listens_on(folder: StackFolder, settings: Settings) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.socket))
        listener.listen()
    folder.supervisor_log.write_text("the log of the one that was killed")
    assert folder.socket.exists()
    assert find_stack(settings, NAME_OF_UP, "tests") is None
    starts(settings)


@pytest.mark.parametrize(
    "name", ["request.json", "ports.json", "ledger.jsonl", "kafka.process.json", "postgres.outside.json"]
)
@pytest.mark.parametrize("content", ["", '{"pid": 1', "[]", "null", '{"pid": "one", "create_time": null}'])
def test_a_half_written_record(folder: StackFolder, settings: Settings, name: str, content: str) -> None:
    folder.record_request({"keep": True, "protocol": 2, "settings": {}, "well_known_ports": False})
    (folder.path / name).write_text(content)
    found = find_leftovers(folder.path.parent)
    assert [leftover.folder for leftover in found] == [folder]
    assert not found[0].can_be_taken_over
    open_stack(settings, "another", client="tests").close()
    assert not folder.path.exists()


def test_nothing_stays_of_a_stack_whose_folder_is_deleted_beneath_it(settings: Settings) -> None:
    connection = open_stack(settings, "another", client="tests")
    port = connection.start(["s3"], settings)["s3"]["s3.port.grpc"]
    (server,) = connection.status()["services"]
    processes = [ProcessIdentity.of(pid) for pid in (server["pid"], connection.status()["pid"])]
    # SeaweedFS makes its sockets there, whatever it is told.
    (outside,) = Path("/tmp").glob(f"seaweedfs-s3-grpc-{port}.sock")
    shutil.rmtree(connection.folder.path)
    connection.close()
    wait_until(
        lambda: all(one.process() is None for one in processes), "both processes to end", deadline_seconds=30
    )
    assert not outside.exists()


@pytest.fixture
def abandoned(settings: Settings) -> Iterator[tuple[StackFolder, ProcessIdentity]]:
    """A kept stack whose supervisor was killed, and its PostgreSQL."""
    connection = open_stack(settings, NAME_OF_UP, client="tests", keep=True)
    connection.start(["postgres"], settings)
    (server,) = connection.status()["services"]
    supervisor = ProcessIdentity.of(connection.status()["pid"])
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_until(lambda: supervisor.process() is None, "its end", deadline_seconds=10)
    yield connection.folder, ProcessIdentity.of(server["pid"])
    end_stack(settings, NAME_OF_UP, "tests")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: folder.ledger.write_text('{"ledger": 99}\n'),
        lambda folder: folder.ledger.write_bytes(b'{"ledger": 1}\n{"rec\n{"forget": []}\n'),
        lambda folder: folder.request.write_text('{"keep": true, "protocol": 1}'),
        lambda folder: folder.request.write_text('{"keep": tr'),
    ],
    ids=["ledger of another version", "damaged ledger", "request of another version", "damaged request"],
)
def test_a_stack_whose_records_cannot_be_trusted_is_ended_not_taken_over(
    abandoned: tuple[StackFolder, ProcessIdentity],
    settings: Settings,
    damage: Callable[[StackFolder], object],
) -> None:
    folder, server = abandoned
    damage(folder)
    assert [leftover.can_be_taken_over for leftover in find_leftovers(folder.path.parent)] == [False]
    starts(settings)
    assert server.process() is None
    assert not folder.path.exists()


def test_a_stack_is_ended_at_the_very_moment_at_which_its_supervisor_was_killed(settings: Settings) -> None:
    connection = open_stack(settings, NAME_OF_UP, client="tests", keep=True)
    connection.start(["postgres"], settings)
    (server,) = connection.status()["services"]
    identity = ProcessIdentity.of(server["pid"])
    os.kill(connection.status()["pid"], signal.SIGKILL)
    assert end_stack(settings, NAME_OF_UP, "tests")
    assert identity.process() is None
    assert not connection.folder.path.exists()


def test_a_stack_of_the_same_name_begins_when_the_one_that_ends_has_ended(settings: Settings) -> None:
    ending = open_stack(settings, NAME_OF_UP, client="tests", keep=True)
    ending.start(["postgres"], settings)
    (server,) = ending.status()["services"]
    identity = ProcessIdentity.of(server["pid"])
    with ThreadPoolExecutor(1) as thread:
        stopped = thread.submit(ending.stop)
        wait_until(
            lambda: not ending.folder.socket.exists(), "the supervisor not to listen", deadline_seconds=10
        )
        starts(settings)
        stopped.result()
    assert identity.process() is None


def test_a_ledger_with_a_half_written_last_line_is_taken_over(
    abandoned: tuple[StackFolder, ProcessIdentity], settings: Settings
) -> None:
    folder, server = abandoned
    with folder.ledger.open("ab") as file:
        file.write(b'{"record": [["datab')
    connection = open_stack(settings, NAME_OF_UP, client="tests")
    try:
        (entry,) = connection.status()["services"]
        assert entry["pid"] == server.pid
        assert entry["state"] == "HEALTHY"
    finally:
        connection.close()


def test_a_server_that_was_started_but_not_yet_recorded_is_found_by_its_folder(
    abandoned: tuple[StackFolder, ProcessIdentity], settings: Settings
) -> None:
    folder, server = abandoned
    folder.forget_process("postgres")
    folder.request.unlink()
    (leftover,) = find_leftovers(folder.path.parent)
    assert leftover.processes == {"postgres, not recorded": server}
    assert end_stack(settings, NAME_OF_UP, "tests")
    assert server.process() is None


def test_down_ends_what_a_killed_supervisor_left_and_says_when_there_is_nothing(
    abandoned: tuple[StackFolder, ProcessIdentity], settings: Settings
) -> None:
    folder, server = abandoned
    assert end_stack(settings, NAME_OF_UP, "tests")
    assert server.process() is None
    assert not folder.path.exists()
    assert not end_stack(settings, NAME_OF_UP, "tests")


# -- a stack of another version of lakebed ----------------------------------------------------------------

_OLD_SUPERVISOR = """
import json, pathlib, shutil, signal, socket, sys
folder = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: (shutil.rmtree(folder), sys.exit(0)))
listener = socket.socket(socket.AF_UNIX)
listener.bind(str(folder / "supervisor.sock"))
listener.listen()
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    connection.makefile("rb").readline()
    connection.sendall(json.dumps({"answer": {"pid": 1, "version": "0.0.7"}}).encode() + b"\\n")
"""


@pytest.fixture
def old_supervisor(folder: StackFolder) -> Iterator[subprocess.Popen[str]]:
    """A process that answers as the supervisor of an older version would."""
    process = subprocess.Popen(
        [sys.executable, "-c", _OLD_SUPERVISOR, str(folder.path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        folder.record_process("supervisor", ProcessIdentity.of(process.pid))
        folder.record_request({"keep": True})
        yield process
        process.kill()
        shutil.rmtree(folder.path, ignore_errors=True)


def test_a_stack_of_another_version_is_named_and_left_alone(
    old_supervisor: subprocess.Popen[str], settings: Settings
) -> None:
    with pytest.raises(OtherVersion) as caught:
        open_stack(settings, NAME_OF_UP, client="tests")
    assert "lakebed 0.0.7" in caught.value.seen
    assert "lakebed down" in caught.value.remedy
    assert old_supervisor.poll() is None


def test_tests_start_servers_of_their_own_beside_it(
    old_supervisor: subprocess.Popen[str], run_tests: RunTests
) -> None:
    result = run_tests(test_it="def test_it(postgres_connection): ...")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*the kept stack is not used*lakebed 0.0.7*lakebed down*"])
    assert old_supervisor.poll() is None


def test_down_ends_it(old_supervisor: subprocess.Popen[str], settings: Settings, folder: StackFolder) -> None:
    assert end_stack(settings, NAME_OF_UP, "tests")
    assert old_supervisor.wait(10) == 0
    assert not folder.path.exists()


# -- two stacks on the same ports --------------------------------------------------------------------------


def test_two_stacks_on_the_same_port_the_second_is_told_whose_it_is(
    settings: Settings, new_stacks_folder: Callable[[], object], tmp_path: Path
) -> None:
    first = open_stack(settings, NAME_OF_UP, client="tests")
    try:
        port = first.start(["postgres"], settings)["postgres"]["postgres"]
        (server,) = first.status()["services"]
        clashing = settings.model_copy(update={"ports": {"postgres": port}})
        second = open_stack(clashing, "second", client="tests")
        try:
            with pytest.raises(PortTaken) as caught:
                second.start(["postgres"], clashing)
            assert second.status()["services"] == []
        finally:
            second.close()
        assert f"port {port} (postgres) is held by" in caught.value.seen
        assert str(first.folder.path) in caught.value.seen
        assert f"pid {server['pid']}" in caught.value.seen
        assert psutil.pid_exists(server["pid"])
    finally:
        first.close()


def test_what_is_no_stack_in_the_folder_of_stacks_is_not_touched(stacks: Path, settings: Settings) -> None:
    stacks.mkdir(mode=0o711)
    (stacks / "notes.txt").write_text("mine")
    (stacks / "photos").mkdir()
    (stacks / "photos" / "one.json").write_text(json.dumps({"pid": os.getpid()}))
    open_stack(settings, NAME_OF_UP, client="tests").close()
    assert (stacks / "notes.txt").read_text() == "mine"
    assert (stacks / "photos" / "one.json").exists()
    (stacks / "photos" / "one.json").unlink()
    (stacks / "photos").rmdir()
    (stacks / "notes.txt").unlink()
