"""A Debezium connector for one database of MariaDB: its configuration, and up to where it has read the log.

Source for every setting: Debezium documentation, "Debezium connector for MariaDB", "Connector configuration
properties".
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebed.cdc.events import BinlogPosition, ChangeEvent
from lakebed.clients.connector import RUNTIME_SETTINGS
from lakebed.clients.connector_waiting import connector_failed
from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.diagnosis import diagnose
from lakebed.config.kafka_clients import Kafka
from lakebed.errors import ConnectRefused
from lakebed.lifecycle import ConnectorState
from lakebed.services.mariadb import quoted
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    import pymysql

_PULSE = "lakebed_pulse"
_JSON = "org.apache.kafka.connect.json.JsonConverter"


def connector_settings(
    name: str, database: str, port: int, user: str, password: str, kafka_from_connect: str
) -> dict[str, str]:
    """Return the configuration of a connector that captures one database of a MariaDB on this machine.

    Its messages are JSON with schemas: these say what a value is, and nobody has to ask the database.

    Args:
        name: of the connector; its topic prefix too.
        database: which it captures.
        port: of MariaDB.
        user, password: of MariaDB. Needs SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT.
        kafka_from_connect: Kafka's `bootstrap.servers`, for the history of the tables.
    """
    settings = {
        "connector.class": "io.debezium.connector.mariadb.MariaDbConnector",
        "tasks.max": "1",
        "database.hostname": "127.0.0.1",
        "database.port": str(port),
        "database.user": user,
        "database.password": password,
        "database.ssl.mode": "disable",
        # To MariaDB each reader of the log is a server; two of the same number would end each other. Plugins
        # of pytest give `random` the same seed in every test.
        "database.server.id": str(2**31 + secrets.randbelow(2**31 - 1)),
        "database.include.list": database,
        "topic.prefix": name,
        "include.schema.changes": "false",
        "schema.history.internal.kafka.bootstrap.servers": kafka_from_connect,
        "schema.history.internal.kafka.topic": f"{name}.schema-history",
        # Without these it keeps what other tests do to their tables.
        "schema.history.internal.store.only.captured.databases.ddl": "true",
        "schema.history.internal.store.only.captured.tables.ddl": "true",
    }
    for part in ("key", "value"):
        settings |= {f"{part}.converter": _JSON, f"{part}.converter.schemas.enable": "true"}
    return {**settings, **_RUNTIME}


# Those of them that every connector has.
_RUNTIME = {name: value for name, value in RUNTIME_SETTINGS.items() if name != "status.update.interval.ms"}


@dataclass(frozen=True)
class MariaDBConnector:
    """A connector and the client that controls it.

    Attributes:
        name: of the connector; its topic prefix too.
        database: which it captures.
        client: of Kafka Connect.
        kafka: where its topics are.
        connection: to MariaDB, beside that of the test, which may be in a transaction.
    """

    name: str
    database: str
    client: DebeziumClient
    kafka: Kafka
    connection: pymysql.Connection

    def topic(self, table: str) -> str:
        """Return the topic of a table."""
        return f"{self.name}.{self.database}.{table}"

    def wait_until_acknowledged(self, *, deadline_seconds: float = 60.0) -> None:
        """Wait until Kafka has all that was committed before this call, and the connector follows the log.

        A row of a table of lakebed's own is written until the connector's offset has reached where the log
        ended: Connect commits an offset only when Kafka has that record and all before it.

        Raises:
            ConnectorFailed: its task has failed, with the trace.
            DeadlinePassed: with the offsets that it has committed, and the diagnosis.
        """
        end = self._end_of_log()
        committed: list[dict[str, Any]] = []

        def is_there() -> bool:
            status = self.client.status(self.name)
            state = self.client.lifecycle(self.name).state
            if state is ConnectorState.FAILED:
                raise connector_failed(status, self.client)
            if state is not ConnectorState.RUNNING:
                return False
            with self.connection.cursor() as cursor:
                cursor.execute(f"REPLACE INTO {quoted(self.database)}.{_PULSE} VALUES (1, RAND())")
            committed[:] = [one["offset"] for one in self.client.offsets(self.name)]
            return any(
                "snapshot" not in offset and BinlogPosition(offset["file"], offset["pos"]) >= end
                for offset in committed
            )

        wait_until(
            is_there,
            f"connector {self.name!r} to have read the log of MariaDB up to {end.file}:{end.pos}",
            deadline_seconds=deadline_seconds,
            # A worker that is busy does not always answer in time.
            ignore=(ConnectRefused,),
            explain=lambda: f"offsets committed: {committed}\n{diagnose(self.client, self.name)}",
            remedy="`lakebed logs connect` shows what it is doing",
        )

    def change_events(self, table: str, *, deadline_seconds: float = 60.0) -> Iterator[ChangeEvent]:
        """Return the change events of a table up to what was committed before this call, oldest first.

        Raises:
            ConnectorFailed, DeadlinePassed: as `wait_until_acknowledged`.
        """
        from lakebed.cdc.decoding import EventDecoder
        from lakebed.cdc.reading import change_events

        self.wait_until_acknowledged(deadline_seconds=deadline_seconds)
        return change_events(self.kafka, self.topic(table), EventDecoder(), deadline_seconds=deadline_seconds)

    def make_pulse_table(self) -> None:
        """Make the table that `wait_until_acknowledged` writes to; before the connector is created."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"CREATE TABLE {quoted(self.database)}.{_PULSE} (id INT PRIMARY KEY, beat DOUBLE NOT NULL)"
            )

    def _end_of_log(self) -> BinlogPosition:
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW MASTER STATUS")
            row = cursor.fetchone()
        assert row is not None
        return BinlogPosition(row[0], int(row[1]))
