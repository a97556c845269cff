"""With `pytest -n N --dist loadgroup`: every test of Spark in the same worker, and so only one Spark."""

from __future__ import annotations

import pytest

SPARK_FIXTURE = "spark_session"
SPARK_GROUP = "spark"
_GROUP_MARK = "xdist_group"


# First, because a worker of pytest-xdist takes the groups from the marks in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests that use Spark into a group of pytest-xdist, those with a group of their own excepted.

    Source: pytest-xdist documentation, "Running tests across multiple CPUs" (`--dist loadgroup`).
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        if SPARK_FIXTURE in getattr(item, "fixturenames", ()) and not item.get_closest_marker(_GROUP_MARK):
            item.add_marker(pytest.mark.xdist_group(SPARK_GROUP))
