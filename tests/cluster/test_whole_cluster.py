"""The suite `tests/attach/test_chain.py` and the demo where everything that can be several is several."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# It takes minutes: `make test-large`.
pytestmark = pytest.mark.large

CHAIN = Path(__file__, "..", "..", "attach", "test_chain.py").resolve().read_text()
# One of them runs twice.
TESTS = CHAIN.count("\ndef test_") + 1
SETTINGS = {"kafka_brokers": "3", "connect_workers": "3", "spark_master": "cluster"}
RunTests = Callable[..., pytest.RunResult]

_WHERE = """
    def test_it_was_the_cluster(lakebed_stack, spark_session):
        addresses = lakebed_stack.need("connect", "s3")
        several = {f"{name}-{number}" for name in ("kafka", "connect") for number in (2, 3)}
        assert several | {"spark-worker-1", "spark-worker-2"} <= set(addresses.ports)
        assert spark_session.sparkContext.master == addresses.spark_master_url
"""


def test_the_chain_on_the_whole_cluster(run_tests: RunTests) -> None:
    chosen = [word for name, value in SETTINGS.items() for word in ("--lakebed-set", f"{name}={value}")]
    result = run_tests("-q", *chosen, test_chain=CHAIN, test_where=_WHERE)
    result.assert_outcomes(passed=TESTS + 1)
    result.stdout.no_fnmatch_line("*could not*")


def test_the_demo_on_the_whole_cluster_proves_the_same(
    stacks: Path, child_environment: Callable[[Path], dict[str, str]]
) -> None:
    settings = {f"LAKEBED_{name.upper()}": value for name, value in SETTINGS.items()}
    finished = subprocess.run(
        [sys.executable, "-m", "lakebed", "demo", "--rows", "500"],
        env={**child_environment(stacks), **settings},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert "source = Delta = Iceberg, row for row" in finished.stdout
    # Six, and two brokers, two workers, and Spark's master with two workers more.
    assert "start 13 services" in finished.stdout
