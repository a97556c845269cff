"""The variables with which the Iceberg REST, registry and Spark services are configured.

Each field of a model is one row of the contract's table: its variable, whether it is required, its default
and its type. A variable that is set to nothing counts as not set, because Compose passes variables it does
not know so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from lakebed.config.checks import (
    check_class_name,
    check_enum,
    check_flag,
    check_integer,
    check_location,
    check_text,
    check_topic,
    check_url,
    listed,
    refuse_type,
    refuse_value,
)
from lakebed.config.registry import CompatibilityMode
from lakebed.config.secrets import masked_repr

Model = TypeVar("Model", bound="_Variables")

_SERVER = re.compile(r"([A-Z][A-Z0-9_]*://)?(\[[0-9A-Fa-f:.]+\]|[^\s/:,@]+):(\d{1,5})")
_MAVEN_COORDINATES = re.compile(r"[^\s:,]+:[^\s:,]+:[^\s:,]+")


def typed_variables(model: _Variables) -> dict[str, str | int | bool]:
    """Return a model's variables in the table's order with the types of the table, as YAML has them."""
    model.validate()
    values = {row.metadata["variable"]: getattr(model, row.name) for row in fields(model)}
    return {
        name: value.value if isinstance(value, CompatibilityMode) else value for name, value in values.items()
    }


@dataclass
class _Variables:
    """Fields with a `_row` of the table, read from and written to a mapping of texts."""

    def __post_init__(self) -> None:
        self.validate()

    def __repr__(self) -> str:
        return masked_repr(self)

    def validate(self) -> None:
        """Raise TypeError or ValueError for the first field that cannot work."""
        for row in fields(self):
            where = f"{type(self).__name__}.{row.name} ({row.metadata['variable']})"
            row.metadata["check"](where, getattr(self, row.name))

    @classmethod
    def _from_texts(cls: type[Model], texts: Mapping[str, str]) -> Model:
        if not isinstance(texts, Mapping):
            refuse_type(f"the variables of {cls.__name__}", texts, "a mapping from text to text", secret=True)
        values: dict[str, object] = {}
        missing: list[str] = []
        for row in fields(cls):
            variable = row.metadata["variable"]
            text = texts.get(variable)
            if text is None or text == "":
                if row.default is MISSING:
                    missing.append(variable)
                continue
            if not isinstance(text, str):
                refuse_type(f"{cls.__name__}.{row.name} ({variable})", text, "a text")
            values[row.name] = row.metadata["read"](f"{cls.__name__}.{row.name} ({variable})", text)
        if missing:
            required = (row.metadata["variable"] for row in fields(cls) if row.default is MISSING)
            raise ValueError(f"{cls.__name__}: {', '.join(missing)} not set; required: {listed(required)}")
        return cls(**values)

    def _to_texts(self) -> dict[str, str]:
        self.validate()
        return {row.metadata["variable"]: _written(getattr(self, row.name)) for row in fields(self)}


def _read_text(where: str, text: str) -> str:
    return text


def _read_flag(where: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        refuse_value(where, text, "true or false")
    return text.lower() == "true"


def _read_integer(where: str, text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        refuse_value(where, text, "an integer")
    return int(text)


def _read_compatibility(where: str, text: str) -> CompatibilityMode:
    if text.upper() not in CompatibilityMode.__members__:
        refuse_value(where, text, listed(CompatibilityMode.__members__))
    return CompatibilityMode[text.upper()]


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, CompatibilityMode):
        return value.value
    return str(value)


def _row(
    variable: str,
    check: Callable[[str, object], object] = check_text,
    read: Callable[[str, str], object] = _read_text,
) -> dict[str, Any]:
    return {"variable": variable, "check": check, "read": read}


def _check_servers(where: str, value: object) -> None:
    allowed = "host:port, several separated by commas, such as localhost:9092 or PLAINTEXT://kafka:9092"
    for server in check_text(where, value, allowed).split(","):
        match = _SERVER.fullmatch(server.strip())
        if match is None or not 1 <= int(match[3]) <= 65535:
            refuse_value(where, value, allowed)


def _check_listeners(where: str, value: object) -> None:
    allowed = "URLs separated by commas, such as http://0.0.0.0:8081"
    for listener in check_text(where, value, allowed).split(","):
        check_url(where, listener.strip())


def _check_class_names(where: str, value: object) -> None:
    for name in check_text(where, value, "names of Java classes separated by commas").split(","):
        check_class_name(where, name.strip())


def _check_coordinates(where: str, value: object) -> None:
    allowed = "Maven coordinates separated by commas, such as io.delta:delta-spark_2.12:3.3.2"
    for coordinates in check_text(where, value, allowed).split(","):
        if not _MAVEN_COORDINATES.fullmatch(coordinates.strip()):
            refuse_value(where, value, allowed)


def _check_compatibility(where: str, value: object) -> None:
    check_enum(where, value, CompatibilityMode)


def _check_replication_factor(where: str, value: object) -> None:
    # Kafka's protocol carries it as an int16.
    check_integer(where, value, between=(1, 32767))


@dataclass(kw_only=True, repr=False)
class IcebergRestEnvironment(_Variables):
    """The environment of the Iceberg REST catalog service (contract, section 1.1)."""

    aws_access_key_id: str = field(metadata=_row("AWS_ACCESS_KEY_ID"))
    aws_secret_access_key: str = field(metadata=_row("AWS_SECRET_ACCESS_KEY"))
    aws_region: str = field(default="us-east-1", metadata=_row("AWS_REGION"))
    catalog_warehouse: str = field(metadata=_row("CATALOG_WAREHOUSE", check_location))
    catalog_io_impl: str = field(metadata=_row("CATALOG_IO__IMPL", check_class_name))
    catalog_s3_endpoint: str = field(metadata=_row("CATALOG_S3_ENDPOINT", check_url))
    catalog_s3_path_style_access: bool = field(
        metadata=_row("CATALOG_S3_PATH__STYLE__ACCESS", check_flag, _read_flag)
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> IcebergRestEnvironment:
        """Read the variables, such as those of ``os.environ``; other variables are ignored.

        Raises ValueError naming all required variables that are not set, or TypeError or ValueError for the
        first one that cannot work.
        """
        return cls._from_texts(environment)

    def to_environment(self) -> dict[str, str]:
        """The variables in the table's order; booleans are ``true`` and ``false``."""
        return self._to_texts()


@dataclass(kw_only=True, repr=False)
class SchemaRegistryEnvironment(_Variables):
    """The environment of the schema registry service (contract, section 1.2)."""

    schema_registry_host_name: str = field(metadata=_row("SCHEMA_REGISTRY_HOST_NAME"))
    schema_registry_kafkastore_bootstrap_servers: str = field(
        metadata=_row("SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS", _check_servers)
    )
    schema_registry_listeners: str = field(metadata=_row("SCHEMA_REGISTRY_LISTENERS", _check_listeners))
    schema_registry_schema_compatibility_level: CompatibilityMode = field(
        default=CompatibilityMode.BACKWARD,
        metadata=_row(
            "SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL", _check_compatibility, _read_compatibility
        ),
    )
    schema_registry_debug: bool = field(
        default=False, metadata=_row("SCHEMA_REGISTRY_DEBUG", check_flag, _read_flag)
    )
    schema_registry_kafkastore_topic: str = field(
        default="_schemas", metadata=_row("SCHEMA_REGISTRY_KAFKASTORE_TOPIC", check_topic)
    )
    schema_registry_kafkastore_topic_replication_factor: int = field(
        default=1,
        metadata=_row(
            "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR", _check_replication_factor, _read_integer
        ),
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> SchemaRegistryEnvironment:
        """Read the variables, such as those of ``os.environ``; other variables are ignored.

        Raises ValueError naming all required variables that are not set, or TypeError or ValueError for the
        first one that cannot work.
        """
        return cls._from_texts(environment)

    def to_environment(self) -> dict[str, str]:
        """The variables in the table's order; booleans are ``true`` and ``false``."""
        return self._to_texts()


@dataclass(kw_only=True, repr=False)
class SparkServiceConfig(_Variables):
    """The settings of the Spark service with Delta Lake (contract, section 1.3, the table).

    The table's default for the change data feed is false; `DELTA_SPARK_CONFIG` switches it on.
    """

    sql_extensions: str = field(metadata=_row("spark.sql.extensions", _check_class_names))
    sql_catalog_spark_catalog: str = field(metadata=_row("spark.sql.catalog.spark_catalog", check_class_name))
    jars_packages: str = field(metadata=_row("spark.jars.packages", _check_coordinates))
    enable_change_data_feed: bool = field(
        default=False,
        metadata=_row(
            "spark.databricks.delta.properties.defaults.enableChangeDataFeed", check_flag, _read_flag
        ),
    )
    s3a_endpoint: str = field(metadata=_row("spark.hadoop.fs.s3a.endpoint", check_url))
    s3a_access_key: str = field(metadata=_row("spark.hadoop.fs.s3a.access.key"))
    s3a_secret_key: str = field(metadata=_row("spark.hadoop.fs.s3a.secret.key"))
    s3a_path_style_access: bool = field(
        metadata=_row("spark.hadoop.fs.s3a.path.style.access", check_flag, _read_flag)
    )

    @classmethod
    def from_spark_config(cls, spark_config: Mapping[str, str]) -> SparkServiceConfig:
        """Read the settings, such as those of `DELTA_SPARK_CONFIG`; other settings are ignored.

        Raises ValueError naming all required settings that are not set, or TypeError or ValueError for the
        first one that cannot work.
        """
        return cls._from_texts(spark_config)

    def to_spark_config(self) -> dict[str, str]:
        """The settings in the table's order; booleans are ``true`` and ``false``."""
        return self._to_texts()
