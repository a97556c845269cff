"""The services that somebody else may run, and how each is looked at before it is used."""

from __future__ import annotations

from lakebed.services.attached.connect import CONNECT_ELSEWHERE
from lakebed.services.attached.definition import AttachedService, Missing
from lakebed.services.attached.iceberg_rest import ICEBERG_REST_ELSEWHERE
from lakebed.services.attached.kafka import KAFKA_ELSEWHERE
from lakebed.services.attached.postgres import POSTGRES_ELSEWHERE
from lakebed.services.attached.s3 import S3_ELSEWHERE
from lakebed.services.attached.schema_registry import SCHEMA_REGISTRY_ELSEWHERE

ELSEWHERE: dict[str, AttachedService] = {
    "postgres": POSTGRES_ELSEWHERE,
    "kafka": KAFKA_ELSEWHERE,
    "connect": CONNECT_ELSEWHERE,
    "schema-registry": SCHEMA_REGISTRY_ELSEWHERE,
    "s3": S3_ELSEWHERE,
    "iceberg-rest": ICEBERG_REST_ELSEWHERE,
}

__all__ = ["ELSEWHERE", "AttachedService", "Missing"]
