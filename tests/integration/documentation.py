"""Collects every piece of Python in the README and in docs/ as a module of tests, on the session's stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def pieces(page: Path) -> list[tuple[int, str]]:
    """Return the Python of a page: for each block the line it begins on, and its text."""
    tokens = MarkdownIt().parse(page.read_text())
    return [
        (token.map[0] + 1, token.content)
        for token in tokens
        if token.type == "fence" and token.info == "python" and token.map is not None
    ]


class Documentation(pytest.File):
    """All pages."""

    def collect(self) -> Iterator[pytest.Collector]:
        for page in PAGES:
            for line, text in pieces(page):
                piece: Piece = Piece.from_parent(
                    self,
                    path=self.path,
                    name=f"{page.name}:{line}",
                    nodeid=f"{self.nodeid}::{page.name}:{line}",
                )
                piece.page, piece.line, piece.text = page, line, text
                yield piece


class Piece(pytest.Module):
    """One piece: a module as it stands; without a test in it, it is run as one."""

    page: Path
    line: int
    text: str

    def _getobj(self) -> ModuleType:
        # As many lines before it as in the page, so that a failure names the page's own.
        code = compile("\n" * self.line + self.text, str(self.page), "exec")
        module = ModuleType(f"{self.page.stem}_{self.line}")
        if "def test_" in self.text:
            exec(code, module.__dict__)
        else:

            def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
                monkeypatch.chdir(tmp_path)
                names: dict[str, Any] = {"__name__": module.__name__}
                exec(code, names)

            module.__dict__["test_it_runs"] = test_it_runs
        return module
