"""The fixture `change_events`: typed events of a topic, exactly up to what was committed before the call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from lakebed.errors import NoChangeEvents
from lakebed.pytest_plugin.hooks import CONNECTORS
from lakebed.pytest_plugin.observing import OBSERVED
from lakebed.services import postgres

if TYPE_CHECKING:
    import psycopg
    from confluent_kafka.schema_registry import SchemaRegistryClient

    from lakebed.cdc.decoding import EventDecoder
    from lakebed.cdc.events import ChangeEvent
    from lakebed.cdc.reading import After, OnPoison
    from lakebed.clients.connector import Connector
    from lakebed.pytest_plugin.connectors import DebeziumConnectors
    from lakebed.pytest_plugin.session import SessionStack


class ChangeEvents:
    """Reads the change events of the connectors of one test.

    Args:
        request: of the test, for the schema registry when a connector writes Avro.
        stack: of the session.
        connectors: of the test, as they are made; also those deleted.
        resources: closed with the test.
    """

    def __init__(
        self,
        request: pytest.FixtureRequest,
        stack: SessionStack,
        connectors: Sequence[Connector],
        resources: contextlib.ExitStack,
    ) -> None:
        self._request = request
        self._stack = stack
        self._connectors = connectors
        self._resources = resources
        self._databases: dict[str, psycopg.Connection[Any]] = {}
        self._decoders: dict[str, EventDecoder] = {}

    def __call__(
        self,
        topic: str,
        *,
        connector: Connector | None = None,
        after: After = None,
        on_poison: OnPoison | None = None,
        deadline_seconds: float = 60.0,
    ) -> Iterator[ChangeEvent]:
        """Return the events of a topic that were committed before this call, oldest first.

        Args:
            topic: of a table; or the table, "orders" or "sales.orders".
            connector: whose topic it is; otherwise that of the test with this topic prefix, or the only one.
            after: begin behind this event or offset; see `lakebed.cdc.reading.change_events`.
            on_poison: is called with a message that is no change event; otherwise that is an error.
            deadline_seconds: how long to wait for the connector, and for Kafka.

        Raises:
            NoChangeEvents: it is not clear whose topic this is, there is no such table, or the connector does
                not follow the log.
            DeadlinePassed: the connector did not bring everything in time; with its state and trace.
        """
        from lakebed.cdc.reading import change_events as read

        connector, topic = self._find(topic, connector)
        _refuse_without_log(connector)
        kafka = self._stack.need("kafka").kafka
        database = self._database(connector)
        connector.wait_until_acknowledged(database, deadline_seconds=deadline_seconds)
        decoder = self._decoder(connector)
        decoder.refresh()
        events = read(
            kafka,
            topic,
            decoder,
            after=after,
            on_poison=on_poison,
            deadline_seconds=deadline_seconds,
            explain=connector.describe,
        )
        return self._request.node.stash[OBSERVED].noticing(events)  # type: ignore[no-any-return]

    def decoder(self, connector: Connector) -> EventDecoder:
        """Return what decodes the messages of a connector, for a consumer of your own."""
        return self._decoder(connector)

    def _find(self, topic: str, connector: Connector | None) -> tuple[Connector, str]:
        made = self._connectors if connector is None else [connector]
        owners = [one for one in made if topic.startswith(f"{one.config.topic_prefix}.")]
        if owners:
            # A prefix may begin with another one.
            return max(owners, key=lambda one: len(one.config.topic_prefix)), topic
        if len(made) == 1:
            return made[0], self._topic_of_table(made[0], topic)
        prefixes = ", ".join(repr(one.config.topic_prefix) for one in made)
        raise NoChangeEvents(
            f"read the change events of {topic!r}",
            f"no connector of this test has that topic; topic prefixes: {prefixes}"
            if made
            else "this test has made no connector",
            "pass `connector=`, or the topic as `connector.topic(table)` gives it"
            if made
            else "use the fixture debezium_connector or debezium_connectors",
        )

    def _topic_of_table(self, connector: Connector, table: str) -> str:
        topic = connector.topic(table)
        schema, name = topic.removeprefix(f"{connector.config.topic_prefix}.").split(".", 1)
        found = self._database(connector).execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
        )
        tables: Sequence[tuple[Any, ...]] = found.fetchall()
        if (schema, name) not in tables:
            known = ", ".join(f"{one}.{other}" for one, other in tables) or "none"
            raise NoChangeEvents(
                f"read the change events of {table!r}",
                f"the database has no table {schema}.{name}; its tables: {known}",
                "pass a table that there is, or a whole topic, as `connector.topic(table)` gives it",
            )
        return topic

    def _database(self, connector: Connector) -> psycopg.Connection[Any]:
        """Return a connection beside the test's, which may be in a transaction or broken."""
        name = connector.config.database_dbname
        if name in self._databases and not _answers(self._databases[name]):
            # The server was killed and is back.
            del self._databases[name]
            self._decoders.clear()
        if name not in self._databases:
            server = self._stack.need("postgres").postgres
            self._databases[name] = self._resources.enter_context(postgres.connect(server, name))
        return self._databases[name]

    def _decoder(self, connector: Connector) -> EventDecoder:
        from lakebed.cdc.decoding import EventDecoder
        from lakebed.cdc.event_catalog import HandlingModes

        if connector.name not in self._decoders:
            settings = connector.config.to_connector_payload()["config"]
            registry: SchemaRegistryClient | None = None
            if any("Avro" in settings[f"{part}.converter"] for part in ("key", "value")):
                registry = self._request.getfixturevalue("schema_registry_client")
            self._decoders[connector.name] = EventDecoder(
                registry=registry, postgres=self._database(connector), modes=HandlingModes.of(settings)
            )
        return self._decoders[connector.name]


def _refuse_without_log(connector: Connector) -> None:
    if connector.config.to_connector_payload()["config"]["snapshot.mode"] == "initial_only":
        raise NoChangeEvents(
            f"read what was committed before now through connector {connector.name!r}",
            "it has snapshot.mode=initial_only: it ends with its snapshot and does not follow the log",
            "use another mode, or read what is there with `lakebed.cdc.reading.change_events`",
        )


def _answers(connection: psycopg.Connection[Any]) -> bool:
    import psycopg

    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def change_events(
    request: pytest.FixtureRequest, lakebed_stack: SessionStack, debezium_connectors: DebeziumConnectors
) -> Iterator[ChangeEvents]:
    """Reads typed change events: `change_events("orders")`.

    Each call returns an iterator over everything that was committed before it, from the topic's beginning or,
    with `after=event`, behind an event; then it ends.
    """
    with contextlib.ExitStack() as resources:
        yield ChangeEvents(request, lakebed_stack, request.node.stash[CONNECTORS], resources)
