"""How a Debezium connector captures a PostgreSQL database."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from lakebed.config.checks import (
    LARGEST_INT32,
    Choice,
    check_choice,
    check_class_name,
    check_enum,
    check_flag,
    check_host,
    check_integer,
    check_text,
    check_text_list,
    check_text_mapping,
    check_text_or_empty,
)
from lakebed.config.secrets import masked_repr

DECIMAL_HANDLING_MODES = ("precise", "double", "string")
TIME_PRECISION_MODES = (
    "adaptive",
    "adaptive_time_microseconds",
    "connect",
    "isostring",
    "microseconds",
    "nanoseconds",
)

_SLOT_NAME = re.compile(r"[a-z0-9_]{1,63}")
_TOPIC_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,249}")


class SnapshotMode(Choice):
    """Debezium snapshot modes."""

    INITIAL = "initial"
    ALWAYS = "always"
    NEVER = "never"
    WHEN_NEEDED = "when_needed"
    INITIAL_ONLY = "initial_only"


class PluginName(Choice):
    """PostgreSQL logical decoding plugin."""

    PGOUTPUT = "pgoutput"
    WAL2JSON = "wal2json"
    DECODERBUFS = "decoderbufs"


@dataclass
class DebeziumConnectorConfig:
    """Configuration for Debezium PostgreSQL connector.

    ``heartbeat_interval_ms`` is in milliseconds, 0 means no heartbeat. ``extra_config`` overrides every
    other setting. Raises TypeError or ValueError, naming the field, for a value that cannot work: when it
    is made and again when it is converted.
    """

    name: str

    database_hostname: str = "postgres"
    database_port: int = 5432
    database_user: str = "cdcuser"
    database_password: str = "cdcpass"
    database_dbname: str = "cdcdb"

    topic_prefix: str = "postgres.cdc"

    plugin_name: PluginName = PluginName.PGOUTPUT

    slot_name: str = "debezium_slot"
    publication_name: str = "debezium_publication"

    table_include_list: list[str] = field(default_factory=list)
    schema_include_list: list[str] = field(default_factory=lambda: ["public"])

    snapshot_mode: SnapshotMode = SnapshotMode.INITIAL

    heartbeat_interval_ms: int = 10000

    decimal_handling_mode: str = "precise"
    time_precision_mode: str = "adaptive_time_microseconds"

    key_converter: str = "org.apache.kafka.connect.json.JsonConverter"
    value_converter: str = "org.apache.kafka.connect.json.JsonConverter"
    key_converter_schemas_enable: bool = False
    value_converter_schemas_enable: bool = False

    tasks_max: int = 1

    extra_config: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.validate()

    def __repr__(self) -> str:
        return masked_repr(self)

    def validate(self) -> None:
        """Raise TypeError or ValueError for the first field that cannot work.

        Sources: PostgreSQL documentation, "Replication Slots" (slot names) and "Identifiers and Key Words"
        (63 bytes); Debezium documentation, "Debezium connector for PostgreSQL" (topic.prefix, the modes).
        An empty password is allowed: PostgreSQL may trust the host.
        """
        check_text("DebeziumConnectorConfig.name", self.name)
        check_host("DebeziumConnectorConfig.database_hostname", self.database_hostname)
        check_integer("DebeziumConnectorConfig.database_port", self.database_port, between=(1, 65535))
        check_text("DebeziumConnectorConfig.database_user", self.database_user)
        check_text_or_empty("DebeziumConnectorConfig.database_password", self.database_password)
        check_text("DebeziumConnectorConfig.database_dbname", self.database_dbname)
        check_text(
            "DebeziumConnectorConfig.topic_prefix",
            self.topic_prefix,
            "1 to 249 of the characters A-Z a-z 0-9 . _ -",
            pattern=_TOPIC_PREFIX,
        )
        check_enum("DebeziumConnectorConfig.plugin_name", self.plugin_name, PluginName)
        check_text(
            "DebeziumConnectorConfig.slot_name",
            self.slot_name,
            "1 to 63 lower-case letters, digits and underscores",
            pattern=_SLOT_NAME,
        )
        check_text(
            "DebeziumConnectorConfig.publication_name",
            self.publication_name,
            "1 to 63 bytes of text without control characters and surrounding blanks",
            most_bytes=63,
        )
        check_text_list("DebeziumConnectorConfig.table_include_list", self.table_include_list)
        check_text_list("DebeziumConnectorConfig.schema_include_list", self.schema_include_list)
        check_enum("DebeziumConnectorConfig.snapshot_mode", self.snapshot_mode, SnapshotMode)
        check_integer(
            "DebeziumConnectorConfig.heartbeat_interval_ms",
            self.heartbeat_interval_ms,
            between=(0, LARGEST_INT32),
        )
        check_choice(
            "DebeziumConnectorConfig.decimal_handling_mode",
            self.decimal_handling_mode,
            DECIMAL_HANDLING_MODES,
        )
        check_choice(
            "DebeziumConnectorConfig.time_precision_mode", self.time_precision_mode, TIME_PRECISION_MODES
        )
        check_class_name("DebeziumConnectorConfig.key_converter", self.key_converter)
        check_class_name("DebeziumConnectorConfig.value_converter", self.value_converter)
        check_flag("DebeziumConnectorConfig.key_converter_schemas_enable", self.key_converter_schemas_enable)
        check_flag(
            "DebeziumConnectorConfig.value_converter_schemas_enable", self.value_converter_schemas_enable
        )
        check_integer("DebeziumConnectorConfig.tasks_max", self.tasks_max, between=(1, LARGEST_INT32))
        check_text_mapping("DebeziumConnectorConfig.extra_config", self.extra_config)

    def to_connector_payload(self) -> dict[str, Any]:
        """Convert to Kafka Connect REST API payload: ``{"name": str, "config": dict[str, str]}``.

        Nothing is translated for the Debezium version that runs; the Connect client does that.
        """
        self.validate()
        config = {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "tasks.max": str(self.tasks_max),
            "database.hostname": self.database_hostname,
            "database.port": str(self.database_port),
            "database.user": self.database_user,
            "database.password": self.database_password,
            "database.dbname": self.database_dbname,
            "topic.prefix": self.topic_prefix,
            "plugin.name": self.plugin_name.value,
            "slot.name": self.slot_name,
            "publication.name": self.publication_name,
            "snapshot.mode": self.snapshot_mode.value,
            "heartbeat.interval.ms": str(self.heartbeat_interval_ms),
            "decimal.handling.mode": self.decimal_handling_mode,
            "time.precision.mode": self.time_precision_mode,
            "key.converter": self.key_converter,
            "key.converter.schemas.enable": str(self.key_converter_schemas_enable).lower(),
            "value.converter": self.value_converter,
            "value.converter.schemas.enable": str(self.value_converter_schemas_enable).lower(),
        }

        if self.table_include_list:
            config["table.include.list"] = ",".join(self.table_include_list)

        if self.schema_include_list:
            config["schema.include.list"] = ",".join(self.schema_include_list)

        config.update(self.extra_config)

        return {"name": self.name, "config": config}
