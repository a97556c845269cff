"""Connectors of one test: each with a slot, a publication and a topic prefix of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

from lakebed.clients.connector import RUNTIME_SETTINGS, Connector, connect_to_stream
from lakebed.clients.notifications import notification_settings, wait_for_initial_snapshot
from lakebed.clients.signals import make_signal_table, signal_settings
from lakebed.config.debezium import DebeziumConnectorConfig, SnapshotMode
from lakebed.errors import WrongAddress
from lakebed.pytest_plugin.needs import AVRO, SIGNALS
from lakebed.services import postgres
from lakebed.services.kafka import CLUSTER_ID
from lakebed.services.kafka_resources import HEARTBEATS

if TYPE_CHECKING:
    import psycopg

    from lakebed.clients.debezium import DebeziumClient
    from lakebed.lifecycle import CleanUp
    from lakebed.pytest_plugin.session import SessionStack
    from lakebed.stack.addresses import Addresses

Thing = tuple[str, str]


def _subject_prefixes(config: DebeziumConnectorConfig) -> tuple[str, ...]:
    return f"{config.topic_prefix}.", f"{HEARTBEATS}.{config.topic_prefix}-"


def _signals_group(config: DebeziumConnectorConfig) -> str | None:
    """Return the consumer group with which Debezium reads signals from Kafka, None where it does not."""
    return config.extra_config.get("signal.kafka.groupId")


def _may_publish_all(database: psycopg.Connection[Any]) -> bool:
    row = database.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    return row is not None and bool(row[0])


class DebeziumConnectors:
    """Makes the connectors of one test; what they leave is removed with the test.

    Args:
        stack: of the session.
        client: of Kafka Connect.
        database: the connection to the test's own database.
        clean_up: of the test.
        fields: what every connector of the test has, from its marks.
        on_made: told of each connector before it is created.
    """

    def __init__(
        self,
        stack: SessionStack,
        client: DebeziumClient,
        database: psycopg.Connection[Any],
        clean_up: CleanUp,
        fields: Mapping[str, Any],
        on_made: Callable[[Connector], None],
    ) -> None:
        self._stack = stack
        self._client = client
        self._database = database
        self._clean_up = clean_up
        self._fields = fields
        self._on_made = on_made
        self._made: dict[str, tuple[Thing, ...]] = {}

    def __call__(self, *, avro: bool | None = None, signals: bool | None = None, **fields: Any) -> Connector:
        """Create a connector and return it when it streams; one that is `initial_only` after its snapshot.

        Args:
            avro: whether keys and values are Avro, through the schema registry; otherwise they are JSON.
            signals: whether it takes signals, through a table that is made for it, and tells of snapshots:
                see `lakebed.clients.signals` and `lakebed.clients.notifications`.
            fields: of `DebeziumConnectorConfig`, over those of the test's marks. Without them the connector
                captures every table of the test's database, and is named like that.

        Raises:
            ValueError, TypeError: a field is unknown or has an impossible value.
            ConnectRefused, ConnectorFailed, DeadlinePassed: see `DebeziumClient`.
        """
        # pytest's --showlocals would show the fields, passwords with them.
        __tracebackhide__ = True
        own = self._database.info.dbname
        name = own if own not in self._made else f"{own}_{len(self._made) + 1}"
        given = {**self._fields, **fields}
        marked_avro, marked_signals = bool(given.pop(AVRO, False)), bool(given.pop(SIGNALS, False))
        chosen: dict[str, Any] = {
            "name": name,
            "database_dbname": own,
            "topic_prefix": name,
            "slot_name": name,
            "publication_name": name,
            **given,
        }
        addresses = self._stack.need("connect", "postgres", "kafka")
        self._refuse_other_kafka(addresses)
        is_avro = marked_avro if avro is None else avro
        if is_avro:
            converter = self._stack.need("schema-registry").avro_converter()
            chosen["extra_config"] = {**converter, **chosen.get("extra_config", {})}
        if "postgres" in addresses.attached and not _may_publish_all(self._database):
            # The tables that are there by now; to publish those to come is a superuser's right
            # (PostgreSQL documentation, "CREATE PUBLICATION"; Debezium's, `publication.autocreate.mode`).
            more = {"publication.autocreate.mode": "filtered"}
            chosen["extra_config"] = {**more, **chosen.get("extra_config", {})}
        takes_signals = marked_signals if signals is None else signals
        initial_only = chosen.get("snapshot_mode") is SnapshotMode.INITIAL_ONLY
        if takes_signals or initial_only:
            settings = signal_settings if takes_signals else notification_settings
            more = settings(chosen["topic_prefix"])
            chosen["extra_config"] = {**more, **chosen.get("extra_config", {})}
        config = addresses.debezium_connector_config(**chosen)
        things: tuple[Thing, ...] = (
            ("connector", config.name),
            ("slot", config.slot_name),
            *((("consumer-group", signals_group),) if (signals_group := _signals_group(config)) else ()),
            # Those in the test's own database go with it.
            *(
                (("publication", f"{config.database_dbname}/{config.publication_name}"),)
                if config.database_dbname != own
                else ()
            ),
            ("topic-prefix", config.topic_prefix),
            *(("subject-prefix", prefix) for prefix in _subject_prefixes(config) if is_avro),
        )
        for kind, thing in reversed(things):
            self._stack.record(kind, thing)
        self._made[config.name] = things
        self._clean_up.add(f"connector {config.name}", lambda: self._stack.remove(*things))
        connector = Connector(config, self._client)
        self._on_made(connector)
        is_own = config.database_dbname == own
        with (
            nullcontext(self._database)
            if is_own
            else postgres.connect(addresses.postgres, config.database_dbname)
        ) as database:
            if takes_signals:
                make_signal_table(database)
            if initial_only:
                connector.client.create(config, settings=RUNTIME_SETTINGS, postgres=database)
                self._wait_for_snapshot(connector, is_avro=is_avro)
            else:
                connect_to_stream(connector, database)
        return connector

    def _refuse_other_kafka(self, addresses: Addresses) -> None:
        """Refuse a Connect that writes into another Kafka than the one that lakebed has started."""
        if "connect" not in addresses.attached or "kafka" in addresses.attached:
            return
        of_connect = self._client.version()["kafka_cluster_id"]
        if of_connect != CLUSTER_ID:
            raise WrongAddress(
                f"create a connector in the attached connect at {addresses.connect.address}",
                f"it writes into the Kafka cluster {of_connect}, and Kafka is one that lakebed has started",
                "set attach.kafka to the Kafka of that Connect",
            )

    def _wait_for_snapshot(self, connector: Connector, *, is_avro: bool) -> None:
        addresses = self._stack.need("kafka", *(["schema-registry"] if is_avro else []))
        with ExitStack() as exits:
            registry = None
            if is_avro:
                from lakebed.clients.registry import schema_registry_client

                config, endpoint = addresses.schema_registry_config(), addresses.schema_registry
                registry = exits.enter_context(schema_registry_client(config, endpoint))
            wait_for_initial_snapshot(connector, addresses.kafka, registry=registry)

    def delete(self, connector: Connector) -> None:
        """Delete a connector with its slot and its topics, and return when they are gone.

        Raises:
            CleanUpIncomplete: naming what could not be removed, and why.
        """
        self._stack.remove(*self._made[connector.name])

    def delete_all(self) -> None:
        """Delete all of them, also those that could not be created.

        Raises:
            CleanUpIncomplete: naming what could not be removed, and why.
        """
        self._stack.remove(*(thing for things in reversed(self._made.values()) for thing in things))
