"""What Kafka has acknowledged of a connector's events: the proof that all topics have them."""

from __future__ import annotations

from collections.abc import Callable

from lakebed.clients.debezium import DebeziumClient
from lakebed.errors import ConnectRefused
from lakebed.waiting import wait_until


def wait_until_acknowledged(
    client: DebeziumClient,
    name: str,
    lsn: int,
    *,
    deadline_seconds: float = 60.0,
    explain: Callable[[], str] | None = None,
) -> None:
    """Return when Kafka has every event of a connector up to a position of PostgreSQL's log.

    A barrier's message may be in its topic before the last events of a large transaction are in theirs: the
    producer sends one batch of each partition at a time. Connect commits the offset of an event only when
    Kafka has acknowledged it and all before it (Kafka, KIP-618 and `SubmittedRecords`), every
    `offset.flush.interval.ms`. So there must be an event behind the position, such as a barrier's message.

    Args:
        client: of Kafka Connect.
        name: of the connector.
        lsn: the position in the log, as a number.
        deadline_seconds: how long to wait.
        explain: what to add to the error, such as the connector's state.

    Raises:
        DeadlinePassed: the position was not acknowledged.
    """

    def reached() -> bool:
        return any(int(entry["offset"].get("lsn") or 0) >= lsn for entry in client.offsets(name))

    wait_until(
        reached,
        f"Kafka to acknowledge the events of {name!r} up to position {lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}",
        deadline_seconds=deadline_seconds,
        longest_pause_seconds=0.02,
        ignore=(ConnectRefused,),
        explain=explain,
        remedy="see whether the connector still streams: `debezium_client.status(name)`",
    )
