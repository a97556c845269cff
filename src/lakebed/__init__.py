"""lakebed: a real change-data-capture lakehouse for a test suite, with no Docker daemon needed."""

from __future__ import annotations

from lakebed.clients.models import CatalogConfig, ConnectorStatus, SubjectVersion
from lakebed.config import (
    CDF_SCHEMA,
    DELTA_SPARK_CONFIG,
    ChangeType,
    CompatibilityMode,
    DebeziumConnectorConfig,
    DeltaSparkConfig,
    IcebergCatalogConfig,
    IcebergRestEnvironment,
    PluginName,
    SchemaRegistryConfig,
    SchemaRegistryEnvironment,
    SnapshotMode,
    SparkServiceConfig,
)

__version__ = "0.1.0"

__all__ = [
    "CDF_SCHEMA",
    "DELTA_SPARK_CONFIG",
    "CatalogConfig",
    "ChangeType",
    "CompatibilityMode",
    "ConnectorStatus",
    "DebeziumConnectorConfig",
    "DeltaSparkConfig",
    "IcebergCatalogConfig",
    "IcebergRestEnvironment",
    "PluginName",
    "SchemaRegistryConfig",
    "SchemaRegistryEnvironment",
    "SnapshotMode",
    "SparkServiceConfig",
    "SubjectVersion",
    "__version__",
]
