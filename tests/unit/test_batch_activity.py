"""What a topic's query says that it is doing."""

from __future__ import annotations

import pytest

from lakebed.cdc.batch_activity import BatchActivity


class Clock:
    """Seconds that only a test lets pass."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_from_no_batch_over_the_steps_of_one_to_its_end() -> None:
    clock = Clock()
    activity = BatchActivity(clock)
    clock.now += 5
    assert activity.describe() == "no batch has come yet"
    with activity.batch(7, "wait for its turn"):
        clock.now += 2
        activity.step("write a table")
        clock.now += 30
        assert activity.describe() == (
            "batch 7 is under way for 32.0 s, and 30.0 s of them it does this: write a table"
        )
    clock.now += 4
    assert activity.describe() == "no batch is under way for 4.0 s; the last one, batch 7, took 32.0 s"


def test_a_batch_that_fails_is_not_under_way_any_more() -> None:
    activity = BatchActivity(Clock())
    with pytest.raises(LookupError), activity.batch(0, "read"):
        raise LookupError
    assert activity.describe().startswith("no batch is under way")
