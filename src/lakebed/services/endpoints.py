"""The endpoints of a stack's services, whether lakebed has started them or was told of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from lakebed.config.attach import NOTHING, Attach
from lakebed.config.debezium import DebeziumConnectorConfig
from lakebed.config.endpoints import (
    CatalogEndpoint,
    ConnectEndpoint,
    KafkaEndpoint,
    PostgresEndpoint,
    RegistryEndpoint,
    S3Endpoint,
)
from lakebed.config.iceberg import IcebergCatalogConfig

LOOPBACK = "127.0.0.1"

BROKERS = ("kafka", "kafka-2", "kafka-3")
"""The brokers that a Kafka of lakebed's own can have; the first is there in any case."""

WORKERS = ("connect", "connect-2", "connect-3")
"""The workers that a Kafka Connect of lakebed's own can have; the first is there in any case."""

Store = str | S3Endpoint
"""An S3 store: its URL where it is one of lakebed's own, or its endpoint."""

# Whoever lakebed's own servers let in, as the contract has it.
_DATABASE = DebeziumConnectorConfig(name="contract")
_STORE = IcebergCatalogConfig()


def postgres_on(port: int) -> PostgresEndpoint:
    """Return the endpoint of a PostgreSQL that lakebed has started on a port."""
    return PostgresEndpoint(
        host=LOOPBACK,
        port=port,
        user=_DATABASE.database_user,
        password=SecretStr(_DATABASE.database_password),
    )


def s3_at(endpoint: Store) -> S3Endpoint:
    """Return the endpoint of an S3 store that lakebed has started at a URL; another one as it is."""
    if isinstance(endpoint, S3Endpoint):
        return endpoint
    return S3Endpoint(
        endpoint=endpoint,
        access_key=SecretStr(_STORE.s3_access_key_id),
        secret_key=SecretStr(_STORE.s3_secret_access_key),
        region=_STORE.s3_region,
    )


@dataclass(frozen=True)
class Endpoints:
    """Where the services of a stack answer. Asking for one that is not there raises KeyError.

    Attributes:
        ports: of those that lakebed has started, by service and port name.
        registry_credentials: user and password that lakebed's own schema registry asks for, if it does.
        attached: those that it was told of; each is used in place of one of lakebed's own.
    """

    ports: Mapping[str, Mapping[str, int]]
    registry_credentials: tuple[str, str] | None = field(default=None, repr=False)
    attached: Attach = NOTHING

    def __contains__(self, service: str) -> bool:
        return service in self.attached or service in self.ports

    def __iter__(self) -> Iterator[str]:
        """Return the names of the services that are there."""
        return iter(dict.fromkeys((*self.ports, *self.attached)))

    def _port(self, service: str) -> int:
        return self.ports[service][service]

    def _url(self, service: str) -> str:
        return f"http://{LOOPBACK}:{self._port(service)}"

    def _further(self, members: tuple[str, ...]) -> list[str]:
        return [name for name in members[1:] if name in self.ports]

    @property
    def postgres(self) -> PostgresEndpoint:
        """PostgreSQL."""
        return self.attached.postgres or postgres_on(self._port("postgres"))

    @property
    def kafka(self) -> KafkaEndpoint:
        """Kafka, by all its brokers."""
        if self.attached.kafka is not None:
            return self.attached.kafka
        ports = [self._port("kafka"), *map(self._port, self._further(BROKERS))]
        return KafkaEndpoint(bootstrap_servers=",".join(f"{LOOPBACK}:{port}" for port in ports))

    @property
    def connect(self) -> ConnectEndpoint:
        """Kafka Connect's REST interface, by all its workers."""
        if self.attached.connect is not None:
            return self.attached.connect
        further = tuple(self._url(name) for name in self._further(WORKERS))
        return ConnectEndpoint(url=self._url("connect"), further_urls=further)

    @property
    def schema_registry(self) -> RegistryEndpoint:
        """The schema registry; Confluent's API is at its root."""
        if self.attached.schema_registry is not None:
            return self.attached.schema_registry
        url = self._url("schema-registry")
        if self.registry_credentials is None:
            return RegistryEndpoint(url=url)
        username, password = self.registry_credentials
        return RegistryEndpoint(url=url, username=username, password=SecretStr(password))

    @property
    def s3(self) -> S3Endpoint:
        """The S3 store."""
        return self.attached.s3 or s3_at(self._url("s3"))

    @property
    def iceberg_rest(self) -> CatalogEndpoint:
        """The Iceberg REST catalog."""
        return self.attached.iceberg_rest or CatalogEndpoint(
            url=self._url("iceberg-rest"), warehouse=_STORE.warehouse
        )
