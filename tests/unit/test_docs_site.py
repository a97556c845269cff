"""The site's navigation has every page, its reference every module that the pages tell users to import."""

from __future__ import annotations

import importlib
import re
import runpy
from collections.abc import Iterable
from pathlib import Path

import pytest

import lakebed

ROOT = Path(__file__).parents[2]
NAVIGATION = runpy.run_path(str(ROOT / "docs" / "site" / "navigation.py"))
REFERENCE = sorted((ROOT / "docs" / "api").glob("*.md"))
IN_REFERENCE = {
    module
    for page in REFERENCE
    for module in re.findall(r"^\.\. automodule:: (lakebed\S*)$", page.read_text(), re.MULTILINE)
}
# In the reference these show what they import from modules of their own, all that these have for users.
PACKAGES = {"lakebed.config", "lakebed.config.endpoints", "lakebed.lifecycle"}


def imported(files: Iterable[Path]) -> set[str]:
    found = (
        re.findall(r"^\s*(?:from|import) (lakebed[\w.]*)", file.read_text(), re.MULTILINE) for file in files
    )
    return {module for modules in found for module in modules}


def test_every_page_is_in_the_navigation_once() -> None:
    pages = NAVIGATION["pages"]()
    files = {
        f"{file.relative_to(ROOT).with_suffix('')}"
        for folder in (ROOT, ROOT / "docs", ROOT / "docs" / "api")
        for file in folder.glob("*.md")
    }
    assert sorted(pages) == sorted(files)


def test_what_users_import_is_in_the_reference() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    modules = imported([*pages, *(ROOT / "examples").rglob("*.py")])
    assert "lakebed.cdc.comparison" in modules
    missing = {name for name in modules - IN_REFERENCE if name.rpartition(".")[0] not in PACKAGES}
    assert PACKAGES <= IN_REFERENCE
    # Its own names are those of `lakebed.config` and of the clients' models: see below.
    assert missing <= {"lakebed"}


@pytest.mark.parametrize("module", sorted(IN_REFERENCE))
def test_what_is_in_the_reference_can_be_imported_and_says_what_it_is(module: str) -> None:
    assert importlib.import_module(module).__doc__


def test_every_model_that_lakebed_exports_is_in_the_reference() -> None:
    modules = [importlib.import_module(name) for name in IN_REFERENCE]
    exported = [name for name in lakebed.__all__ if not name.startswith("__")]
    assert [name for name in exported if not any(hasattr(module, name) for module in modules)] == []
