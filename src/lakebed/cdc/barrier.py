"""Barriers for tables: everything that is in a change topic now has come into a Delta or an Iceberg table.

A table of a lake records up to which offset of its topic it has come (`lakebed.cdc.progress`). Before it
comes the barrier for Kafka, `Connector.wait_until_acknowledged`: all that was committed is in the topics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lakebed.cdc.progress import Progress, delta_progress, iceberg_progress
from lakebed.cdc.topic_state import end_offsets, last_event, shown_ends
from lakebed.config.kafka_clients import Kafka
from lakebed.waiting import MORE_PATIENCE, wait_until

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


DEADLINE_SECONDS = 60.0

Check = Callable[[], None]


def wait_for_table(
    read: Callable[[], Progress | None],
    table: str,
    topic: str,
    bootstrap_servers: Kafka,
    *,
    ends: Mapping[int, int] | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
    check: Check = lambda: None,
    explain: Callable[[], str] | None = None,
) -> Progress | None:
    """Return when everything that is in a topic now has come into a table that a pipeline writes.

    To wait for all that was committed in PostgreSQL, call `Connector.wait_until_acknowledged` first.

    Args:
        read: returns how far the table has come.
        table: how it is called, for the error.
        topic: its change topic; one that does not exist holds nothing to wait for.
        bootstrap_servers: of Kafka, or its endpoint.
        ends: by partition, the offset to come to; None for the present ends of the topic.
        deadline_seconds: how long to wait.
        check: called meanwhile; raises if there is nothing to wait for any more: the pipeline has failed.
        explain: what to add to the error.

    Returns:
        How far the table has come; None if there was nothing to wait for.

    Raises:
        DeadlinePassed: with the table's position, the topic's end and its last event.
    """
    wanted = dict(end_offsets(bootstrap_servers, [topic])[topic] if ends is None else ends)
    if not any(wanted.values()):
        return read()
    seen: list[Progress | None] = [None]

    def has_come() -> bool:
        check()
        seen[0] = read()
        return seen[0] is not None and seen[0].has_reached(wanted)

    def diagnosis() -> str:
        come = "nothing yet, or it is not there" if seen[0] is None else seen[0].describe()
        parts = [f"{table} holds of topic {topic!r}: {come}", last_event(bootstrap_servers, topic)]
        return "\n".join(parts if explain is None else [*parts, explain()])

    wait_until(
        has_come,
        f"{table} to hold topic {topic!r} up to {shown_ends(wanted)}",
        deadline_seconds=deadline_seconds,
        longest_pause_seconds=0.05,
        explain=diagnosis,
        remedy=f"see whether a pipeline that writes this table runs; {MORE_PATIENCE}",
    )
    return seen[0]


def wait_for_delta(
    path: str,
    storage_options: Mapping[str, str],
    topic: str,
    bootstrap_servers: Kafka,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    check: Check = lambda: None,
    explain: Callable[[], str] | None = None,
) -> Progress | None:
    """Return when everything that is in a topic now is in a Delta table; read by delta-rs.

    Args:
        path: of the table, `s3a://...`.
        storage_options: of delta-rs: `Addresses.delta_storage_options()`.

    The other arguments, what is returned and what is raised: see `wait_for_table`.
    """
    return wait_for_table(
        lambda: delta_progress(path, storage_options),
        f"the Delta table {path}",
        topic,
        bootstrap_servers,
        deadline_seconds=deadline_seconds,
        check=check,
        explain=explain,
    )


def wait_for_iceberg(
    catalog: Catalog,
    identifier: str,
    topic: str,
    bootstrap_servers: Kafka,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    check: Check = lambda: None,
    explain: Callable[[], str] | None = None,
) -> Progress | None:
    """Return when everything that is in a topic now is in an Iceberg table; read by PyIceberg.

    Args:
        catalog: where the table is.
        identifier: of the table, "namespace.table".

    The other arguments, what is returned and what is raised: see `wait_for_table`.
    """
    return wait_for_table(
        lambda: iceberg_progress(catalog, identifier),
        f"the Iceberg table {identifier}",
        topic,
        bootstrap_servers,
        deadline_seconds=deadline_seconds,
        check=check,
        explain=explain,
    )
