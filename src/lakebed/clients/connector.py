"""One connector: its configuration, its states, and the moment it streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import psycopg

from lakebed.clients.connector_waiting import never_streams, sender_of, wait_until_acknowledged
from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.diagnosis import diagnose
from lakebed.clients.models import ConnectorStatus
from lakebed.config.debezium import DebeziumConnectorConfig, SnapshotMode
from lakebed.errors import ConnectorFailed
from lakebed.lifecycle import ConnectorLifecycle

# Of the runtime, not of the model. Debezium's own default asks PostgreSQL for changes every 500 ms; the less
# often it asks, the less an idle connector costs (a tenth of a core with 10 ms). The larger the batches, the
# more rows a second; the bytes keep wide rows from filling the worker's heap. That PostgreSQL has died it
# sees when it reports how far it is (every 10 s by default), and tries again after a pause (another 10 s).
RUNTIME_SETTINGS = {
    "poll.interval.ms": "10",
    "max.batch.size": "4096",
    "max.queue.size": "16384",
    "max.queue.size.in.bytes": str(32 * 1024 * 1024),
    "status.update.interval.ms": "1000",
    "retriable.restart.connector.wait.ms": "500",
}


@dataclass(frozen=True)
class Connector:
    """A connector and the client that controls it."""

    config: DebeziumConnectorConfig
    client: DebeziumClient

    @property
    def name(self) -> str:
        """The connector's name."""
        return self.config.name

    @property
    def lifecycle(self) -> ConnectorLifecycle:
        """Its states so far, with times."""
        return self.client.lifecycle(self.name)

    def topic(self, table: str) -> str:
        """Return the topic of a table: `topic("orders")` or `topic("sales.orders")` for another schema."""
        qualified = table if "." in table else f"public.{table}"
        return f"{self.config.topic_prefix}.{qualified}"

    def status(self) -> ConnectorStatus:
        """Return its status as Connect reports it."""
        return self.client.status(self.name)

    def describe(self, postgres: psycopg.Connection[Any] | None = None, *, log: bool = True) -> str:
        """Return what `lakebed.clients.diagnosis.diagnose` says of it, for a person to read.

        Args:
            postgres: a connection to the database it captures; with it slot and publication are described.
            log: whether the end of Connect's log belongs to it.
        """
        return diagnose(self.client, self.name, postgres, self.config.slot_name, log=log)

    def update(self, postgres: psycopg.Connection[Any], **fields: Any) -> Connector:
        """Change fields of the configuration, and return the connector when it streams with them.

        Args:
            postgres: a connection to any database of the server.
            fields: of `DebeziumConnectorConfig`. `extra_config` replaces the whole of it.

        Raises:
            ConnectRefused, ConnectorFailed, NeverStreams, DeadlinePassed: see `DebeziumClient`.
        """
        # pytest's --showlocals would show the fields, passwords with them.
        __tracebackhide__ = True
        try:
            changed = Connector(replace(self.config, **fields), self.client)
        except (TypeError, ValueError) as error:
            raise error.with_traceback(None) from None
        before = self.client.config(self.name)
        old_sender = sender_of(postgres, self.config.slot_name)
        self.client.update(changed.config, settings=RUNTIME_SETTINGS)
        if self.client.config(self.name) == before:
            old_sender = None  # Connect restarts nothing then
        self.client.wait_until_streaming(self.name, changed.config.slot_name, postgres, old_sender=old_sender)
        return changed

    def resume(self, postgres: psycopg.Connection[Any]) -> None:
        """Resume it after it was paused or stopped, and return when it streams; otherwise as `restart`."""
        self.client.resume(self.name, wait=False)
        self.client.wait_until_streaming(self.name, self.config.slot_name, postgres)

    def restart(self, postgres: psycopg.Connection[Any]) -> None:
        """Restart it with its task, and return when the new task streams.

        Args:
            postgres: a connection to any database of the server.

        Raises:
            ConnectorFailed, NeverStreams, DeadlinePassed: see `DebeziumClient`.
        """
        old_sender = sender_of(postgres, self.config.slot_name)
        self.client.restart(self.name)
        self.client.wait_until_streaming(self.name, self.config.slot_name, postgres, old_sender=old_sender)

    def wait_until_acknowledged(
        self, postgres: psycopg.Connection[Any], *, deadline_seconds: float = 60.0
    ) -> str:
        """The barrier: wait until Kafka has acknowledged every captured change committed before the call.

        Debezium confirms to its slot what Connect has committed, and Connect commits only what Kafka has
        acknowledged without a gap (Kafka, `SubmittedRecords`). That an event is in one topic says nothing of
        the events before it in another: Kafka keeps the order within a partition only. It takes about as
        long as the worker's `offset.flush.interval.ms`.

        Args:
            postgres: a connection in autocommit mode to the database it captures.
            deadline_seconds: how long to wait.

        Returns:
            The position in PostgreSQL's log up to which that is, such as "0/16B3748".

        Raises:
            ConnectorFailed: with the task's trace; or its publication is gone, which PostgreSQL 18 and
                Debezium pass over in silence.
            ConnectRefused: there is no such connector.
            DeadlinePassed: with a diagnosis.
        """
        position = wait_until_acknowledged(
            self.client, self.name, self.config.slot_name, postgres, deadline_seconds
        )
        self.client.note_acknowledged(self.name, position)
        publication = self.config.publication_name
        if (
            postgres.execute("SELECT FROM pg_publication WHERE pubname = %s", [publication]).fetchone()
            is None
        ):
            raise ConnectorFailed(
                f"wait for the changes of connector {self.name!r}",
                f"publication {publication!r} does not exist: what was committed without it was not sent",
                "create the publication again, and take a snapshot of what was missed"
                " (`lakebed.clients.signals.start_snapshot`)",
            )
        return position


def connect_to_stream(connector: Connector, postgres: psycopg.Connection[Any]) -> None:
    """Create a connector and return when it streams.

    Raises:
        NeverStreams: it is `initial_only`; nothing was created.
        ConnectRefused, ConnectorFailed, DeadlinePassed: see `DebeziumClient`.
    """
    if connector.config.snapshot_mode is SnapshotMode.INITIAL_ONLY:
        raise never_streams(connector.name)
    connector.client.create(connector.config, settings=RUNTIME_SETTINGS, postgres=postgres)
    connector.client.wait_until_streaming(connector.name, connector.config.slot_name, postgres)
