"""What the integration tests share: the addresses of the session's stack."""

from __future__ import annotations

import pytest

from lakebed.pytest_plugin.session import SessionStack
from lakebed.stack.addresses import Addresses

_ALL = ("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest")


@pytest.fixture(scope="session")
def addresses(lakebed_stack: SessionStack) -> Addresses:
    """The addresses of every service of the session's stack."""
    return lakebed_stack.need(*_ALL)
