"""What the integration tests share: the addresses of the session's stack, and test runs inside a test."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import pytest

from lakebed.pytest_plugin.session import SessionStack
from lakebed.stack.addresses import Addresses

RunTests = Callable[..., pytest.RunResult]

_ALL = ("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest")


@pytest.fixture(scope="session")
def addresses(lakebed_stack: SessionStack) -> Addresses:
    """The addresses of every service of the session's stack."""
    return lakebed_stack.need(*_ALL)


@pytest.fixture
def run_tests(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    stacks: Path,
    child_environment: Callable[[Path], dict[str, str]],
) -> RunTests:
    """Run pytest on files in a process and with a stack of its own.

    Called with options for pytest and, by name, the contents of `<name>.py`. When the test is over, nothing
    of the inner stack may be left.
    """
    for name, value in child_environment(stacks).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LAKEBED_STACK", raising=False)
    # Installed, lakebed is found by its entry point.
    installed = {entry.name for entry in importlib.metadata.entry_points(group="pytest11")}
    plugin = [] if "lakebed" in installed else ["-p", "lakebed.pytest_plugin"]

    def run(*options: str, **files: str) -> pytest.RunResult:
        pytester.makepyfile(**files)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *plugin, *options)

    return run
