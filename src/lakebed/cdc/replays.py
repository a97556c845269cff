"""Change events that stand in a topic twice, and how they are known.

When Connect is killed, it sends again what it had sent since it last wrote its offsets down. Those records
get higher offsets: by offset alone, a table would go back in time and come forward again. What tells them is
the log position (Debezium documentation, "PostgreSQL connector", field `sequence` of `source`: position of
the last commit before, position of the change). Changes are delivered in its order, so one that is behind,
and not beyond all others, was there before. Rows of a whole snapshot have no position; they begin that order
anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lakebed.cdc.progress import PartitionProgress, Progress

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

# Columns of a decoded event, beside those of its row.
OPERATION = "_lakebed_op"
OFFSET, PARTITION = "_lakebed_offset", "_lakebed_partition"
# A row of a whole snapshot; any other has the position and the identity.
SNAPSHOT, IDENTITY = "_lakebed_snapshot", "_lakebed_identity"
COMMIT_LSN, LSN = "_lakebed_commit_lsn", "_lakebed_lsn"
_POSITION = f"struct({COMMIT_LSN} AS commit_lsn, {LSN} AS lsn)"


def _by_partition(values: Mapping[int, str], otherwise: str) -> str:
    """Return the SQL expression that has another value for each partition."""
    cases = " ".join(f"WHEN {number} THEN {value}" for number, value in values.items())
    return f"CASE {PARTITION} {cases} ELSE {otherwise} END" if cases else otherwise


def without_replays(
    events: DataFrame,
    partitions: Sequence[Row],
    before: Progress,
    ends: Mapping[int, int],
    persisted: list[DataFrame],
) -> tuple[Progress, DataFrame]:
    """Return how far the table comes with events, and those of them that were not there before.

    Args:
        events: with the columns named above.
        partitions: of each, whether changes are streamed, and the offset of its last snapshot row.
        before: how far the table has come.
        ends: by partition, the offset of the last record.
        persisted: gets what is to be unpersisted later.
    """
    known = {number: before.partitions.get(number, PartitionProgress(-1)) for number in ends}
    for one in partitions:
        if one.snapshot_offset is not None:
            # A whole snapshot: the order of positions begins anew.
            known[one[PARTITION]] = PartitionProgress(-1, snapshot_offset=one.snapshot_offset)
    after = {number: replace(known[number], offset=end) for number, end in ends.items()}
    if not any(one.is_streamed for one in partitions):
        return replace(before, partitions={**before.partitions, **after}), events

    begin = _by_partition({number: f"{one.snapshot_offset}L" for number, one in known.items()}, "-1L")
    earlier = f"(PARTITION BY {PARTITION} ORDER BY {OFFSET} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    recorded = _by_partition(
        {
            number: f"named_struct('commit_lsn', {one.commit_lsn}L, 'lsn', {one.lsn}L)"
            for number, one in known.items()
        },
        "named_struct('commit_lsn', 0L, 'lsn', 0L)",
    )
    highest = _by_partition({number: f"{one.highest_lsn}L" for number, one in known.items()}, "0L")
    identities = _by_partition(
        {
            number: f"array({', '.join(map(repr, one.identities))})"
            for number, one in known.items()
            if one.identities
        },
        "CAST(array() AS array<string>)",
    )
    has_position = f"NOT {SNAPSHOT} AND {OFFSET} > {begin} AND {LSN} > 0"
    positioned = events.where(has_position).selectExpr(
        "*",
        f"greatest({recorded}, max({_POSITION}) OVER {earlier}) AS _before",
        f"greatest({highest}, max({LSN}) OVER {earlier}) AS _highest",
        f"row_number() OVER (PARTITION BY {PARTITION}, {COMMIT_LSN}, {LSN}, {IDENTITY}"
        f" ORDER BY {OFFSET}) AS _time",
    )
    is_replay = (
        f"({_POSITION} < _before AND {LSN} <= _highest) OR _time > 1"
        f" OR ({_POSITION} = {recorded} AND array_contains({identities}, {IDENTITY}))"
    )
    fresh = positioned.where(f"NOT ({is_replay})").drop("_before", "_highest", "_time").persist()
    persisted.append(fresh)
    newest = (
        fresh.groupBy(PARTITION, COMMIT_LSN, LSN)
        .agg({IDENTITY: "collect_set"})
        .selectExpr(
            PARTITION,
            LSN,
            f"struct({COMMIT_LSN} AS commit_lsn, {LSN} AS lsn,"
            f" `collect_set({IDENTITY})` AS identities) AS last",
        )
        .groupBy(PARTITION)
        .agg({"last": "max", LSN: "max"})
        .collect()
    )
    for row in newest:
        after[row[PARTITION]] = _advanced(after[row[PARTITION]], row["max(last)"], row[f"max({LSN})"])
    progress = replace(before, partitions={**before.partitions, **after})
    return progress, fresh.unionByName(events.where(f"NOT ({has_position})"))


def _advanced(known: PartitionProgress, last: Row, highest: int) -> PartitionProgress:
    position, recorded = (last.commit_lsn, last.lsn), (known.commit_lsn, known.lsn)
    identities = tuple(sorted(last.identities))
    if position == recorded:
        identities = tuple(sorted({*known.identities, *identities}))
    return replace(
        known,
        commit_lsn=last.commit_lsn,
        lsn=last.lsn,
        highest_lsn=max(known.highest_lsn, highest),
        identities=identities,
    )
