"""What lakebed's own code never does: run text as code or through a shell, or read objects from bytes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lakebed

SOURCES = sorted(Path(lakebed.__file__).parent.rglob("*.py"))

FORBIDDEN_CALLS = {
    **dict.fromkeys(("eval", "exec", "compile", "__import__"), "runs text as code"),
    **dict.fromkeys(
        ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"), "a shell"
    ),
    **dict.fromkeys(("yaml.load", "yaml.unsafe_load", "yaml.full_load"), "makes objects from text"),
    **dict.fromkeys(("tempfile.mktemp",), "a name that another may take first"),
    **dict.fromkeys(("ssl._create_unverified_context",), "trusts every server"),
}
FORBIDDEN_MODULES = {
    **dict.fromkeys(("pickle", "marshal", "shelve", "dill", "cloudpickle"), "makes objects from bytes"),
    **dict.fromkeys(("telnetlib", "ftplib", "commands"), "speaks without protection"),
}
# By keyword: values that may not be given. `shell=False` needs no mention, but harms nobody.
FORBIDDEN_KEYWORDS = {"shell": True, "verify": False, "check_hostname": False}


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults_of(code: str) -> Iterator[str]:
    """Yield what a module does that it must not, each with its line."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name in FORBIDDEN_CALLS:
                yield f"line {node.lineno}: {name}, {FORBIDDEN_CALLS[name]}"
            for keyword in node.keywords:
                value = keyword.value
                if keyword.arg in FORBIDDEN_KEYWORDS and (
                    not isinstance(value, ast.Constant) or value.value is FORBIDDEN_KEYWORDS[keyword.arg]
                ):
                    # For httpx a context is how certificates are checked.
                    if keyword.arg == "verify" and not isinstance(value, ast.Constant):
                        continue
                    yield f"line {node.lineno}: {keyword.arg}={ast.unparse(value)}"
        modules: list[str] = []
        line = node.lineno if isinstance(node, ast.stmt) else 0
        if isinstance(node, ast.Import):
            modules = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or "", *(f"{node.module}.{one.name}" for one in node.names)]
        for module in modules:
            for known in {module, module.partition(".")[0]}:
                if known in FORBIDDEN_MODULES:
                    yield f"line {line}: {known}, {FORBIDDEN_MODULES[known]}"
            if module in FORBIDDEN_CALLS:
                yield f"line {line}: {module}, {FORBIDDEN_CALLS[module]}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parent)))
def test_a_module_does_nothing_of_the_kind(source: Path) -> None:
    assert list(faults_of(source.read_text())) == []


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "import os\nos.system('ls')",
        "from os import system",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "subprocess.run(command, shell=wanted)",
        "import pickle",
        "from pickle import loads",
        "import yaml\nyaml.load(text)",
        "httpx.get(url, verify=False)",
    ],
)
def test_what_is_looked_for_would_be_found(code: str) -> None:
    assert list(faults_of(code))
