"""The chain on hosts that are apart, cut off from each other, behind a slow line and far away."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

# It takes minutes: `make test-large`.
pytestmark = pytest.mark.large

CHAIN = Path(__file__).with_name("chain.py")
# Shorter than the cut: Hadoop would wait 200 s for an answer of the store.
_SPARK = {
    "spark.hadoop.fs.s3a.connection.timeout": "5000",
    "spark.hadoop.fs.s3a.connection.establish.timeout": "5000",
}


def test_the_chain_survives_what_happens_between_hosts(in_world: Callable[..., pytest.RunResult]) -> None:
    result = in_world(CHAIN, "--lakebed-set", f"spark_config={json.dumps(_SPARK)}")
    result.assert_outcomes(passed=CHAIN.read_text().count("\ndef test_"))
