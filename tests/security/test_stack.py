"""A whole stack, with Spark on its own cluster: who can reach it, and where its secrets can be seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

ON_A_STACK = Path(__file__, "..", "on_a_stack.py").resolve()
REGISTRY, ROLE = "S3cr3tOfTheRegistry", "S3cr3tOfTheRole"
# Those of the contract (sections 2.1 and 2.4).
OF_CONTRACT = ("minioadmin", "cdcpass")


def test_listeners_files_and_secrets(
    run_tests: Callable[..., pytest.RunResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAKEBED_REGISTRY_USERNAME", "lake")
    monkeypatch.setenv("LAKEBED_REGISTRY_PASSWORD", REGISTRY)
    monkeypatch.setenv("PASSWORD_OF_ROLE", ROLE)
    monkeypatch.setenv("ID_OF_STORES_KEY", OF_CONTRACT[0])
    monkeypatch.setenv("SECRETS_TO_LOOK_FOR", " ".join((REGISTRY, ROLE, *OF_CONTRACT)))
    report = tmp_path / "report.xml"
    result = run_tests(
        *("--lakebed-set", "spark_master=cluster", "--tb=long", "--showlocals", "-rA"),
        f"--junit-xml={report}",
        test_it=ON_A_STACK.read_text(),
    )
    result.assert_outcomes(passed=3, failed=4)
    for text in (result.stdout.str(), result.stderr.str(), report.read_text()):
        shown = {secret for secret in (REGISTRY, ROLE, *OF_CONTRACT) if secret in text}
        assert shown == set()
