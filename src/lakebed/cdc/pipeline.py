"""From change topics into Delta and Iceberg tables, by key, with MERGE on Spark Structured Streaming.

The state is Spark's checkpoint: which offsets went into which batch. A batch that is run again after a
crash merges the same newest row for each key, so its effect is the same.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from confluent_kafka.schema_registry import SchemaRegistryClient

from lakebed.cdc.avro_types import field_conversion, key_fields, row_fields

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Confluent's wire format: a zero byte, four bytes of schema id, then Avro (Confluent documentation,
# "Wire Format").
_SCHEMA_ID = "conv(hex(substring({0}, 2, 4)), 16, 10)"
_AVRO = "substring({0}, 6)"
_TABLES_AT_ONCE = 4
_OPERATION, _OFFSET = "_lakebed_op", "_lakebed_offset"


@dataclass(frozen=True)
class Target:
    """Where the rows of one topic go.

    Attributes:
        topic: the change topic.
        tables: the tables kept equal to the source, as Spark names them: "delta.`s3a://b/t`" or
            "iceberg.namespace.table".
    """

    topic: str
    tables: tuple[str, ...]


class Pipeline:
    """Keeps tables equal to their source tables.

    Args:
        spark: a session with Delta, Iceberg, Kafka and Avro.
        bootstrap_servers: of Kafka.
        registry: where the topics' Avro schemas are.
        targets: which topic goes where.
        checkpoint: a folder for Spark's checkpoint; the same one continues where it ended.
    """

    def __init__(
        self,
        spark: SparkSession,
        bootstrap_servers: str,
        registry: SchemaRegistryClient,
        targets: Sequence[Target],
        checkpoint: str,
    ) -> None:
        self._spark = spark
        self._bootstrap_servers = bootstrap_servers
        self._registry = registry
        self._targets = tuple(targets)
        self._checkpoint = checkpoint
        self.changes = 0

    def run_available(self) -> int:
        """Bring everything that is in the topics now into the tables; return how many changes that was."""
        before = self.changes
        source = (
            self._spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", self._bootstrap_servers)
            .option("subscribe", ",".join(target.topic for target in self._targets))
            .option("startingOffsets", "earliest")
            .load()
        )
        query = (
            source.writeStream.foreachBatch(self._merge_batch)
            .option("checkpointLocation", self._checkpoint)
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        return self.changes - before

    def _merge_batch(self, batch: DataFrame, batch_id: int) -> None:
        # A tombstone repeats for log compaction what the delete before it said.
        changes = batch.where("value IS NOT NULL").selectExpr(
            "topic",
            "key",
            "value",
            f"offset AS {_OFFSET}",
            f"{_SCHEMA_ID.format('key')} AS key_schema",
            f"{_SCHEMA_ID.format('value')} AS value_schema",
        )
        changes = changes.persist()
        try:
            schemas = changes.groupBy("topic", "key_schema", "value_schema").count().collect()
            with ThreadPoolExecutor(max_workers=_TABLES_AT_ONCE) as pool:
                merges = []
                for target in self._targets:
                    ids = sorted(
                        (int(row.key_schema), int(row.value_schema))
                        for row in schemas
                        if row.topic == target.topic
                    )
                    if ids:
                        of_topic = changes.where(changes.topic == target.topic)
                        merges.append(pool.submit(self._merge, of_topic, ids, target.tables))
                for merge in merges:
                    merge.result()
            self.changes += sum(row["count"] for row in schemas)
        finally:
            changes.unpersist()

    def _schema(self, schema_id: int) -> str:
        text = self._registry.get_schema(schema_id).schema_str
        assert text is not None
        return text

    def _merge(self, changes: DataFrame, ids: Iterable[tuple[int, int]], tables: Sequence[str]) -> None:
        parts, keys = [], []
        for key_id, value_id in ids:
            keys = key_fields(json.loads(self._schema(key_id)))
            parts.append(self._rows(changes.where(f"value_schema = {value_id}"), self._schema(value_id)))
        rows = reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), parts)
        newest = f"row_number() OVER (PARTITION BY {_names(keys)} ORDER BY {_OFFSET} DESC) AS _newest"
        rows = rows.selectExpr("*", newest).where("_newest = 1").drop("_newest", _OFFSET).persist()
        try:
            for table in tables:
                _ensure_table(rows.sparkSession, table, rows.drop(_OPERATION))
                if rows.sparkSession.table(table).isEmpty():
                    _append_rows(table, rows)
                else:
                    _merge_rows(table, rows, keys)
        finally:
            rows.unpersist()

    @staticmethod
    def _rows(changes: DataFrame, schema: str) -> DataFrame:
        """Return each change's row, after it or, where it is a delete, before it; with operation, offset."""
        from pyspark.sql.avro.functions import from_avro
        from pyspark.sql.functions import expr

        columns = row_fields(json.loads(schema))
        events = changes.select(from_avro(expr(_AVRO.format("value")), schema).alias("event"), _OFFSET)
        rows = events.selectExpr(
            "coalesce(event.after, event.before) AS row", f"event.op AS {_OPERATION}", _OFFSET
        )
        converted = [
            f"{field_conversion(kind, f'row.`{name}`')} AS `{name}`" for name, kind in columns.items()
        ]
        return rows.selectExpr(*converted, _OPERATION, _OFFSET)


def _names(columns: Iterable[str], prefix: str = "") -> str:
    return ", ".join(f"{prefix}`{column}`" for column in columns)


def _ensure_table(spark: SparkSession, table: str, rows: DataFrame) -> None:
    """Make the table, or give it the columns that the source has got since."""
    columns: Mapping[str, str] = {field.name: field.dataType.simpleString() for field in rows.schema.fields}
    provider = "delta" if table.startswith("delta.") else "iceberg"
    definition = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
    spark.sql(f"CREATE TABLE IF NOT EXISTS {table} ({definition}) USING {provider}")
    present = set(spark.table(table).columns)
    added = ", ".join(f"`{name}` {kind}" for name, kind in columns.items() if name not in present)
    if added:
        spark.sql(f"ALTER TABLE {table} ADD COLUMNS ({added})")


def _append_rows(table: str, rows: DataFrame) -> None:
    """Fill a table that has no rows, and so nothing to merge with."""
    rows.where(f"{_OPERATION} != 'd'").drop(_OPERATION).writeTo(table).append()


def _merge_rows(table: str, rows: DataFrame, keys: Sequence[str]) -> None:
    columns = [name for name in rows.columns if name != _OPERATION]
    same_key = " AND ".join(f"target.`{key}` = change.`{key}`" for key in keys)
    assigned = ", ".join(f"`{name}` = change.`{name}`" for name in columns)
    # The view belongs to the session of the batch, which is not the one the query was started in; tables are
    # merged side by side, so each needs a view of its own.
    view = f"_lakebed_changes_{uuid.uuid4().hex}"
    rows.createOrReplaceTempView(view)
    rows.sparkSession.sql(
        f"MERGE INTO {table} AS target USING {view} AS change ON {same_key}"
        f" WHEN MATCHED AND change.{_OPERATION} = 'd' THEN DELETE"
        f" WHEN MATCHED THEN UPDATE SET {assigned}"
        f" WHEN NOT MATCHED AND change.{_OPERATION} != 'd' THEN"
        f" INSERT ({_names(columns)}) VALUES ({_names(columns, 'change.')})"
    )
    rows.sparkSession.catalog.dropTempView(view)
