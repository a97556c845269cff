"""One connector: its configuration, its states, and the moment it streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.models import ConnectorStatus
from lakebed.config.debezium import DebeziumConnectorConfig
from lakebed.lifecycle import ConnectorLifecycle

# Of the runtime, not of the model. Debezium's own default asks PostgreSQL for changes every 500 ms; the less
# often it asks, the less an idle connector costs (a tenth of a core with 10 ms). The larger the batches, the
# more rows a second; the bytes keep wide rows from filling the worker's heap.
RUNTIME_SETTINGS = {
    "poll.interval.ms": "10",
    "max.batch.size": "4096",
    "max.queue.size": "16384",
    "max.queue.size.in.bytes": str(32 * 1024 * 1024),
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

    def describe(self) -> str:
        """Return its state, its history and the trace of a failed task, for a person to read."""
        status = self.status()
        lines = [f"state: {self.lifecycle.state.name}"]
        lines += [
            f"  {move.at:%H:%M:%S.%f} {move.to_state.name}: {move.reason}" for move in self.lifecycle.history
        ]
        lines += [f"task {task.id} {task.state}\n{task.trace}" for task in status.tasks if task.trace]
        return "\n".join(lines)


def connect_to_stream(connector: Connector, postgres: psycopg.Connection[Any]) -> None:
    """Create a connector and return when it streams.

    Raises:
        ConnectRefused, ConnectorFailed, DeadlinePassed: see `DebeziumClient`.
    """
    connector.client.create(connector.config, settings=RUNTIME_SETTINGS)
    connector.client.wait_until_streaming(connector.name, connector.config.slot_name, postgres)
