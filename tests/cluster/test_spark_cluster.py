"""A real Spark standalone cluster: what is written on it, killed servers, and what is left: nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.free_ports import free_port

from lakebed.config.settings import load_settings
from lakebed.provision.pyspark import pyspark_folder
from lakebed.services.spark_cluster import CLUSTER_SERVICES
from lakebed.stack.connection import open_stack

# It takes minutes: `make test-large`.
pytestmark = pytest.mark.large

LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
ON_CLUSTER = Path(__file__, "..", "on_cluster.py").resolve()
RunTests = Callable[..., pytest.RunResult]
_TESTS = 8
# Does not name the cluster, so it holds for any master of several executors.
_ANY_MASTER = "delta_with or iceberg_is or python_runs"


def test_what_runs_in_one_process_runs_on_the_stacks_own_cluster(run_tests: RunTests) -> None:
    result = run_tests("-q", "--lakebed-set", "spark_master=cluster", test_it=ON_CLUSTER.read_text())
    result.assert_outcomes(passed=_TESTS)


@pytest.mark.parametrize("start", ["stack", "local-cluster"])
def test_any_other_master_by_url_gets_the_jars_from_the_session(
    run_tests: RunTests, stacks: Path, start: str
) -> None:
    if start == "local-cluster":
        master, stack = "local-cluster[2,1,1024]", None
    else:
        settings = load_settings({"data_folder": stacks})
        stack = open_stack(settings, "spark", client="somebody else")
        ports = stack.start(["spark-cluster"], settings)
        master = f"spark://127.0.0.1:{ports['spark-master']['spark-master']}"
    try:
        result = run_tests(
            *("-q", "-k", _ANY_MASTER, "--lakebed-set", f"spark_master={master}"),
            test_it=ON_CLUSTER.read_text(),
        )
    finally:
        if stack is not None:
            stack.close()
    result.assert_outcomes(passed=3, deselected=_TESTS - 3)
    # Where the workers of local-cluster write.
    assert not (pyspark_folder() / "work").exists()


def _services(lakebed: Callable[..., str]) -> set[str]:
    return {one["service"] for one in json.loads(lakebed("status", "--json"))["services"]}


def test_the_command_starts_it_by_name_on_loopback_for_tests_to_use(
    stacks: Path,
    child_environment: Callable[[Path], dict[str, str]],
    run_tests: RunTests,
) -> None:
    environment = child_environment(stacks)

    def lakebed(*arguments: str) -> str:
        command = [sys.executable, "-m", "lakebed", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    port = free_port()
    printed = lakebed("up", "spark-cluster", "--port", f"spark-master={port}")
    try:
        assert printed.split() == [f"SPARK_MASTER_URL=spark://127.0.0.1:{port}"]
        services = json.loads(lakebed("status", "--json"))["services"]
        assert _services(lakebed) == set(CLUSTER_SERVICES)
        listening = [
            connection.laddr
            for one in services
            for connection in psutil.Process(one["pid"]).net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        # Each its own port and that of its page.
        assert len(listening) == 2 * len(services)
        assert {address.ip for address in listening} <= set(LOOPBACK)
        result = run_tests(
            *("-q", "-k", "python_runs", "--lakebed-set", "spark_master=cluster"),
            test_it=ON_CLUSTER.read_text(),
        )
        result.assert_outcomes(passed=1, deselected=_TESTS - 1)
        # It was this one that they used, with a store beside it.
        assert _services(lakebed) == {*CLUSTER_SERVICES, "s3"}
    finally:
        lakebed("down")
