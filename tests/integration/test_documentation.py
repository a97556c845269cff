"""Every piece of Python in the README and in docs/ runs, on real servers: see `documentation.py`.

The pieces are collected as tests of this file, named by page and line.
"""

from __future__ import annotations

import pytest
from tests.integration.documentation import PAGES, ROOT, Documentation, pieces

RECIPES = 10


def test_the_cookbook_has_ten_recipes_each_with_its_test() -> None:
    recipes = [text for _, text in pieces(ROOT / "docs" / "cookbook.md")]
    assert len(recipes) >= RECIPES
    assert all("def test_" in recipe for recipe in recipes)


def test_every_piece_is_collected(request: pytest.FixtureRequest) -> None:
    collector = Documentation.from_parent(request.session, path=request.path)
    collected = [piece.name for piece in collector.collect()]
    assert collected == [f"{page.name}:{line}" for page in PAGES for line, _ in pieces(page)]
    assert len(collected) > len(PAGES)
