"""One connector: its configuration, its states, and the moment it streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.diagnosis import diagnose
from lakebed.clients.models import ConnectorStatus
from lakebed.config.debezium import DebeziumConnectorConfig
from lakebed.lifecycle import ConnectorLifecycle

# Of the runtime, not of the model: Debezium's own default asks PostgreSQL for changes every 500 ms.
RUNTIME_SETTINGS = {"poll.interval.ms": "10"}


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

    def describe(self, postgres: psycopg.Connection[Any] | None = None) -> str:
        """Return what `lakebed.clients.diagnosis.diagnose` says of it, for a person to read.

        Args:
            postgres: a connection to the database it captures; with it slot and publication are described.
        """
        return diagnose(self.client, self.name, postgres, self.config.slot_name)


def connect_to_stream(connector: Connector, postgres: psycopg.Connection[Any]) -> None:
    """Create a connector and return when it streams.

    Raises:
        ConnectRefused, ConnectorFailed, DeadlinePassed: see `DebeziumClient`.
    """
    connector.client.create(connector.config, settings=RUNTIME_SETTINGS)
    connector.client.wait_until_streaming(connector.name, connector.config.slot_name, postgres)
