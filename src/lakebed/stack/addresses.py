"""The addresses of a running stack, as the contract's configuration models and as environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakebed.config.debezium import DebeziumConnectorConfig
from lakebed.config.delta import DeltaSparkConfig
from lakebed.config.iceberg import IcebergCatalogConfig
from lakebed.config.registry import SchemaRegistryConfig
from lakebed.config.settings import CLUSTER, Settings
from lakebed.services import postgres, spark, spark_cluster
from lakebed.services.endpoints import LOOPBACK, Endpoints
from lakebed.services.schema_registry import converter_settings


@dataclass(frozen=True)
class Addresses(Endpoints):
    """Where the services of a stack answer. Asking for one that is not there raises KeyError."""

    @classmethod
    def of(cls, ports: Mapping[str, Mapping[str, int]], settings: Settings) -> Addresses:
        """Return the addresses of the services with these ports, and of those that the settings attach."""
        return cls(ports, settings.registry_credentials, settings.attach)

    @property
    def postgres_port(self) -> int:
        """Port of PostgreSQL."""
        return self.postgres.port

    @property
    def kafka_bootstrap_servers(self) -> str:
        """Kafka's `bootstrap.servers`. Whether credentials belong to them says `kafka`."""
        return self.kafka.bootstrap_servers

    @property
    def debezium_url(self) -> str:
        """Kafka Connect's REST address."""
        return self.connect.base

    @property
    def schema_registry_url(self) -> str:
        """The registry's address; Confluent's API is at its root."""
        return self.schema_registry.base

    @property
    def iceberg_catalog_uri(self) -> str:
        """The Iceberg REST catalog's address."""
        return self.iceberg_rest.base

    @property
    def s3_endpoint(self) -> str:
        """The S3 store's address."""
        return self.s3.endpoint

    @property
    def spark_master_url(self) -> str:
        """The address of the Spark cluster's master, as sessions want it."""
        return spark_cluster.master_url(self.ports["spark-master"]["spark-master"])

    def iceberg_catalog_config(self) -> IcebergCatalogConfig:
        """Return the model for this stack's catalog and S3 store."""
        store = self.s3
        warehouse = self.iceberg_rest.warehouse
        return IcebergCatalogConfig(
            uri=self.iceberg_catalog_uri,
            warehouse=warehouse if _is_location(warehouse) else IcebergCatalogConfig.warehouse,
            s3_endpoint=store.endpoint,
            s3_access_key_id=store.access_key.get_secret_value(),
            s3_secret_access_key=store.secret_key.get_secret_value(),
            s3_region=store.region,
            s3_path_style_access=store.path_style,
        )

    def iceberg_client_properties(self) -> dict[str, str]:
        """Return what Iceberg's clients need beside the model, and over it.

        How they prove who they are; and a warehouse that is a name, where the model takes locations only.
        """
        catalog = self.iceberg_rest
        more = {} if _is_location(catalog.warehouse) else {"warehouse": catalog.warehouse}
        if catalog.token is not None:
            more["token"] = catalog.token.get_secret_value()
        if catalog.basic is not None:
            more["header.Authorization"] = basic_authorization(*catalog.basic)
        return more

    def schema_registry_config(self) -> SchemaRegistryConfig:
        """Return the model for this stack's registry."""
        username, password = self.schema_registry.basic or (None, None)
        return SchemaRegistryConfig(url=self.schema_registry_url, username=username, password=password)

    def delta_spark_config(self, master: str) -> DeltaSparkConfig:
        """Return the model for Spark on this stack's S3 store.

        Args:
            master: its URL, or "cluster" for the cluster of the stack.
        """
        store = self.s3
        more: Mapping[str, str] = {}
        if master == CLUSTER:
            master, more = self.spark_master_url, spark_cluster.SESSION_SETTINGS
        return DeltaSparkConfig(
            master=master,
            extra_config=dict(more),
            s3_endpoint=store.endpoint,
            s3_access_key=store.access_key.get_secret_value(),
            s3_secret_key=store.secret_key.get_secret_value(),
            s3_path_style_access=store.path_style,
        )

    def spark_settings(self) -> dict[str, str]:
        """Return what a Spark session needs beside the model: for an attached store, and the catalog."""
        settings = spark.store_settings(self.s3) if "s3" in self.attached else {}
        if "iceberg-rest" in self:
            config, more = self.iceberg_catalog_config(), self.iceberg_client_properties()
            settings.update(spark.iceberg_settings(config, more=more))
        return settings

    def spark_ca_files(self) -> list[Path]:
        """Return the certificates that a Spark session must trust beside those of the public authorities."""
        endpoints = (self.attached.s3, self.attached.iceberg_rest)
        return [one.ca_file for one in endpoints if one is not None and one.ca_file is not None]

    def debezium_connector_config(self, name: str, **fields: Any) -> DebeziumConnectorConfig:
        """Return a model that reaches this stack's PostgreSQL; `fields` are those of the model."""
        # pytest's --showlocals would show the fields, passwords with them.
        __tracebackhide__ = True
        server = self.postgres
        of_server: dict[str, Any] = {
            "database_hostname": server.host_from_connect or server.host,
            "database_port": server.port_from_connect or server.port,
            "database_user": server.user,
            "database_password": server.told_password,
        }
        extra = {**self._debezium_extra(), **fields.pop("extra_config", {})}
        try:
            return DebeziumConnectorConfig(name=name, **{**of_server, **fields, "extra_config": extra})
        except (TypeError, ValueError) as error:
            raise error.with_traceback(None) from None

    def _debezium_extra(self) -> dict[str, str]:
        """Return what attached servers want of a connector, and lakebed's own do not.

        Source: Debezium documentation, PostgreSQL connector, `database.sslmode`; Kafka documentation,
        "Source Connector Configs", `topic.creation.default.*`: -1 is the cluster's own default.
        """
        extra: dict[str, str] = {}
        server = self.attached.postgres
        if server is not None:
            extra["database.sslmode"] = server.sslmode
            ca_file = server.ca_file_from_connect or server.ca_file
            if ca_file is not None:
                extra["database.sslrootcert"] = str(ca_file)
        if self.attached.kafka is not None:
            extra |= {
                "topic.creation.default.replication.factor": "-1",
                "topic.creation.default.partitions": "1",
            }
        return extra

    def avro_converter(self) -> dict[str, str]:
        """Return the connector settings that write keys and values as Avro through the registry.

        Put them in `DebeziumConnectorConfig.extra_config`. The wire format is Confluent's: a zero byte and
        the schema's id in four bytes (Confluent documentation, "Wire Format").
        """
        converter = converter_settings(self.schema_registry)
        return {
            f"{part}.converter{name}": value for part in ("key", "value") for name, value in converter.items()
        }

    def delta_storage_options(self) -> dict[str, str]:
        """Return the `storage_options` with which delta-rs reaches the S3 store."""
        return self.s3.storage_options()

    def environment(self) -> dict[str, str]:
        """Return the variables an existing suite reads, for the services that are there."""
        variables: dict[str, str] = {}
        if "postgres" in self:
            server = self.postgres
            variables |= {
                "POSTGRES_HOST": server.host,
                "POSTGRES_PORT": str(server.port),
                "POSTGRES_USER": server.user,
                "POSTGRES_PASSWORD": server.told_password,
                "POSTGRES_DB": server.database if "postgres" in self.attached else postgres.DATABASE,
            }
        if "mariadb" in self:
            variables |= {
                "MARIADB_HOST": LOOPBACK,
                "MARIADB_PORT": str(self.ports["mariadb"]["mariadb"]),
                "MARIADB_USER": postgres.USER,
                "MARIADB_PASSWORD": postgres.PASSWORD,
                "MARIADB_DATABASE": postgres.DATABASE,
            }
        if "kafka" in self:
            variables["KAFKA_BOOTSTRAP_SERVERS"] = self.kafka_bootstrap_servers
        if "connect" in self:
            variables["DEBEZIUM_URL"] = self.debezium_url
        if "schema-registry" in self:
            variables["SCHEMA_REGISTRY_URL"] = self.schema_registry_url
            if self.schema_registry.basic is not None:
                variables["SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO"] = ":".join(self.schema_registry.basic)
        if "iceberg-rest" in self:
            variables["ICEBERG_CATALOG_URI"] = self.iceberg_catalog_uri
        if "spark-master" in self:
            variables["SPARK_MASTER_URL"] = self.spark_master_url
        if "s3" in self:
            store = self.s3
            access_key, secret_key = store.access_key.get_secret_value(), store.secret_key.get_secret_value()
            variables |= {
                "MINIO_ENDPOINT": store.endpoint,
                "MINIO_ACCESS_KEY": access_key,
                "MINIO_SECRET_KEY": secret_key,
                "AWS_ENDPOINT_URL": store.endpoint,
                "AWS_ACCESS_KEY_ID": access_key,
                "AWS_SECRET_ACCESS_KEY": secret_key,
                "AWS_REGION": store.region,
                "AWS_DEFAULT_REGION": store.region,
            }
            if store.session_token is not None:
                variables["AWS_SESSION_TOKEN"] = store.session_token.get_secret_value()
        return variables


def _is_location(warehouse: str) -> bool:
    return "://" in warehouse


def basic_authorization(username: str, password: str) -> str:
    """Return the header of HTTP basic authentication (RFC 7617)."""
    import base64

    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
