"""Every piece of Python in the README and in docs/ runs, on real servers, as a reader would run it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

RunTests = Callable[..., pytest.RunResult]

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
RECIPES = 10


def pieces(page: Path) -> list[str]:
    """Return the Python of a page, a text for each block."""
    tokens = MarkdownIt().parse(page.read_text())
    return [token.content for token in tokens if token.type == "fence" and token.info == "python"]


def as_module(piece: str) -> str:
    """Return a piece as a module of tests: what is no test by itself is run as one."""
    if "def test_" in piece:
        return piece
    return f"def test_it():\n    exec(compile({piece!r}, 'piece', 'exec'), {{'__name__': 'piece'}})\n"


def test_every_piece_of_python_in_the_documentation_runs(run_tests: RunTests) -> None:
    modules = {
        f"test_{page.stem.lower()}_{number}": as_module(piece)
        for page in PAGES
        for number, piece in enumerate(pieces(page), start=1)
    }
    result = run_tests("-q", "--strict-markers", **modules)
    tests = sum(module.count("def test_") for module in modules.values())
    assert tests > len(PAGES)
    result.assert_outcomes(passed=tests)
    assert result.ret is pytest.ExitCode.OK


def test_the_cookbook_has_ten_recipes_each_with_its_test() -> None:
    recipes = pieces(ROOT / "docs" / "cookbook.md")
    assert len(recipes) >= RECIPES
    assert all("def test_" in recipe for recipe in recipes)
