"""The names that a shell completes, without importing what has them: that takes longer than a key press.

A test compares them with the services themselves.
"""

from __future__ import annotations

SERVICE_NAMES = ("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest")
ON_REQUEST_NAMES = (
    *("kafka-2", "kafka-3", "connect-2", "connect-3"),
    *("spark-master", "spark-worker-1", "spark-worker-2", "mariadb"),
)
GROUP_NAMES = ("kafka-cluster", "connect-cluster", "spark-cluster")
CONTAINER_NAMES = (*SERVICE_NAMES, "mariadb", "spark-master", "spark-worker")
RUNTIMES = ("native", "compose")
PROFILES = ("cdc", "registry", "lake", "spark")
