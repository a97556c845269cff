"""The types that docs/pytest_plugin.md gives for fixtures: they can be imported, and are what one gets."""

from __future__ import annotations

import ast
import collections.abc
import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import lakebed.pytest_plugin as plugin

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pytest_plugin.md").read_text()
# Of the plugin's own use.
NOT_FOR_TESTS = {"postgres_databases"}


def documented() -> dict[str, str]:
    """Return, by fixture, the type in the tables of the page."""
    section = PAGE.partition("## The fixtures")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `([^`]+)`", section, re.MULTILINE))


def functions() -> dict[str, Callable[..., Any]]:
    """Return, by its name, the function of each fixture of the plugin."""
    found = {}
    for name in plugin.__all__:
        fixture = getattr(plugin, name)
        if not name.startswith("pytest_"):
            # From pytest 8.4 on an object of its own, before a function that knows the one it wraps.
            wrapped = getattr(fixture, "_get_wrapped_function", None)
            found[name] = wrapped() if wrapped is not None else inspect.unwrap(fixture.__pytest_wrapped__.obj)
    return found


def names_of(module: Any) -> dict[str, Any]:
    """Return the names of a module, with those that it imports for type checkers only."""
    names = dict(vars(module))
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), "imports", "exec"), names)
    return names


def returned(function: Callable[..., Any]) -> Any:
    """Return the type of what a test gets: of a generator, that of what it yields."""
    text = inspect.get_annotations(function)["return"]
    hint = eval(text, names_of(sys.modules[function.__module__]))
    if typing.get_origin(hint) in (Iterator, Generator):
        return typing.get_args(hint)[0]
    return hint


def imports(annotation: str) -> list[str]:
    """Return the statements that an annotation of the page needs."""
    modules = sorted({name.rpartition(".")[0] for name in re.findall(r"[a-z_]\w*(?:\.\w+)+", annotation)})
    return [f"import {module}" for module in modules]


def test_every_fixture_has_its_type_on_the_page() -> None:
    assert set(documented()) == set(functions()) - NOT_FOR_TESTS


@pytest.mark.parametrize("name", sorted(documented()))
def test_a_fixture_returns_what_the_page_says(name: str) -> None:
    annotation = documented()[name]
    names: dict[str, Any] = {"Any": Any, "Callable": collections.abc.Callable}
    exec("\n".join(imports(annotation)), names)
    assert eval(annotation, names) == returned(functions()[name])


def checked_by_mypy(folder: Path, content: str) -> subprocess.CompletedProcess[str]:
    module = folder / "test_of_a_user.py"
    module.write_text(content)
    # With lakebed's own configuration, in which clients that have no types are allowed.
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(module)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_mypy_takes_a_module_that_annotates_every_fixture(tmp_path: Path) -> None:
    types = documented()
    lines = ["from collections.abc import Callable", "from typing import Any"]
    lines += sorted({line for annotation in types.values() for line in imports(annotation)})
    lines += [f"def test_{name}({name}: {annotation}) -> None: ..." for name, annotation in types.items()]
    lines += [
        "def test_use(",
        "    debezium_connector: lakebed.clients.connector.Connector,",
        "    change_events: lakebed.pytest_plugin.events.ChangeEvents,",
        ") -> None:",
        "    topic: str = debezium_connector.topic('orders')",
        "    for event in change_events('orders'):",
        "        offset: int = event.offset",
    ]
    good = checked_by_mypy(tmp_path, "\n".join(lines) + "\n")
    assert good.returncode == 0, good.stdout + good.stderr
    wrong = [
        *lines,
        "    change_events(1, 2, 3).nothing",
        "    wrong: int = debezium_connector.topic('orders')",
    ]
    bad = checked_by_mypy(tmp_path, "\n".join(wrong) + "\n")
    assert bad.returncode == 1
    assert f"test_of_a_user.py:{len(wrong)}: error: Incompatible types in assignment" in bad.stdout
    assert f"test_of_a_user.py:{len(wrong) - 1}: error" in bad.stdout
