"""`lakebed status --watch` and `lakebed logs -f`: what comes, changes and goes; on a terminal too."""

from __future__ import annotations

import itertools
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from tests.free_ports import free_port
from tests.integration.lakebed_command import Command, Terminal

from lakebed.cli.observation import Facts

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"
CTRL_C = "\x03"


@pytest.fixture
def command(stacks: Path, child_environment: Callable[[Path], dict[str, str]]) -> Command:
    """The command, with nothing running."""
    return Command(stacks, child_environment(stacks))


@pytest.fixture(scope="module")
def up(
    new_stacks_folder: Callable[[], AbstractContextManager[Path]],
    child_environment: Callable[[Path], dict[str, str]],
) -> Iterator[Command]:
    """The command, with a stack of PostgreSQL and the S3 store that stays as it is."""
    with new_stacks_folder() as stacks:
        command = Command(stacks, child_environment(stacks))
        started = command("up", "postgres", "s3", *ports())
        assert started.returncode == 0, started.stderr
        yield command
        ended = command("down")
        assert ended.returncode == 0, ended.stderr


def ports() -> list[str]:
    return ["--port", f"postgres={free_port()}", "--port", f"s3={free_port()}"]


def states(content: dict[str, Any]) -> dict[str, str]:
    return {entry["service"]: entry["state"] for entry in content["services"]}


# -- status --watch ---------------------------------------------------------------------------------


def test_a_stack_comes_and_goes_in_lines_of_json(command: Command) -> None:
    with command.running("status", "--watch", "--json", "--interval", "0.2") as watching:
        watching.wait_for('"services": []')
        assert command("up", "s3", *ports()).returncode == 0
        watching.wait_for('"HEALTHY"')
        assert command("down").returncode == 0
        watching.wait_for('"services": []', count=2)
        assert watching.interrupt() == 130
    contents = watching.objects()
    assert all("at" in content for content in contents)
    assert all(Facts.of(before) != Facts.of(after) for before, after in itertools.pairwise(contents))
    seen = [states(content) for content in contents]
    assert (seen[0], seen[-1]) == ({}, {})
    assert {"s3": "HEALTHY"} in seen
    assert watching.err == []


def test_changes_are_lines_where_there_is_no_terminal(command: Command) -> None:
    assert command("up", "s3", *ports()).returncode == 0
    pid = command.status()["services"][0]["pid"]
    with command.running("status", "--watch", "--interval", "0.2") as watching:
        watching.wait_for(f"service s3: HEALTHY, pid {pid}")
        os.kill(pid, signal.SIGKILL)
        watching.wait_for("service s3: STOPPED")
        assert command("down").returncode == 0
        watching.wait_for("service s3: gone")
        assert watching.interrupt() == 130
    assert watching.out[-2].rstrip().endswith("no stack runs")
    assert not [line for line in watching.out if "\x1b" in line]


def test_slots_and_what_nobody_reads_of_them_are_shown(up: Command) -> None:
    (port,) = [entry["port"] for entry in up.status()["services"] if entry["service"] == "postgres"]
    with psycopg.connect(
        host="127.0.0.1", port=port, user="cdcuser", password="cdcpass", dbname="cdcdb", autocommit=True
    ) as connection:
        connection.execute("SELECT pg_create_logical_replication_slot('watched', 'pgoutput')")
        try:
            connection.execute("CREATE TABLE written AS SELECT * FROM generate_series(1, 1000)")
            (slot,) = up.status()["slots"]
            assert (slot["slot"], slot["database"], slot["is_active"]) == ("watched", "cdcdb", False)
            assert slot["lag_bytes"] > 1000
            assert "watched" in up("status").stdout
        finally:
            connection.execute("SELECT pg_drop_replication_slot('watched')")
            connection.execute("DROP TABLE IF EXISTS written")


def test_a_server_that_hangs_does_not_hang_the_status(command: Command) -> None:
    assert command("up", "postgres", *ports()).returncode == 0
    process = psutil.Process(command.status()["services"][0]["pid"])
    family = [process, *process.children(recursive=True)]
    for member in family:
        member.suspend()
    try:
        content = command.status()
        assert list(content["unanswered"]) == ["postgres"]
        assert f"process {process.pid} is paused (SIGSTOP)" in content["unanswered"]["postgres"]
        assert content["services"][0]["paused"]
        shown = command("status").stdout
        assert "postgres does not answer" in shown
        assert "RUNNING, paused" in shown or "HEALTHY, paused" in shown
    finally:
        for member in family:
            member.resume()
        assert command("down").returncode == 0


def test_the_table_is_drawn_anew_on_a_terminal(command: Command) -> None:
    with command.on_terminal("status", "--watch", "--interval", "0.2") as terminal:
        terminal.wait_for("no stack runs")
        assert HIDE_CURSOR in terminal.seen
        assert command("up", "s3", *ports()).returncode == 0
        # Coloured, in its place: the lines before it are written over.
        terminal.wait_for("\x1b[32mHEALTHY")
        assert "\x1b[1A" in terminal.seen or "\x1b[2K" in terminal.seen
        terminal.forget()
        assert command("down").returncode == 0
        terminal.wait_for("no stack runs")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert SHOW_CURSOR in terminal.seen
        assert "Traceback" not in terminal.seen
        assert "error" not in terminal.seen


def test_the_table_fits_a_narrow_terminal(up: Command) -> None:
    with up.on_terminal("status", "--watch", columns=50) as terminal:
        terminal.wait_for("Ctrl-C ends watching")
        rows = without_colours(terminal.seen).splitlines()
        terminal.type(CTRL_C)
        assert terminal.end() == 130
    assert max(map(len, rows)) <= 50


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


# -- logs -f ------------------------------------------------------------------------------------------


def test_a_log_is_followed_as_it_grows_and_its_end_is_said(command: Command) -> None:
    assert command("up", "postgres", "s3", *ports()).returncode == 0
    entries = {entry["service"]: entry for entry in command.status()["services"]}
    with command.running("logs", "-f", "-n", "1") as following:
        following.wait_for("postgres | ")
        following.wait_for("s3       | ")
        with Path(entries["s3"]["log"]).open("a") as log:
            log.write("a line that was just written\n")
        assert following.wait_for("just written") == "s3       | a line that was just written\n"
        os.kill(entries["s3"]["pid"], signal.SIGKILL)
        assert "s3 has ended: " in following.wait_for("has ended", err=True)
        # It is followed on when it comes back, with the same file.
        assert command("up", "s3").returncode == 0
        with Path(entries["s3"]["log"]).open("a") as log:
            log.write("and it is back\n")
        following.wait_for("and it is back")
        assert command("down").returncode == 0
        # With the stack, the command ends.
        assert following.end() == 0
    assert "postgres has ended" in "".join(following.err)
    assert "database system is shut down" in "".join(following.out)


def test_a_log_that_is_replaced_is_read_from_its_beginning(up: Command) -> None:
    (log,) = [Path(entry["log"]) for entry in up.status()["services"] if entry["service"] == "s3"]
    content = log.read_bytes()
    with up.running("logs", "s3", "--follow", "--json", "-n", "1") as following:
        following.wait_for('"line"')
        try:
            log.rename(log.with_suffix(".old"))
            log.write_text("the first line of another file\n")
            following.wait_for("the first line of another file")
        finally:
            log.unlink()
            log.with_suffix(".old").rename(log)
        assert following.interrupt() == 130
    assert log.read_bytes().startswith(content)
    last = following.objects()[-1]
    assert last.keys() == {"event", "service", "at", "line"}
    assert (last["event"], last["service"]) == ("line", "s3")
    assert following.err == []


def test_logs_on_a_terminal_are_coloured_and_cannot_command_it(up: Command) -> None:
    (log,) = [Path(entry["log"]) for entry in up.status()["services"] if entry["service"] == "s3"]

    def show(*arguments: str) -> str:
        with up.on_terminal("logs", *arguments) as terminal:
            assert terminal.end() == 0
            return terminal.seen

    with log.open("a") as file:
        file.write("\x1b]0;a title\x07\n")
    several = show()
    # A file, or a program that reads on, gets what was written.
    raw = up("logs", "s3").stdout
    assert "\x1b]0;a title\x07\n" in raw
    assert r"\x1b]0;a title\x07" in several
    assert "\x1b]0;" not in several + show("s3")
    assert "\x1b[36mpostgres | " in several


def test_a_service_that_was_not_started_is_not_followed(up: Command) -> None:
    finished = up("logs", "postgres", "kafka", "-f")
    assert (finished.returncode, finished.stdout) == (4, "")
    assert "started: postgres, s3" in finished.stderr


def test_ctrl_c_ends_following_quietly(up: Command) -> None:
    with up.on_terminal("logs", "-f", "postgres") as terminal:
        terminal.wait_for("ready to accept connections")
        interrupt(terminal)


def interrupt(terminal: Terminal) -> None:
    terminal.type(CTRL_C)
    assert terminal.end() == 130
    assert "Traceback" not in terminal.seen
    assert "error" not in terminal.seen
