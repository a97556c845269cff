"""kill -9 of whatever takes part: a worker, the runner, the supervisor, each server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from textwrap import dedent

import httpx
import psutil
import pytest
from confluent_kafka.admin import AdminClient

from lakebed.clients.topics import create_topic, topics_with_prefix
from lakebed.config.settings import Settings, load_settings
from lakebed.services.postgres import connect
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import StackConnection, open_stack
from lakebed.waiting import wait_until

NAME = "killed"

RunTests = Callable[..., pytest.RunResult]
Run = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture
def settings(stacks: Path) -> Settings:
    """Settings with the stacks in a folder of this test."""
    return load_settings({"data_folder": stacks})


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def running_pytest(tmp_path: Path, stacks: Path, child_environment: Callable[[Path], dict[str, str]]) -> Run:
    """Run pytest on the text of a test file, until the context ends; its output can be read meanwhile."""

    @contextmanager
    def run(tests: str, *options: str) -> Iterator[subprocess.Popen[str]]:
        (tmp_path / "test_inner.py").write_text(dedent(tests))
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            env={**child_environment(stacks), "TMPDIR": str(tmp_path)},
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    return run


def test_what_a_killed_worker_made_is_removed_while_the_others_go_on(
    run_tests: RunTests, stacks: Path
) -> None:
    tests = """
        import os, signal
        import pytest
        from lakebed.waiting import wait_until

        def databases(connection):
            return {name for name, in connection.execute("SELECT datname FROM pg_database").fetchall()}

        def test_dies(postgres_connection, kafka_topic):
            os.kill(os.getpid(), signal.SIGKILL)

        @pytest.mark.xdist_group("other")
        def test_lives(postgres_connection, kafka_admin_client):
            wait_until(
                lambda: not any(name.startswith("test_dies") for name in databases(postgres_connection))
                and not any(name.startswith("test_dies") for name in kafka_admin_client.list_topics().topics),
                "what the other made to be gone", deadline_seconds=60,
            )

        @pytest.mark.parametrize("number", range(6))
        def test_more(postgres_connection, number):
            assert postgres_connection.execute("SELECT 1").fetchone() == (1,)
    """
    result = run_tests("-n", "2", test_inner=tests)
    result.assert_outcomes(passed=7, failed=1)
    result.stdout.fnmatch_lines(["*worker 'gw*' crashed*test_dies*"])


def test_nothing_stays_of_a_killed_run_with_spark_and_a_connector(
    running_pytest: Run, stacks: Path, tmp_path: Path
) -> None:
    tests = """
        import json, sys
        import psutil

        def test_it(spark_session, delta_table_path, debezium_connector, lakebed_stack):
            spark_session.range(3).write.format("delta").save(delta_table_path)
            pids = [one["pid"] for one in lakebed_stack.status()["services"]]
            pids += [lakebed_stack.status()["pid"], spark_session.sparkContext._gateway.proc.pid]
            print("\\n", json.dumps(pids), flush=True)
            sys.stdin.read()
    """
    with running_pytest(tests, "-s") as process:
        assert process.stdout is not None
        lines = (json.loads(line) for line in process.stdout if line.strip().startswith("["))
        processes = [psutil.Process(pid) for pid in next(lines)]
        assert len(processes) == 6
        process.kill()
    wait_until(lambda: all(map(gone, processes)), "servers and Spark to be gone", deadline_seconds=60)
    wait_until(lambda: list(stacks.glob("*")) == [], "the stack's folder to be gone", deadline_seconds=30)
    # Its folder for temporary files was this one.
    assert {path.name for path in tmp_path.iterdir()} <= {"test_inner.py", "pytest.ini", "__pycache__"}


def test_nothing_stays_when_the_controller_of_the_workers_is_killed(
    running_pytest: Run, stacks: Path
) -> None:
    tests = """
        import time
        from pathlib import Path
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_it(postgres_connection, kafka_topic, number):
            Path(f"made-{number}").touch()
            postgres_connection.execute("SELECT pg_sleep(600)")
    """
    with running_pytest(tests, "-n", "2") as process:
        folder = Path(psutil.Process(process.pid).cwd())
        wait_until(
            lambda: len(list(folder.glob("made-*"))) == 2 or process.poll() is not None,
            "both tests to run",
            deadline_seconds=120,
        )
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    wait_until(lambda: list(stacks.glob("*")) == [], "the stack's folder to be gone", deadline_seconds=60)
    wait_until(lambda: all(map(gone, family)), "the workers to be gone", deadline_seconds=30)


def test_a_run_whose_supervisor_is_killed_says_so_and_leaves_nothing(
    run_tests: RunTests, stacks: Path
) -> None:
    tests = """
        import os, signal
        import psutil
        from lakebed.waiting import wait_until

        def test_kills(postgres_connection, lakebed_stack):
            pid = lakebed_stack.status()["pid"]
            os.kill(pid, signal.SIGKILL)
            psutil.wait_procs([psutil.Process(pid)], timeout=10)

        def test_after(postgres_connection): ...
    """
    result = run_tests("-q", test_inner=tests)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*talk to the supervisor of the stack in*", "*the end of its log:*", "*start the stack again*"]
    )
    assert list(stacks.glob("*")) == []


@pytest.fixture
def whole_stack(settings: Settings) -> Iterator[tuple[StackConnection, Addresses]]:
    """Every service."""
    connection = open_stack(settings, NAME, client="tests")
    try:
        yield connection, Addresses(connection.start([], settings))
    finally:
        connection.close()


def _state(connection: StackConnection, service: str) -> dict[str, object]:
    return next(entry for entry in connection.status()["services"] if entry["service"] == service)


def test_each_killed_server_is_reported_and_comes_back_with_what_it_held(
    whole_stack: tuple[StackConnection, Addresses], settings: Settings
) -> None:
    connection, addresses = whole_stack
    admin = AdminClient({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    create_topic(admin, "orders")
    with connect(addresses.postgres_port, "cdcdb") as session:
        session.execute("CREATE TABLE orders AS SELECT 1 AS id")
    namespaces = f"{addresses.iceberg_catalog_uri}/v1/namespaces"
    httpx.post(namespaces, json={"namespace": ["sales"]}).raise_for_status()
    for service in addresses.ports:
        pid = _state(connection, service)["pid"]
        assert isinstance(pid, int)
        psutil.Process(pid).kill()
        wait_until(
            lambda service=service: _state(connection, service)["state"] == "STOPPED",  # type: ignore[misc]
            f"the end of {service} to be noticed",
            deadline_seconds=10,
        )
        assert "SIGKILL" in str(_state(connection, service)["last_failure"])
        connection.start([service], settings)
        assert _state(connection, service)["state"] == "HEALTHY"
        assert _state(connection, service)["pid"] != pid
    assert topics_with_prefix(admin, "orders") == ["orders"]
    with connect(addresses.postgres_port, "cdcdb") as session:
        assert session.execute("SELECT id FROM orders").fetchall() == [(1,)]
    assert httpx.get(namespaces).json()["namespaces"] == [["sales"]]
    # The registry keeps its schemas in memory; what the contract configures is there again.
    registry = f"{addresses.schema_registry_url}/config"
    assert httpx.get(registry).json()["compatibilityLevel"] == "BACKWARD"
    buckets = httpx.get(f"http://127.0.0.1:{addresses.ports['s3']['filer.port']}/buckets/warehouse/")
    assert buckets.status_code == 200


@pytest.mark.parametrize(
    ("service", "fixture"), [("postgres", "postgres_connection"), ("kafka", "kafka_topic")]
)
def test_a_test_that_fails_because_a_server_died_shows_which_and_its_log(
    run_tests: RunTests, service: str, fixture: str
) -> None:
    tests = f"""
        import psutil
        from lakebed.waiting import wait_until

        def test_it({fixture}, lakebed_stack):
            def entry():
                return next(
                    one for one in lakebed_stack.status()["services"] if one["service"] == "{service}"
                )
            psutil.Process(entry()["pid"]).kill()
            wait_until(lambda: entry()["state"] == "STOPPED", "its end to be noticed", deadline_seconds=20)
            raise AssertionError("as if it had been used")

        def test_the_next_one_has_it_again({fixture}): ...
    """
    result = run_tests("-q", test_inner=tests)
    result.stdout.fnmatch_lines(
        [f"*lakebed: {service} is STOPPED*", "*ended by signal 9 (SIGKILL)*", "the end of its log:"]
    )
    assert result.parseoutcomes()["passed"] == 1
