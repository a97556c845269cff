"""How far a table has come in its change topic: recorded in the table, in the commit that brought it there.

Delta Lake keeps it as `userMetadata` of the commit (Delta Lake documentation, "Table batch reads and writes",
section "Set user-defined commit metadata"), Iceberg as a property of the snapshot (Iceberg documentation,
"Spark Configuration", write option `snapshot-property`). Data and record come together or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lakebed.cdc.lake_rows import IN_TIME

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyspark.sql import SparkSession

PROPERTY = "lakebed.progress"
_RECENT_COMMITS = 10


@dataclass(frozen=True)
class PartitionProgress:
    """How far a table has come in one partition of its topic.

    Attributes:
        offset: of the last record taken in.
        snapshot_offset: of the last row of a whole snapshot; -1 for none. Positions before it say nothing.
        commit_lsn: position in PostgreSQL's log of the last commit before that of the newest change.
        lsn: position of the newest change itself. Both together are the order changes are delivered in.
        highest_lsn: the highest position of any change.
        identities: of the changes at exactly that position; a COPY writes many rows there.
    """

    offset: int
    snapshot_offset: int = -1
    commit_lsn: int = 0
    lsn: int = 0
    highest_lsn: int = 0
    identities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far a table has come in its topic.

    Attributes:
        topic: the name of the topic.
        topic_id: Kafka's id of it, which another topic of the same name does not have.
        partitions: by number of the partition.
    """

    topic: str
    topic_id: str
    partitions: Mapping[int, PartitionProgress] = field(default_factory=dict)

    def has_reached(self, ends: Mapping[int, int]) -> bool:
        """Whether everything before the end offsets, by partition, is in the table."""
        return all(
            end == 0 or (partition in self.partitions and self.partitions[partition].offset >= end - 1)
            for partition, end in ends.items()
        )

    def with_offsets(self, ends: Mapping[int, int]) -> Progress:
        """Return the progress after records, up to these offsets, that change nothing."""
        changed = {
            number: replace(self.partitions.get(number, PartitionProgress(-1)), offset=end)
            for number, end in ends.items()
        }
        return replace(self, partitions={**self.partitions, **changed})

    @property
    def records(self) -> int:
        """A number that grows with every record taken in."""
        return sum(one.offset + 1 for one in self.partitions.values())

    def describe(self) -> str:
        """Return a line for a person: the offset and log position of each partition."""
        parts = [
            f"partition {number} up to offset {one.offset}"
            + (f" (log position {one.lsn})" if one.lsn else "")
            for number, one in sorted(self.partitions.items())
        ]
        return ", ".join(parts) or "nothing yet"

    def to_json(self) -> str:
        """Return the record as it stands in the table."""
        return json.dumps({PROPERTY: asdict(self)})

    @classmethod
    def from_json(cls, text: str | None) -> Progress | None:
        """Return what `to_json` wrote; None for what somebody else has written."""
        try:
            content = json.loads(text or "")[PROPERTY]
            partitions = {
                int(number): PartitionProgress(**{**one, "identities": tuple(one["identities"])})
                for number, one in content["partitions"].items()
            }
            return cls(str(content["topic"]), str(content["topic_id"]), partitions)
        except (ValueError, TypeError, KeyError):
            return None


def first_progress(texts: Iterable[str | None]) -> Progress | None:
    """Return the first of the records that is a progress."""
    return next((found for text in texts if (found := Progress.from_json(text)) is not None), None)


def delta_progress(path: str, storage_options: Mapping[str, str]) -> Progress | None:
    """Return how far a Delta table has come, read without Spark; None for one that is not there, or not ours.

    Args:
        path: `s3a://`, `s3://` or a folder.
        storage_options: of delta-rs, such as `Addresses.delta_storage_options()`.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    options = {**storage_options, **(IN_TIME if storage_options else {})}
    try:
        table = DeltaTable(path.replace("s3a://", "s3://", 1), storage_options=options)
    except TableNotFoundError:
        return None
    for limit in (_RECENT_COMMITS, None):
        found = first_progress(commit.get("userMetadata") for commit in table.history(limit))
        if found is not None:
            return found
    return None


def iceberg_progress(catalog: Catalog, identifier: str) -> Progress | None:
    """Return how far an Iceberg table has come, read without Spark; None as for `delta_progress`."""
    from pyiceberg.exceptions import NoSuchTableError

    try:
        table = catalog.load_table(identifier)
    except NoSuchTableError:
        return None
    snapshot = table.current_snapshot()
    while snapshot is not None:
        summary = snapshot.summary
        found = Progress.from_json(None if summary is None else summary.additional_properties.get(PROPERTY))
        if found is not None or snapshot.parent_snapshot_id is None:
            return found
        snapshot = table.snapshot_by_id(snapshot.parent_snapshot_id)
    return None


def spark_progress(spark: SparkSession, table: str) -> Progress | None:
    """Return how far a table that exists has come, read by Spark; None for one that is not ours."""
    if table.startswith("delta."):
        history: Any = spark.sql(f"DESCRIBE HISTORY {table}").select("userMetadata").orderBy("version")
        return first_progress(row.userMetadata for row in reversed(history.collect()))
    # An empty identifier of the parent is a snapshot nobody built on but the table's current line.
    snapshots = spark.sql(
        f"SELECT summary['{PROPERTY}'] AS progress FROM {table}.history"
        f" JOIN {table}.snapshots USING (snapshot_id) WHERE is_current_ancestor"
        " ORDER BY history.made_current_at DESC"
    )
    return first_progress(row.progress for row in snapshots.collect())
