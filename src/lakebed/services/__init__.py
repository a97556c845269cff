"""The services lakebed can start: one file each, and these two lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lakebed.errors import UnknownService
from lakebed.provision.lock import OF_SPARK, sets_here
from lakebed.services.connect import CONNECT, FURTHER_WORKERS
from lakebed.services.definition import Place, ResourceKind, Service
from lakebed.services.endpoints import BROKERS, WORKERS
from lakebed.services.iceberg_rest import ICEBERG_REST
from lakebed.services.kafka import FURTHER_BROKERS, KAFKA
from lakebed.services.mariadb import MARIADB
from lakebed.services.postgres import POSTGRES
from lakebed.services.s3 import S3
from lakebed.services.schema_registry import SCHEMA_REGISTRY
from lakebed.services.spark_cluster import CLUSTER_SERVICES, SPARK_MASTER, SPARK_WORKERS

if TYPE_CHECKING:
    from lakebed.config.settings import Settings

SERVICES: tuple[Service, ...] = (POSTGRES, KAFKA, CONNECT, SCHEMA_REGISTRY, S3, ICEBERG_REST)

SERVICE_NAMES: tuple[str, ...] = tuple(service.name for service in SERVICES)

ON_REQUEST: tuple[Service, ...] = (*FURTHER_BROKERS, *FURTHER_WORKERS, SPARK_MASTER, *SPARK_WORKERS, MARIADB)
"""Those that are started only where somebody names them, never as a part of all."""

KNOWN_SERVICES: tuple[Service, ...] = (*SERVICES, *ON_REQUEST)

KNOWN_NAMES: tuple[str, ...] = tuple(service.name for service in KNOWN_SERVICES)

GROUPS: dict[str, tuple[str, ...]] = {
    "kafka-cluster": BROKERS,
    "connect-cluster": WORKERS,
    "spark-cluster": CLUSTER_SERVICES,
}
"""By a name that stands for several services, theirs."""


def service_named(name: str) -> Service:
    """Return the service of that name, or of one of its other names ("minio", "debezium").

    Raises:
        UnknownService: listing the known names.
    """
    for service in KNOWN_SERVICES:
        if name == service.name or name in service.other_names:
            return service
    seen = f"that is a group of services: {', '.join(GROUPS[name])}" if name in GROUPS else ""
    raise UnknownService(
        f"find the service {name!r}",
        seen or "lakebed has no such service",
        f"known services: {', '.join((*KNOWN_NAMES, *GROUPS))}",
    )


def jar_sets(services: Iterable[Service], settings: Settings) -> list[str]:
    """Return the sets of locked files that these services run from with these settings.

    Those that Connect runs from because of one of them are among them.
    """
    return [
        found
        for service in services
        for found in (service.jar_set(settings), service.connect_jars)
        if found is not None
    ]


def jar_sets_for(settings: Settings) -> list[str]:
    """Return the sets of locked files that all services, and Spark, run from here.

    Without those of what is started on request only.
    """
    return sorted({OF_SPARK, *jar_sets(SERVICES, settings)} & set(sets_here()))


def further_servers(name: str) -> tuple[str, ...]:
    """Return the servers that can do a service's work in its place: the others of its cluster, on request."""
    return tuple(service.name for service in ON_REQUEST if name in service.started_with)


def services_named(name: str) -> tuple[Service, ...]:
    """Return the services of that name, of another name of theirs, or of that group ("spark-cluster").

    Raises:
        UnknownService: listing the known names.
    """
    return tuple(service_named(one) for one in GROUPS.get(name, (name,)))


__all__ = [
    "GROUPS",
    "KNOWN_NAMES",
    "KNOWN_SERVICES",
    "ON_REQUEST",
    "SERVICES",
    "SERVICE_NAMES",
    "Place",
    "ResourceKind",
    "Service",
    "further_servers",
    "jar_sets",
    "jar_sets_for",
    "service_named",
    "services_named",
]
