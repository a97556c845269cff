"""Where a server answers, and with which credentials: one model for each protocol.

A server that lakebed has started has an endpoint as one that it was only told of has. An address may be
written as one text, its short form: `Endpoint.short_form`.
"""

from __future__ import annotations

from lakebed.config.endpoints.definition import Endpoint, Secret
from lakebed.config.endpoints.http import CatalogEndpoint, ConnectEndpoint, HttpEndpoint, RegistryEndpoint
from lakebed.config.endpoints.kafka import KafkaEndpoint
from lakebed.config.endpoints.postgres import PostgresEndpoint
from lakebed.config.endpoints.s3 import S3Endpoint

__all__ = [
    "CatalogEndpoint",
    "ConnectEndpoint",
    "Endpoint",
    "HttpEndpoint",
    "KafkaEndpoint",
    "PostgresEndpoint",
    "RegistryEndpoint",
    "S3Endpoint",
    "Secret",
]
