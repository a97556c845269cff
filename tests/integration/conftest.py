"""What the integration tests share: the addresses of the session's stack; the documentation as tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.documentation import Documentation

from lakebed.pytest_plugin.session import SessionStack
from lakebed.stack.addresses import Addresses

_ALL = ("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest")


@pytest.fixture(scope="session")
def addresses(lakebed_stack: SessionStack) -> Addresses:
    """The addresses of every service of the session's stack."""
    return lakebed_stack.need(*_ALL)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Documentation | None:
    """Collect the documentation's Python beside the tests of its own test file."""
    if file_path.name != "test_documentation.py":
        return None
    documentation: Documentation = Documentation.from_parent(parent, path=file_path)
    return documentation
