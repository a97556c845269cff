"""The tests that docs/connectors.md and docs/schema_registry.md show, run as they stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("connectors", "schema_registry")


def examples(page: str) -> dict[str, str]:
    """Return the page's blocks of Python, each as a module of tests."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return {f"test_{page}_{number}": block for number, block in enumerate(blocks)}


def test_the_examples_pass(run_tests: Callable[..., pytest.RunResult]) -> None:
    modules = {name: block for page in PAGES for name, block in examples(page).items()}
    assert len(modules) == 4
    run_tests("--tb=short", **modules).assert_outcomes(passed=4)
