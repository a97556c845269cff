"""Ctrl-C at every stage of a run, once and twice in a row: a short message, and nothing stays."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from lakebed.waiting import wait_until

Run = Callable[..., AbstractContextManager[subprocess.Popen[str]]]

TIMES = pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])


@pytest.fixture
def running(tmp_path: Path, stacks: Path, child_environment: Callable[[Path], dict[str, str]]) -> Run:
    """Run a Python module, its output in the file `output`, until the context ends."""

    @contextmanager
    def run(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        with (tmp_path / "output").open("w") as output:
            process = subprocess.Popen(
                [sys.executable, *module.split(), *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=tmp_path,
                env={**child_environment(stacks), "PYTHONUNBUFFERED": "1"},
            )
        with process:
            try:
                yield process
            finally:
                process.kill()

    return run


@pytest.fixture
def run_pytest(running: Run, tmp_path: Path) -> Run:
    """Run pytest on the text of a test file."""

    def run(tests: str, *options: str) -> AbstractContextManager[subprocess.Popen[str]]:
        (tmp_path / "test_inner.py").write_text(dedent(tests))
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        return running("-m pytest", "-s", "-p", "no:cacheprovider", "-p", "no:randomly", *options)

    return run


def wait_for(process: subprocess.Popen[str], fact: Callable[[], bool], description: str) -> None:
    wait_until(
        lambda: fact() or process.poll() is not None,
        description,
        deadline_seconds=60,
        longest_pause_seconds=0.01,
    )
    assert process.poll() is None


def interrupt(process: subprocess.Popen[str], times: int) -> int:
    """Send Ctrl-C so many times, each when the one before has been taken, and return the exit code."""
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        wait_until(
            lambda: process.poll() is not None or not _pending(process.pid),
            "the signal to be taken",
            deadline_seconds=10,
            longest_pause_seconds=0.01,
        )
    return process.wait(timeout=90)


def _pending(pid: int) -> bool:
    """Whether SIGINT waits for the process (Linux manual, proc(5), SigPnd and ShdPnd)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))]
    return any(mask & (1 << (signal.SIGINT - 1)) for mask in masks)


def nothing_stays(stacks: Path) -> None:
    """The stack ends by itself; the fixture `stacks` looks for processes."""
    wait_until(lambda: list(stacks.glob("*")) == [], "the stack to be gone", deadline_seconds=60)


def said(tmp_path: Path) -> str:
    text = (tmp_path / "output").read_text()
    assert "INTERNALERROR" not in text
    return text


@TIMES
def test_while_the_servers_start(run_pytest: Run, stacks: Path, tmp_path: Path, times: int) -> None:
    with run_pytest("def test_it(kafka_topic): ...") as process:
        wait_for(process, lambda: bool(list(stacks.glob("*/kafka.process.json"))), "Kafka to start")
        code = interrupt(process, times)
    nothing_stays(stacks)
    assert "KeyboardInterrupt" in said(tmp_path)
    assert code in (pytest.ExitCode.INTERRUPTED, -signal.SIGINT)


@TIMES
def test_while_a_test_runs(run_pytest: Run, stacks: Path, tmp_path: Path, times: int) -> None:
    tests = """
        import sys

        def test_it(postgres_connection):
            print("running")
            sys.stdin.read()
    """
    with run_pytest(tests) as process:
        wait_for(process, lambda: "running" in said(tmp_path), "the test to run")
        code = interrupt(process, times)
    nothing_stays(stacks)
    assert "KeyboardInterrupt" in said(tmp_path)
    assert code in (pytest.ExitCode.INTERRUPTED, -signal.SIGINT)


@TIMES
def test_while_a_test_is_cleaned_up(run_pytest: Run, stacks: Path, tmp_path: Path, times: int) -> None:
    tests = """
        import sys

        def test_it(postgres_connection, kafka_topic, lakebed_clean_up):
            def wait():
                print("cleaning")
                sys.stdin.read()
            lakebed_clean_up.add("something slow", wait)
    """
    with run_pytest(tests) as process:
        wait_for(process, lambda: "cleaning" in said(tmp_path), "the clean-up")
        code = interrupt(process, times)
    nothing_stays(stacks)
    assert code in (pytest.ExitCode.INTERRUPTED, -signal.SIGINT)


@TIMES
def test_while_the_stack_ends(run_pytest: Run, stacks: Path, tmp_path: Path, times: int) -> None:
    with run_pytest("def test_it(debezium_client): ...") as process:
        wait_for(process, lambda: bool(list(stacks.glob("*/supervisor.sock"))), "the stack to be there")
        wait_for(process, lambda: not list(stacks.glob("*/supervisor.sock")), "the stack to be ending")
        code = interrupt(process, times)
    nothing_stays(stacks)
    said(tmp_path)
    assert code in (pytest.ExitCode.INTERRUPTED, -signal.SIGINT)


@TIMES
def test_while_spark_works(run_pytest: Run, stacks: Path, tmp_path: Path, times: int) -> None:
    tests = """
        def test_it(spark_session, delta_table_path):
            spark_session.range(3).write.format("delta").save(delta_table_path)
            print("running")
            spark_session.sql("SELECT max(sha2(cast(id AS string), 512)) FROM range(1000000000)").collect()
    """
    with run_pytest(tests) as process:
        wait_for(process, lambda: "running" in said(tmp_path), "the test to run")
        interrupt(process, times)
    nothing_stays(stacks)
    said(tmp_path)


@TIMES
def test_in_a_kept_stack_only_what_the_run_made_goes(
    run_pytest: Run, running: Run, stacks: Path, tmp_path: Path, times: int
) -> None:
    from confluent_kafka.admin import AdminClient

    from lakebed.clients.topics import topics_with_prefix
    from lakebed.config.settings import load_settings
    from lakebed.stack.addresses import Addresses
    from lakebed.stack.connection import end_stack, find_stack
    from lakebed.stack.folders import NAME_OF_UP

    settings = load_settings({"data_folder": stacks})
    tests = """
        import sys

        def test_it(kafka_topic, postgres_connection):
            print("running")
            sys.stdin.read()
    """
    try:
        with run_pytest(tests, "--lakebed-keep") as process:
            wait_for(process, lambda: "running" in said(tmp_path), "the test to run")
            interrupt(process, times)
        connection = find_stack(settings, NAME_OF_UP, "tests")
        assert connection is not None
        wait_until(lambda: connection.status()["clients"] == [], "the lease to end", deadline_seconds=30)
        kafka = Addresses(connection.status()["ports"]).kafka_bootstrap_servers
        admin = AdminClient({"bootstrap.servers": kafka})
        wait_until(lambda: topics_with_prefix(admin, "") == [], "the topic to be gone", deadline_seconds=30)
        assert connection.status()["left"] == []
    finally:
        end_stack(settings, NAME_OF_UP, "tests")


@TIMES
def test_lakebed_up_leaves_nothing_half_started(
    running: Run, stacks: Path, tmp_path: Path, times: int
) -> None:
    ports = [f"--port={name}={port}" for name, port in (("kafka", 19092), ("postgres", 15432))]
    with running("-m lakebed", "up", "kafka", "postgres", *ports) as process:
        wait_for(process, lambda: bool(list(stacks.glob("*/kafka.process.json"))), "Kafka to start")
        code = interrupt(process, times)
    nothing_stays(stacks)
    assert code in (130, -signal.SIGINT)
    assert "Traceback" not in said(tmp_path)
