"""The addresses of a running stack, as the contract's configuration models and as environment variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lakebed.config.debezium import DebeziumConnectorConfig
from lakebed.config.delta import DeltaSparkConfig
from lakebed.config.iceberg import IcebergCatalogConfig
from lakebed.config.registry import SchemaRegistryConfig
from lakebed.services import postgres, s3
from lakebed.services.definition import LOOPBACK
from lakebed.services.schema_registry import NATIVE_PATH
from lakebed.stack.ports import PortsByService


@dataclass(frozen=True)
class Addresses:
    """Where the services of a stack answer. Asking for one that was not started raises KeyError.

    Attributes:
        ports: by service and port name, the number.
        registry_credentials: user and password of the schema registry, if it asks for them.
    """

    ports: PortsByService
    registry_credentials: tuple[str, str] | None = field(default=None, repr=False)

    def _port(self, service: str) -> int:
        return self.ports[service][service]

    def _url(self, service: str) -> str:
        return f"http://{LOOPBACK}:{self._port(service)}"

    @property
    def postgres_port(self) -> int:
        """Port of PostgreSQL."""
        return self._port("postgres")

    @property
    def kafka_bootstrap_servers(self) -> str:
        """Kafka's `bootstrap.servers`."""
        return f"{LOOPBACK}:{self._port('kafka')}"

    @property
    def debezium_url(self) -> str:
        """Kafka Connect's REST address."""
        return self._url("connect")

    @property
    def schema_registry_url(self) -> str:
        """The registry's address; Confluent's API is at its root."""
        return self._url("schema-registry")

    @property
    def iceberg_catalog_uri(self) -> str:
        """The Iceberg REST catalog's address."""
        return self._url("iceberg-rest")

    @property
    def s3_endpoint(self) -> str:
        """The S3 store's address."""
        return self._url("s3")

    def iceberg_catalog_config(self) -> IcebergCatalogConfig:
        """Return the model for this stack's catalog and S3 store."""
        return IcebergCatalogConfig(uri=self.iceberg_catalog_uri, s3_endpoint=self.s3_endpoint)

    def schema_registry_config(self) -> SchemaRegistryConfig:
        """Return the model for this stack's registry."""
        username, password = self.registry_credentials or (None, None)
        return SchemaRegistryConfig(url=self.schema_registry_url, username=username, password=password)

    def delta_spark_config(self, master: str) -> DeltaSparkConfig:
        """Return the model for Spark on this stack's S3 store."""
        return DeltaSparkConfig(master=master, s3_endpoint=self.s3_endpoint)

    def debezium_connector_config(self, name: str, **fields: Any) -> DebeziumConnectorConfig:
        """Return a model that reaches this stack's PostgreSQL; `fields` are those of the model."""
        return DebeziumConnectorConfig(
            name=name, **{"database_hostname": LOOPBACK, "database_port": self.postgres_port, **fields}
        )

    def avro_converter(self) -> dict[str, str]:
        """Return the connector settings that write keys and values as Avro through the registry.

        Put them in `DebeziumConnectorConfig.extra_config`. The wire format is Confluent's: a zero byte and
        the schema's id in four bytes (Confluent documentation, "Wire Format").
        """
        converter = {
            "": "io.apicurio.registry.utils.converter.AvroConverter",
            ".apicurio.registry.url": f"{self.schema_registry_url}{NATIVE_PATH}",
            ".apicurio.registry.auto-register": "true",
            ".apicurio.registry.find-latest": "true",
            ".apicurio.registry.as-confluent": "true",
            ".apicurio.registry.headers.enabled": "false",
            ".apicurio.registry.use-id": "contentId",
        }
        if self.registry_credentials is not None:
            username, password = self.registry_credentials
            converter |= {".apicurio.auth.username": username, ".apicurio.auth.password": password}
        return {
            f"{part}.converter{name}": value for part in ("key", "value") for name, value in converter.items()
        }

    def delta_storage_options(self) -> dict[str, str]:
        """Return the `storage_options` with which delta-rs reaches the S3 store."""
        return s3.storage_options(self.s3_endpoint)

    def environment(self) -> dict[str, str]:
        """Return the variables an existing suite reads, for the services that run."""
        variables: dict[str, str] = {}
        if "postgres" in self.ports:
            variables |= {
                "POSTGRES_HOST": LOOPBACK,
                "POSTGRES_PORT": str(self.postgres_port),
                "POSTGRES_USER": postgres.USER,
                "POSTGRES_PASSWORD": postgres.PASSWORD,
                "POSTGRES_DB": postgres.DATABASE,
            }
        if "kafka" in self.ports:
            variables["KAFKA_BOOTSTRAP_SERVERS"] = self.kafka_bootstrap_servers
        if "connect" in self.ports:
            variables["DEBEZIUM_URL"] = self.debezium_url
        if "schema-registry" in self.ports:
            variables["SCHEMA_REGISTRY_URL"] = self.schema_registry_url
            if self.registry_credentials is not None:
                variables["SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO"] = ":".join(self.registry_credentials)
        if "iceberg-rest" in self.ports:
            variables["ICEBERG_CATALOG_URI"] = self.iceberg_catalog_uri
        if "s3" in self.ports:
            variables |= {
                "MINIO_ENDPOINT": self.s3_endpoint,
                "MINIO_ACCESS_KEY": s3.ACCESS_KEY,
                "MINIO_SECRET_KEY": s3.SECRET_KEY,
                "AWS_ENDPOINT_URL": self.s3_endpoint,
                "AWS_ACCESS_KEY_ID": s3.ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": s3.SECRET_KEY,
                "AWS_REGION": s3.REGION,
                "AWS_DEFAULT_REGION": s3.REGION,
            }
        return variables
