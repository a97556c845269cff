"""With `pytest -n N --dist loadgroup`: every test of Spark in the same worker, and so only one Spark."""

from __future__ import annotations

import pytest

SPARK_FIXTURE = "spark_session"
SPARK_GROUP = "spark"
_GROUP_MARK = "xdist_group"


def group_if_of_spark(item: pytest.Item) -> None:
    """Put a test that uses Spark into a group of pytest-xdist, if it has none of its own.

    To be called when the item is collected: a worker of pytest-xdist takes the groups before anybody else
    sees the whole collection (pytest-xdist, `WorkerInteractor.pytest_collection_modifyitems`).
    """
    is_asked = getattr(item.config.option, "loadgroup", False)
    uses_spark = SPARK_FIXTURE in getattr(item, "fixturenames", ())
    if is_asked and uses_spark and item.get_closest_marker(_GROUP_MARK) is None:
        item.add_marker(pytest.mark.xdist_group(SPARK_GROUP))
