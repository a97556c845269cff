"""From the records of one change topic to rows: decoded, without replays, the newest one of each key.

When Connect is killed, it sends again what it had sent since it last wrote its offsets down. Those records
stand in the topic twice, the second time at higher offsets: by offset alone, a table would go back in time and
come forward again. What tells them is the log position (Debezium documentation, "PostgreSQL connector", field
`sequence` of `source`: position of the last commit before, position of the change): changes are delivered in
its order, so one that is behind, and not beyond all others, was there before. Rows of a whole snapshot have no
position of their own, and begin that order anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from lakebed.cdc.avro_types import field_conversion, key_fields, row_fields
from lakebed.cdc.progress import PartitionProgress, Progress
from lakebed.errors import PipelineFailed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    Schemas = Callable[[int], dict[str, Any]]

# Confluent's wire format: a zero byte, four bytes of schema id, then Avro (Confluent documentation,
# "Wire Format").
_SCHEMA_ID = "CASE WHEN substring({0}, 1, 1) = X'00' THEN conv(hex(substring({0}, 2, 4)), 16, 10) END"
_AVRO = "substring({0}, 6)"
# What Debezium sends for a large value that an update did not touch (its documentation, "Toasted values").
_UNAVAILABLE = "__debezium_unavailable_value"
UNAVAILABLE = {"string": f"'{_UNAVAILABLE}'", "binary": f"CAST('{_UNAVAILABLE}' AS binary)"}

OPERATION = "_lakebed_op"
_OFFSET, _PARTITION = "_lakebed_offset", "_lakebed_partition"
# A row of a whole snapshot; any other has the position and the identity.
_SNAPSHOT, _IDENTITY = "_lakebed_snapshot", "_lakebed_identity"
_COMMIT_LSN, _LSN = "_lakebed_commit_lsn", "_lakebed_lsn"
_META = (OPERATION, _OFFSET, _PARTITION, _SNAPSHOT, _IDENTITY, _COMMIT_LSN, _LSN)
_POSITION = f"struct({_COMMIT_LSN} AS commit_lsn, {_LSN} AS lsn)"


@dataclass(frozen=True)
class Records:
    """What there is in a batch of one topic, found out without decoding it.

    Attributes:
        kinds: rows with `partition`, `key_schema`, `value_schema`, `records`, `highest` (offset), `tombstones`.
    """

    kinds: Sequence[Row]

    @property
    def ends(self) -> dict[int, int]:
        """By partition, the offset of the last record."""
        found: dict[int, int] = {}
        for kind in self.kinds:
            found[kind.partition] = max(found.get(kind.partition, -1), kind.highest)
        return found

    @property
    def changes(self) -> int:
        """How many records are changes and not tombstones."""
        return sum(kind.records for kind in self.kinds if not kind.is_tombstone)


def look_at(batch: DataFrame, progress: Progress | None) -> tuple[DataFrame, Records]:
    """Return the records that a table has not taken in, and what they are."""
    new = batch.selectExpr("key", "value", "partition", "offset")
    for number, one in ({} if progress is None else progress.partitions).items():
        new = new.where(f"NOT (partition = {number} AND offset <= {one.offset})")
    kinds = new.selectExpr(
        "partition",
        "offset",
        f"{_SCHEMA_ID.format('key')} AS key_schema",
        f"{_SCHEMA_ID.format('value')} AS value_schema",
        "key IS NULL AS is_keyless",
        "value IS NULL AS is_tombstone",
    )
    found = kinds.groupBy("partition", "key_schema", "value_schema", "is_keyless", "is_tombstone").agg(
        {"offset": "max", "*": "count"}
    )
    found = found.withColumnRenamed("max(offset)", "highest").withColumnRenamed("count(1)", "records")
    return new, Records(found.collect())


@dataclass(frozen=True)
class Rows:
    """What a batch does to a table.

    Attributes:
        rows: the newest row of each key, with the operation in the column `OPERATION`; persisted.
        keys: the columns of the primary key; none when the batch only truncates.
        is_truncated: whether all rows that the table had are gone.
        has_unavailable: whether large values that were not touched are missing from updates.
        progress: how far the table has come with them.
    """

    rows: DataFrame
    keys: tuple[str, ...]
    is_truncated: bool
    has_unavailable: bool
    progress: Progress


def rows_of(
    new: DataFrame, records: Records, before: Progress, schemas: Schemas, persisted: list[DataFrame]
) -> Rows | None:
    """Decode a batch; None when it holds only tombstones.

    Args:
        new: what `look_at` returned.
        records: the same.
        before: how far the table has come.
        schemas: returns the Avro schema with an id.
        persisted: gets what is to be unpersisted when the rows have been used.

    Raises:
        PipelineFailed: a record is no change event in Avro, or its table has no primary key.
    """
    _refuse_json(records, before.topic)
    pairs = {
        (kind.value_schema, kind.key_schema): kind.highest for kind in records.kinds if not kind.is_tombstone
    }
    if not pairs:
        return None
    # The newest schema last: its columns and its key are those of the table.
    ordered = sorted(pairs, key=pairs.__getitem__)
    parts = []
    for value_id in dict.fromkeys(value_id for value_id, _ in ordered):
        of_schema = new.where(f"{_SCHEMA_ID.format('value')} = {value_id}")
        parts.append(_decoded(of_schema, schemas(int(value_id)), before.topic))
    keys = [key_fields(schemas(int(key_id))) for _, key_id in ordered if key_id is not None]
    key = tuple(keys[-1]) if keys else ()
    events = reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), parts).persist()
    persisted.append(events)
    partitions = events.groupBy(_PARTITION).agg(*_aggregates(events)).collect()
    _refuse_without_key(partitions, before.topic)
    progress, fresh = _without_replays(events, partitions, before, records.ends, persisted)
    rows = _newest(fresh, partitions, key, progress)
    persisted.append(rows.rows)
    return rows


def _refuse_json(records: Records, topic: str) -> None:
    for kind in records.kinds:
        if not kind.is_tombstone and (
            kind.value_schema is None or not (kind.is_keyless or kind.key_schema is not None)
        ):
            raise PipelineFailed(
                f"read topic {topic!r}",
                f"partition {kind.partition} has {kind.records} records that are not Avro with a schema's id in"
                f" front, the last at offset {kind.highest}; JSON does not say which types its values have",
                "let the connector write Avro: `@pytest.mark.debezium(avro=True)`, or"
                " `extra_config=addresses.avro_converter()`",
            )


def _decoded(records: DataFrame, schema: dict[str, Any], topic: str) -> DataFrame:
    """Return each change's row, after it or, where it is a delete, before it; with what `_META` names."""
    from pyspark.sql.avro.functions import from_avro
    from pyspark.sql.functions import expr

    try:
        columns = row_fields(schema)
    except ValueError as error:
        raise PipelineFailed(
            f"read topic {topic!r}", str(error), "give the pipeline a topic that Debezium writes"
        ) from error
    events = records.select(
        from_avro(expr(_AVRO.format("value")), json.dumps(schema)).alias("event"),
        "key",
        "offset",
        "partition",
    )
    is_snapshot = "event.op = 'r' AND coalesce(event.source.snapshot, '') != 'incremental'"
    sequence = "from_json(event.source.sequence, 'array<string>')"
    events = events.selectExpr(
        "coalesce(event.after, event.before) AS row",
        f"event.op AS {OPERATION}",
        f"offset AS {_OFFSET}",
        f"partition AS {_PARTITION}",
        f"{is_snapshot} AS {_SNAPSHOT}",
        f"concat(event.op, ' ', hex(xxhash64(key))) AS {_IDENTITY}",
        f"CASE WHEN {is_snapshot} THEN 0 ELSE coalesce(CAST({sequence}[0] AS bigint), 0) END AS {_COMMIT_LSN}",
        f"CASE WHEN {is_snapshot} THEN 0 ELSE coalesce(event.source.lsn, 0) END AS {_LSN}",
        "key IS NULL AND event.op != 't' AS is_without_key",
    )
    converted = [f"{field_conversion(kind, f'row.`{name}`')} AS `{name}`" for name, kind in columns.items()]
    return events.selectExpr(*converted, *_META, "is_without_key")


def _unavailable(rows: DataFrame) -> str:
    """Return the condition under which a row has a value that Debezium did not send."""
    tests = [
        f"`{field.name}` = {UNAVAILABLE[field.dataType.simpleString()]}"
        for field in rows.schema.fields
        if field.name not in _META and field.dataType.simpleString() in UNAVAILABLE
    ]
    return " OR ".join(tests) or "false"


def _aggregates(events: DataFrame) -> list[Any]:
    from pyspark.sql.functions import expr

    return [
        expr(f"max(CASE WHEN {_SNAPSHOT} THEN {_OFFSET} END) AS snapshot_offset"),
        expr(f"max(CASE WHEN {OPERATION} = 't' THEN {_OFFSET} END) AS truncated_at"),
        expr(f"bool_or(NOT {_SNAPSHOT}) AS is_streamed"),
        expr(f"bool_or({_unavailable(events)}) AS has_unavailable"),
        expr("max(CASE WHEN is_without_key THEN " + _OFFSET + " END) AS without_key"),
    ]


def _refuse_without_key(partitions: Sequence[Row], topic: str) -> None:
    for one in partitions:
        if one.without_key is not None:
            raise PipelineFailed(
                f"merge the changes of topic {topic!r} by key",
                f"the change at offset {one.without_key} has no key: its table has no primary key",
                "give it one (`ALTER TABLE ... ADD PRIMARY KEY`), or name columns that identify a row with the"
                " connector's setting `message.key.columns`",
            )
    if len(partitions) > 1 and any(one.truncated_at is not None for one in partitions):
        raise PipelineFailed(
            f"take in a TRUNCATE from topic {topic!r}",
            f"the topic has changes in {len(partitions)} partitions, and nothing tells what came first",
            "give the topic one partition, or let Debezium skip it: `skipped.operations=t`",
        )


def _by_partition(values: Mapping[int, str], otherwise: str) -> str:
    """Return the SQL expression that has another value for each partition."""
    cases = " ".join(f"WHEN {number} THEN {value}" for number, value in values.items())
    return f"CASE {_PARTITION} {cases} ELSE {otherwise} END" if cases else otherwise


def _without_replays(
    events: DataFrame,
    partitions: Sequence[Row],
    before: Progress,
    ends: Mapping[int, int],
    persisted: list[DataFrame],
) -> tuple[Progress, DataFrame]:
    """Return how far the table comes with these events, and those of them that were not there before."""
    known = {number: before.partitions.get(number, PartitionProgress(-1)) for number in ends}
    for one in partitions:
        if one.snapshot_offset is not None:
            # A whole snapshot: the order of positions begins anew.
            known[one[_PARTITION]] = PartitionProgress(-1, snapshot_offset=one.snapshot_offset)
    after = {number: replace(known[number], offset=end) for number, end in ends.items()}
    if not any(one.is_streamed for one in partitions):
        return replace(before, partitions={**before.partitions, **after}), events

    begin = _by_partition({number: f"{one.snapshot_offset}L" for number, one in known.items()}, "-1L")
    earlier = (
        f"(PARTITION BY {_PARTITION} ORDER BY {_OFFSET} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
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
    has_position = f"NOT {_SNAPSHOT} AND {_OFFSET} > {begin} AND {_LSN} > 0"
    positioned = events.where(has_position).selectExpr(
        "*",
        f"greatest({recorded}, max({_POSITION}) OVER {earlier}) AS _before",
        f"greatest({highest}, max({_LSN}) OVER {earlier}) AS _highest",
        f"row_number() OVER (PARTITION BY {_PARTITION}, {_COMMIT_LSN}, {_LSN}, {_IDENTITY} ORDER BY {_OFFSET})"
        " AS _time",
    )
    is_replay = (
        f"({_POSITION} < _before AND {_LSN} <= _highest) OR _time > 1"
        f" OR ({_POSITION} = {recorded} AND array_contains({identities}, {_IDENTITY}))"
    )
    fresh = positioned.where(f"NOT ({is_replay})").drop("_before", "_highest", "_time").persist()
    persisted.append(fresh)
    newest = (
        fresh.groupBy(_PARTITION, _COMMIT_LSN, _LSN)
        .agg({_IDENTITY: "collect_set"})
        .selectExpr(
            _PARTITION,
            _LSN,
            f"struct({_COMMIT_LSN} AS commit_lsn, {_LSN} AS lsn, `collect_set({_IDENTITY})` AS identities) AS last",
        )
        .groupBy(_PARTITION)
        .agg({"last": "max", _LSN: "max"})
        .collect()
    )
    for row in newest:
        after[row[_PARTITION]] = _advanced(after[row[_PARTITION]], row["max(last)"], row[f"max({_LSN})"])
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


def _newest(fresh: DataFrame, partitions: Sequence[Row], key: tuple[str, ...], progress: Progress) -> Rows:
    truncated_at = max((one.truncated_at for one in partitions if one.truncated_at is not None), default=None)
    has_unavailable = any(one.has_unavailable for one in partitions)
    if truncated_at is not None:
        fresh = fresh.where(f"{_OFFSET} > {truncated_at}")
    if key:
        by_key = f"PARTITION BY {names(key)} ORDER BY {_OFFSET}"
        if has_unavailable:
            fresh = fresh.selectExpr(*_carried_values(fresh, by_key))
        fresh = fresh.selectExpr("*", f"row_number() OVER ({by_key} DESC) AS _newest").where("_newest = 1")
    hidden = [name for name in (*_META, "is_without_key", "_newest") if name != OPERATION]
    rows = fresh.drop(*hidden).persist()
    return Rows(rows, key, truncated_at is not None, has_unavailable, progress)


def _carried_values(rows: DataFrame, by_key: str) -> list[str]:
    """Return the columns, with the value of an earlier change of the same key where Debezium sent none."""
    columns = []
    for field in rows.schema.fields:
        unavailable = UNAVAILABLE.get(field.dataType.simpleString())
        if unavailable is None or field.name in _META:
            columns.append(f"`{field.name}`")
        else:
            sent = (
                f"CASE WHEN NOT (`{field.name}` <=> {unavailable}) THEN struct(`{field.name}` AS value) END"
            )
            last = f"last({sent}, true) OVER ({by_key} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
            columns.append(
                f"CASE WHEN {last} IS NULL THEN `{field.name}` ELSE {last}.value END AS `{field.name}`"
            )
    return columns


def names(columns: Sequence[str], prefix: str = "") -> str:
    """Return columns as SQL, each with a prefix such as "change."."""
    return ", ".join(f"{prefix}`{column}`" for column in columns)
