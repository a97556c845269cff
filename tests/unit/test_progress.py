"""How far a table has come, as it is recorded, and which types become wider."""

from __future__ import annotations

import pytest

from lakebed.cdc.lake_table import is_wider
from lakebed.cdc.progress import PartitionProgress, Progress, first_progress

PROGRESS = Progress(
    "orders", "Ab3", {0: PartitionProgress(9, 3, 100, 120, 130, ("c 1", "u 2")), 1: PartitionProgress(4)}
)


def test_a_record_is_read_as_it_was_written() -> None:
    assert Progress.from_json(PROGRESS.to_json()) == PROGRESS
    assert first_progress([None, "nonsense", '{"other": 1}', PROGRESS.to_json()]) == PROGRESS
    assert first_progress([None, "[]"]) is None


@pytest.mark.parametrize(
    ("ends", "reached"),
    [
        ({0: 10, 1: 5}, True),
        ({0: 10, 1: 5, 2: 0}, True),
        ({0: 11, 1: 5}, False),
        ({0: 10, 1: 5, 2: 1}, False),
        ({}, True),
    ],
)
def test_the_end_is_reached_when_every_partition_is(ends: dict[int, int], reached: bool) -> None:
    assert PROGRESS.has_reached(ends) is reached


def test_records_that_change_nothing_move_the_offsets_only() -> None:
    after = PROGRESS.with_offsets({0: 12})
    assert after.partitions == {
        0: PartitionProgress(12, 3, 100, 120, 130, ("c 1", "u 2")),
        1: PartitionProgress(4),
    }
    assert after.records - PROGRESS.records == 3
    assert "partition 0 up to offset 12 (log position 120)" in after.describe()


@pytest.mark.parametrize(
    ("kind", "than", "wider"),
    [
        ("bigint", "int", True),
        ("int", "bigint", False),
        ("int", "int", False),
        ("double", "float", True),
        ("decimal(12,2)", "decimal(8,2)", True),
        ("decimal(12,3)", "decimal(8,2)", False),
        ("string", "int", False),
        ("bigint", "float", False),
    ],
)
def test_wider_types(kind: str, than: str, wider: bool) -> None:
    assert is_wider(kind, than) is wider
