"""The data models of the contract."""

from __future__ import annotations

from lakebed.config.change_feed import CDF_SCHEMA, ChangeType
from lakebed.config.debezium import DebeziumConnectorConfig, PluginName, SnapshotMode
from lakebed.config.delta import DELTA_SPARK_CONFIG, DeltaSparkConfig
from lakebed.config.environment import IcebergRestEnvironment, SchemaRegistryEnvironment, SparkServiceConfig
from lakebed.config.iceberg import IcebergCatalogConfig
from lakebed.config.registry import CompatibilityMode, SchemaRegistryConfig

__all__ = [
    "CDF_SCHEMA",
    "DELTA_SPARK_CONFIG",
    "ChangeType",
    "CompatibilityMode",
    "DebeziumConnectorConfig",
    "DeltaSparkConfig",
    "IcebergCatalogConfig",
    "IcebergRestEnvironment",
    "PluginName",
    "SchemaRegistryConfig",
    "SchemaRegistryEnvironment",
    "SnapshotMode",
    "SparkServiceConfig",
]
