"""How to reach an Iceberg REST catalog."""

from __future__ import annotations

from dataclasses import dataclass

from lakebed.config.checks import check_flag, check_integer, check_location, check_text, check_url
from lakebed.config.secrets import masked_repr


@dataclass
class IcebergCatalogConfig:
    """Configuration for Iceberg REST catalog connection.

    ``timeout_ms`` is in milliseconds. Raises TypeError or ValueError, naming the field, for a value that
    cannot work: when it is made and again when it is converted.
    """

    uri: str = "http://localhost:8181"
    warehouse: str = "s3://warehouse/"

    s3_endpoint: str = "http://localhost:9000"
    s3_access_key_id: str = "minioadmin"
    s3_secret_access_key: str = "minioadmin"
    s3_region: str = "us-east-1"
    s3_path_style_access: bool = True

    timeout_ms: int = 30000
    retry_attempts: int = 3

    def __post_init__(self) -> None:
        self.validate()

    def __repr__(self) -> str:
        return masked_repr(self)

    def validate(self) -> None:
        """Raise TypeError or ValueError for the first field that cannot work."""
        check_url("IcebergCatalogConfig.uri", self.uri)
        check_location("IcebergCatalogConfig.warehouse", self.warehouse)
        check_url("IcebergCatalogConfig.s3_endpoint", self.s3_endpoint)
        check_text("IcebergCatalogConfig.s3_access_key_id", self.s3_access_key_id)
        check_text("IcebergCatalogConfig.s3_secret_access_key", self.s3_secret_access_key)
        check_text("IcebergCatalogConfig.s3_region", self.s3_region)
        check_flag("IcebergCatalogConfig.s3_path_style_access", self.s3_path_style_access)
        check_integer("IcebergCatalogConfig.timeout_ms", self.timeout_ms, between=(1, None))
        check_integer("IcebergCatalogConfig.retry_attempts", self.retry_attempts, between=(0, None))

    def to_catalog_properties(self) -> dict[str, str]:
        """Convert to PyIceberg catalog properties."""
        self.validate()
        return {
            "type": "rest",
            "uri": self.uri,
            "warehouse": self.warehouse,
            "s3.endpoint": self.s3_endpoint,
            "s3.access-key-id": self.s3_access_key_id,
            "s3.secret-access-key": self.s3_secret_access_key,
            "s3.region": self.s3_region,
            "s3.path-style-access": str(self.s3_path_style_access).lower(),
        }
