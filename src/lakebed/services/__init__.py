"""The services lakebed can start: one file each, and this one list."""

from __future__ import annotations

from lakebed.errors import UnknownService
from lakebed.services.connect import CONNECT
from lakebed.services.definition import Place, ResourceKind, Service
from lakebed.services.iceberg_rest import ICEBERG_REST
from lakebed.services.kafka import KAFKA
from lakebed.services.postgres import POSTGRES
from lakebed.services.s3 import S3
from lakebed.services.schema_registry import SCHEMA_REGISTRY

SERVICES: tuple[Service, ...] = (POSTGRES, KAFKA, CONNECT, SCHEMA_REGISTRY, S3, ICEBERG_REST)

SERVICE_NAMES: tuple[str, ...] = tuple(service.name for service in SERVICES)


def service_named(name: str) -> Service:
    """Return the service of that name, or of one of its other names ("minio", "debezium").

    Raises:
        UnknownService: listing the known names.
    """
    for service in SERVICES:
        if name == service.name or name in service.other_names:
            return service
    raise UnknownService(
        f"find the service {name!r}",
        "lakebed has no such service",
        f"known services: {', '.join(SERVICE_NAMES)}",
    )


__all__ = ["SERVICES", "SERVICE_NAMES", "Place", "ResourceKind", "Service", "service_named"]
