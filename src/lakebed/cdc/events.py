"""A change event of Debezium, typed: what happened to which row, at which position of PostgreSQL's log.

Source: Debezium documentation, "Debezium connector for PostgreSQL", section "Data change events".
"""

from __future__ import annotations

import enum
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


class Operation(enum.Enum):
    """What happened; the value is Debezium's own letter, `""` for a tombstone, which has none."""

    READ = "r"
    CREATE = "c"
    UPDATE = "u"
    DELETE = "d"
    TRUNCATE = "t"
    MESSAGE = "m"
    TOMBSTONE = ""


class _Missing(enum.Enum):
    """Why a column has no value; neither is NULL, and neither is true."""

    ABSENT = "absent"
    UNAVAILABLE = "unavailable"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return self.name


ABSENT = _Missing.ABSENT
"""The event has no such column: Debezium does not capture its type, or the table has none of that name."""

UNAVAILABLE = _Missing.UNAVAILABLE
"""The column has a value that did not change and that PostgreSQL did not write into its log (TOAST)."""

_brief = reprlib.Repr()
_brief.maxdict, _brief.maxlist, _brief.maxtuple, _brief.maxlevel = 8, 4, 4, 3
_brief.maxstring, _brief.maxother, _brief.maxlong = 40, 48, 40


class Row(dict[str, Any]):
    """The columns of a row: name to value. One that the event does not have is `ABSENT`, not NULL."""

    def __missing__(self, name: str) -> Any:
        return ABSENT

    def __repr__(self) -> str:
        shown = [f"{name}={_brief.repr(value)}" for name, value in list(self.items())[: _brief.maxdict]]
        more = len(self) - len(shown)
        return f"({', '.join(shown)}{f', {more} more' if more > 0 else ''})"


@dataclass(frozen=True)
class Transaction:
    """Where the event stands in its transaction; only with `provide.transaction.metadata=true`.

    Attributes:
        id: `<transaction>:<LSN>`; in an event of PostgreSQL the LSN is the event's own.
        total_order: which event of the transaction it is, from 1.
        data_collection_order: which event of its table in the transaction, from 1.
    """

    id: str
    total_order: int
    data_collection_order: int

    @property
    def tx_id(self) -> int:
        """The number of the transaction, the same for all its events: `source.tx_id`."""
        return int(self.id.partition(":")[0])


class _InOrder:
    """What compares in the order of a database's log."""

    def _order(self) -> tuple[str, int, int]:
        raise NotImplementedError

    def __lt__(self, other: _InOrder) -> bool:
        return self._order() < other._order()

    def __le__(self, other: _InOrder) -> bool:
        return self._order() <= other._order()

    def __gt__(self, other: _InOrder) -> bool:
        return self._order() > other._order()

    def __ge__(self, other: _InOrder) -> bool:
        return self._order() >= other._order()


@dataclass(frozen=True)
class BinlogPosition(_InOrder):
    """Where in the binary log of MariaDB or MySQL a change was made. Positions compare in its order.

    Source: Debezium documentation, "Debezium connector for MariaDB", "Change event values".

    Attributes:
        file, pos: where its event begins in the log.
        row: which row of that event, from 0.
        gtid: of its transaction; None in a snapshot, and where the server gives none.
    """

    file: str
    pos: int
    row: int = 0
    gtid: str | None = None

    def _order(self) -> tuple[str, int, int]:
        return self.file, self.pos, self.row


@dataclass(frozen=True)
class SourcePosition(_InOrder):
    """Where in the database the change was made. Positions compare in the order of the log.

    That order is by the last commit before and then by the change itself (Debezium documentation, "Debezium
    connector for PostgreSQL", field `source.sequence`): transactions that ran at the same time come one
    after the other, in the order of their commits.

    Attributes:
        db, schema, table: which table; schema and table of a logical message are empty, and so is the schema
            where databases have none (MariaDB).
        lsn: position of the change in the log, as a number.
        tx_id: of the transaction that made it.
        xmin: of the slot, if `xmin.fetch.interval.ms` asks for it.
        sequence: position of the last commit before, and of this change; either may be None.
        snapshot: "false" for a change, otherwise which part of a snapshot: "first", "true", "last", ...
        connector, version, name: "postgresql" or "mariadb", Debezium's version, the topic prefix.
        timestamp: of the commit, in UTC.
        binlog: the position, where the database has a binary log; then there is no LSN.
    """

    db: str
    schema: str
    table: str
    lsn: int | None
    tx_id: int | None
    xmin: int | None
    sequence: tuple[int | None, int | None]
    snapshot: str
    connector: str
    version: str
    name: str
    timestamp: datetime
    binlog: BinlogPosition | None = None

    @property
    def is_snapshot(self) -> bool:
        """Whether the event was read from the table, and not from the log."""
        return self.snapshot != "false"

    @property
    def lsn_text(self) -> str:
        """The position as PostgreSQL writes it, "16/B374D848"; of a binary log, "binlog.000001:4711"."""
        if self.binlog is not None:
            return f"{self.binlog.file}:{self.binlog.pos}"
        return "none" if self.lsn is None else f"{self.lsn >> 32:X}/{self.lsn & 0xFFFFFFFF:X}"

    def _order(self) -> tuple[str, int, int]:
        if self.binlog is not None:
            return self.binlog._order()
        return "", self.sequence[0] or 0, self.lsn or 0

    def __repr__(self) -> str:
        where = ".".join(part for part in (self.db, self.schema, self.table) if part)
        read = f", snapshot {self.snapshot}" if self.is_snapshot else ""
        transaction = self.tx_id if self.binlog is None else self.binlog.gtid
        return f"<{where} at {self.lsn_text}, transaction {transaction}{read}>"


@dataclass(frozen=True)
class LogicalMessage:
    """What `pg_logical_emit_message` wrote."""

    prefix: str
    content: bytes


@dataclass(frozen=True)
class ChangeEvent:
    """One message of a change topic.

    Attributes:
        topic, partition, offset: where it stands in Kafka.
        op: what happened.
        key: the row's key; None if the table has none.
        before: the row before the change, if PostgreSQL logged it. With `REPLICA IDENTITY DEFAULT` an update
            has None, and a delete a row in which only the key has values.
        after: the row after the change; None for a delete.
        source: where in PostgreSQL; None for a tombstone.
        transaction: where in its transaction; None if the connector does not say.
        timestamp: when Debezium made the event, in UTC; None for a tombstone.
        kafka_timestamp: when it was sent to Kafka, in UTC.
        message: what a logical message says; None otherwise.
        old_key: of a create that is the second half of a changed key.
        new_key: of a delete, and its tombstone, that are the first half of a changed key.
        headers: all headers of the message.
    """

    topic: str
    partition: int
    offset: int
    op: Operation
    key: Row | None = None
    before: Row | None = None
    after: Row | None = None
    source: SourcePosition | None = None
    transaction: Transaction | None = None
    timestamp: datetime | None = None
    kafka_timestamp: datetime | None = None
    message: LogicalMessage | None = None
    old_key: Row | None = None
    new_key: Row | None = None
    headers: Mapping[str, bytes | None] = field(default_factory=dict)

    @property
    def is_tombstone(self) -> bool:
        """Whether it only tells Kafka to forget the key; it repeats what the delete before it said."""
        return self.op is Operation.TOMBSTONE

    @property
    def row(self) -> Row | None:
        """The row it is about: after the change, or for a delete before it."""
        return self.before if self.after is None else self.after

    def changed(self) -> dict[str, tuple[Any, Any]]:
        """Return the columns that differ, each with its value before and after.

        Only what the event itself has: nothing without both rows, and no column that is unavailable.
        """
        if self.before is None or self.after is None:
            return {}
        pairs = {name: (self.before[name], value) for name, value in self.after.items()}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1] and UNAVAILABLE not in pair}

    def __repr__(self) -> str:
        parts = [self.op.name, "" if self.key is None else f"key {self.key!r}"]
        parts += [f"{name} {row!r}" for name, row in (("before", self.before), ("after", self.after)) if row]
        if self.message is not None:
            parts.append(f"{self.message.prefix}: {_brief.repr(self.message.content)}")
        return f"<{' '.join(filter(None, parts))} at {self.topic}/{self.partition}@{self.offset}>"
