"""What the integration tests share: the addresses of the session's stack."""

from __future__ import annotations

import pytest

from lakebed.pytest_plugin.session import SessionStack
from lakebed.stack.addresses import Addresses

_ALL = ("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have one worker of pytest-xdist run all tests with Spark (`--dist loadgroup`): one session, warm."""
    if "spark_session" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group("spark"))


@pytest.fixture(scope="session")
def addresses(lakebed_stack: SessionStack) -> Addresses:
    """The addresses of every service of the session's stack."""
    return lakebed_stack.need(*_ALL)
