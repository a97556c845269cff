"""From the records of one change topic to rows: decoded, without replays, the newest one of each key."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from lakebed.cdc.avro_types import field_conversion, key_fields, row_fields
from lakebed.cdc.progress import Progress
from lakebed.cdc.replays import (
    COMMIT_LSN,
    IDENTITY,
    LSN,
    OFFSET,
    OPERATION,
    PARTITION,
    SNAPSHOT,
    without_replays,
)
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

_META = (OPERATION, OFFSET, PARTITION, SNAPSHOT, IDENTITY, COMMIT_LSN, LSN)


@dataclass(frozen=True)
class Records:
    """What there is in a batch of one topic, found out without decoding it.

    Attributes:
        kinds: rows with `partition`, `key_schema`, `value_schema`, `is_keyless`, `is_tombstone`,
            `records` (how many), `highest` (offset).
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
    partitions = events.groupBy(PARTITION).agg(*_aggregates(events)).collect()
    _refuse_without_key(partitions, before.topic)
    progress, fresh = without_replays(events, partitions, before, records.ends, persisted)
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
                f"partition {kind.partition} has {kind.records} records that are not Avro with a schema's"
                f" id in front, the last at offset {kind.highest}; JSON does not say which types it has",
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
    # Spark 4 fails where 3.5 has NULL, unless it is told otherwise (its documentation, "ANSI Compliance").
    commit_lsn = "try_cast(get(from_json(event.source.sequence, 'array<string>'), 0) AS bigint)"
    events = events.selectExpr(
        "coalesce(event.after, event.before) AS row",
        f"event.op AS {OPERATION}",
        f"offset AS {OFFSET}",
        f"partition AS {PARTITION}",
        f"{is_snapshot} AS {SNAPSHOT}",
        f"concat(event.op, ' ', hex(xxhash64(key))) AS {IDENTITY}",
        f"CASE WHEN {is_snapshot} THEN 0 ELSE coalesce({commit_lsn}, 0) END AS {COMMIT_LSN}",
        f"CASE WHEN {is_snapshot} THEN 0 ELSE coalesce(event.source.lsn, 0) END AS {LSN}",
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
        expr(f"max(CASE WHEN {SNAPSHOT} THEN {OFFSET} END) AS snapshot_offset"),
        expr(f"max(CASE WHEN {OPERATION} = 't' THEN {OFFSET} END) AS truncated_at"),
        expr(f"bool_or(NOT {SNAPSHOT}) AS is_streamed"),
        expr(f"bool_or({_unavailable(events)}) AS has_unavailable"),
        expr("max(CASE WHEN is_without_key THEN " + OFFSET + " END) AS without_key"),
    ]


def _refuse_without_key(partitions: Sequence[Row], topic: str) -> None:
    for one in partitions:
        if one.without_key is not None:
            raise PipelineFailed(
                f"merge the changes of topic {topic!r} by key",
                f"the change at offset {one.without_key} has no key: its table has no primary key",
                "give it one (`ALTER TABLE ... ADD PRIMARY KEY`), or name columns that identify a row with"
                " the connector's setting `message.key.columns`",
            )
    if len(partitions) > 1 and any(one.truncated_at is not None for one in partitions):
        raise PipelineFailed(
            f"take in a TRUNCATE from topic {topic!r}",
            f"the topic has changes in {len(partitions)} partitions, and nothing tells what came first",
            "give the topic one partition, or let Debezium skip it: `skipped.operations=t`",
        )


def _newest(fresh: DataFrame, partitions: Sequence[Row], key: tuple[str, ...], progress: Progress) -> Rows:
    truncated_at = max((one.truncated_at for one in partitions if one.truncated_at is not None), default=None)
    has_unavailable = any(one.has_unavailable for one in partitions)
    if truncated_at is not None:
        fresh = fresh.where(f"{OFFSET} > {truncated_at}")
    if key:
        by_key = f"PARTITION BY {names(key)} ORDER BY {OFFSET}"
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
