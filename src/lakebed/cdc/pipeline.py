"""From change topics into Delta and Iceberg tables, by key, with MERGE on Spark Structured Streaming.

One streaming query for each topic: they run side by side, and what one of them cannot take in does not stop
the others. Each table records how far it has come, in the commit that brings the data (see
`lakebed.cdc.progress`). So a batch that is run again, after a crash between two tables or with a checkpoint
that was lost, has no effect on a table that has it already.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from lakebed.cdc.batch_activity import BatchActivity
from lakebed.cdc.change_batch import look_at, rows_of
from lakebed.cdc.lake_table import table_exists, write, write_progress
from lakebed.cdc.progress import Progress, spark_progress
from lakebed.cdc.topic_state import end_offsets, topic_id
from lakebed.config.kafka_clients import Kafka, java_settings
from lakebed.errors import LakebedError, PipelineFailed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

# Side by side even on two cores: most of a small merge is waiting for the S3 store.
TOPICS_AT_ONCE = 4
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")

OnCommit = Callable[[str, Progress], None]


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
        bootstrap_servers: of Kafka, or its endpoint.
        registry: where the topics' Avro schemas are.
        targets: which topic goes where.
        checkpoint: a folder for Spark's checkpoints; the same one continues where it ended.
        on_commit: called after each commit with the table and how far it has come.

    Attributes:
        changes: how many changes it has taken in.

    Raises:
        ValueError: a topic or a table is named twice.
    """

    def __init__(
        self,
        spark: SparkSession,
        bootstrap_servers: Kafka,
        registry: SchemaRegistryClient,
        targets: Sequence[Target],
        checkpoint: str,
        *,
        on_commit: OnCommit = lambda table, progress: None,
    ) -> None:
        _refuse_twice("topic", [target.topic for target in targets])
        _refuse_twice("table", [table for target in targets for table in target.tables])
        self.targets = tuple(targets)
        self.changes = 0
        self._spark = spark
        self._bootstrap_servers = bootstrap_servers
        self._registry = registry
        self._checkpoint = checkpoint
        self._on_commit = on_commit
        self._turns = threading.BoundedSemaphore(TOPICS_AT_ONCE)
        self._topics = {target.topic: _Topic(target) for target in targets}
        self._lock = threading.Lock()

    # -- running -----------------------------------------------------------------------------------

    def run_available(self) -> int:
        """Bring everything that is in the topics now into the tables; return how many changes that was.

        Raises:
            PipelineFailed: of the first topic that failed; the others have been brought in.
        """
        before = self.changes
        ends = end_offsets(self._bootstrap_servers, list(self._topics))
        waiting = [topic for topic in self._topics.values() if topic.has_more(ends[topic.target.topic])]
        with ThreadPoolExecutor(max_workers=TOPICS_AT_ONCE) as pool:
            for topic in waiting:
                pool.submit(self._run_available, topic)
        self.raise_if_failed()
        return self.changes - before

    def _run_available(self, topic: _Topic) -> None:
        try:
            topic.query = self._start(topic, {"availableNow": True})
            topic.query.awaitTermination()
        except Exception as error:  # told by `raise_if_failed`, as that of any other topic
            topic.failure = topic.failure or _as_failure(topic.target.topic, error)

    def start(self, *, trigger_seconds: float = 0.1) -> None:
        """Bring changes in as they come, until `stop`; returns at once. Topics may appear later.

        Args:
            trigger_seconds: how often each topic is looked at.
        """
        for topic in self._topics.values():
            topic.query = self._start(
                topic, {"processingTime": f"{round(1000 * trigger_seconds)} milliseconds"}
            )

    def _start(self, topic: _Topic, trigger: dict[str, Any]) -> StreamingQuery:
        topic.failure = None
        topic.is_stopping = False
        name = topic.target.topic
        source = (
            self._spark.readStream.format("kafka")
            .options(**java_settings(self._bootstrap_servers, "kafka."))
            # As a pattern, because a topic that is not there yet would be an error.
            .option("subscribePattern", re.escape(name))
            .option("startingOffsets", "earliest")
            # What is to be read is there. Kafka's own default waits half a second for more of it.
            .option("kafka.fetch.max.wait.ms", "10")
            .load()
        )
        return (
            source.writeStream.foreachBatch(lambda batch, number: self._take_in(topic, batch, number))
            # Unique, because another pipeline may read the same topic.
            .queryName(f"{name} {uuid.uuid4().hex[:8]}")
            .option("checkpointLocation", f"{self._checkpoint}/{_UNSAFE.sub('_', name)}")
            .trigger(**trigger)
            .start()
        )

    def stop(self) -> None:
        """End what `start` began, after the batches that are under way."""
        for topic in self._topics.values():
            topic.is_stopping = True
        for topic in self._topics.values():
            with topic.batch:
                # No batch is under way now; one that begins sees that it is to end.
                pass
            if topic.query is not None:
                topic.query.stop()
                topic.query = None

    def raise_if_failed(self) -> None:
        """Raise what ended a topic's query.

        Raises:
            PipelineFailed: with the topic and the cause; those of other topics stand in its text.
        """
        failures = [failure for topic in self._topics.values() if (failure := topic.failed()) is not None]
        if failures:
            first, *others = failures
            if others:
                first.seen += "".join(f"\nalso: {other}" for other in others)
                raise type(first)(first.attempted, first.seen, first.remedy) from first
            raise first

    def describe(self) -> str:
        """Return for a person, by topic, the batch that is under way, its step, and since when."""
        return "\n".join(
            f"pipeline, topic {name!r}: {topic.describe()}" for name, topic in self._topics.items()
        )

    def progress(self, table: str) -> Progress | None:
        """Return how far a table has come; None for one that no pipeline has written yet."""
        topic = next(topic for topic in self._topics.values() if table in topic.target.tables)
        if table not in topic.progress and topic.batch.acquire(blocking=False):
            # No batch has come since the start, and none may: there may be nothing new.
            try:
                if table_exists(self._spark, table):
                    topic.progress[table] = spark_progress(self._spark, table)
            finally:
                topic.batch.release()
        return topic.progress.get(table)

    # -- one batch ---------------------------------------------------------------------------------

    def _take_in(self, topic: _Topic, batch: DataFrame, number: int) -> None:
        with topic.activity.batch(number, "wait for its turn"), topic.batch, self._turns:
            topic.activity.step("read its records")
            if topic.is_stopping:
                raise PipelineFailed(f"take in topic {topic.target.topic!r}", "the pipeline is being stopped")
            try:
                changes = self._bring_into_tables(topic, batch)
            except BaseException as error:
                # The JVM would hand back only its text. What the tables hold now is not known.
                topic.failure = _as_failure(topic.target.topic, error)
                topic.progress.clear()
                raise
            with self._lock:
                self.changes += changes

    def _bring_into_tables(self, topic: _Topic, batch: DataFrame) -> int:
        name = topic.target.topic
        if topic.id is None:
            topic.id = topic_id(self._bootstrap_servers, name)
        spark = batch.sparkSession
        # Tables that have come equally far get the same rows; they differ after a crash between two of them.
        groups: dict[str, tuple[Progress, list[str]]] = {}
        for table in topic.target.tables:
            if table not in topic.progress:
                topic.progress[table] = _recorded(spark, table, name, topic.id)
            before = topic.progress[table] or Progress(name, topic.id)
            groups.setdefault(before.to_json(), (before, []))[1].append(table)
        changes = 0
        for before, tables in groups.values():
            changes = max(changes, self._bring_into(topic, batch, before, tables))
        return changes

    def _bring_into(self, topic: _Topic, batch: DataFrame, before: Progress, tables: Sequence[str]) -> int:
        new, records = look_at(batch, before)
        if not records.kinds:
            return 0
        spark = batch.sparkSession
        persisted: list[DataFrame] = []
        try:
            rows = rows_of(new, records, before, self._schema, persisted)
            for table in tables:
                topic.activity.step(f"write {table}")
                if rows is not None:
                    write(spark, table, rows, topic.progress[table])
                    topic.progress[table] = rows.progress
                elif topic.progress[table] is not None:
                    after = before.with_offsets(records.ends)
                    write_progress(spark, table, after)
                    topic.progress[table] = after
                if (now := topic.progress[table]) is not None:
                    self._on_commit(table, now)
        finally:
            for one in persisted:
                one.unpersist()
        return records.changes

    def _schema(self, schema_id: int) -> dict[str, Any]:
        try:
            text = self._registry.get_schema(schema_id).schema_str
        except SchemaRegistryError as error:
            raise PipelineFailed(
                f"decode a record by the schema {schema_id} of the registry",
                str(error),
                "the record is no Avro of this registry, or its subject was deleted for good:"
                " write the schema again with that id, or begin with a new topic",
            ) from error
        schema: dict[str, Any] = json.loads(text or "{}")
        return schema


class _Topic:
    """What a pipeline knows of one of its topics."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.id: str | None = None
        self.query: StreamingQuery | None = None
        self.failure: LakebedError | None = None
        self.is_stopping = False
        self.activity = BatchActivity()
        # Held while a batch is under way.
        self.batch = threading.Lock()
        self.progress: dict[str, Progress | None] = {}

    def has_more(self, ends: dict[int, int]) -> bool:
        """Whether there may be something that a table does not have."""
        known = [self.progress.get(table) for table in self.target.tables]
        return any(ends.values()) and not all(one is not None and one.has_reached(ends) for one in known)

    def describe(self) -> str:
        runs = self.query is not None and self.query.isActive
        return self.activity.describe() + ("" if runs else "; no query runs, see `start`")

    def failed(self) -> LakebedError | None:
        if self.failure is not None or self.query is None:
            return self.failure
        error = self.query.exception()
        return None if error is None else _as_failure(self.target.topic, error)


def _recorded(spark: SparkSession, table: str, topic: str, id_of_topic: str) -> Progress | None:
    """Return how far a table has come.

    Raises:
        PipelineFailed: it was filled from another topic.
    """
    found = spark_progress(spark, table) if table_exists(spark, table) else None
    if found is not None and (found.topic, found.topic_id) != (topic, id_of_topic):
        was = "an earlier topic of that name" if found.topic == topic else f"topic {found.topic!r}"
        raise PipelineFailed(
            f"bring topic {topic!r} into {table}",
            f"the table was filled from {was}, {found.describe()}",
            "delete the table and the checkpoint, and let it be filled anew",
        )
    return found


def _refuse_twice(what: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} {', '.join(twice)} is named twice; a {what} may have one target only")


def _as_failure(topic: str, error: BaseException) -> LakebedError:
    if isinstance(error, LakebedError):
        return error
    lines = str(error).strip().splitlines()
    # Java's trace says nothing that a reader of Python could use.
    told = [line for line in lines if not line.startswith(("\tat ", "\t..."))]
    return PipelineFailed(
        f"take in topic {topic!r}",
        "\n".join(told[:15]) or type(error).__name__,
        "what came in before stays; correct the cause and run the pipeline again",
    )
