"""Confluent's schema registry client, made from the contract's configuration."""

from __future__ import annotations

from confluent_kafka.schema_registry import SchemaRegistryClient

from lakebed.config.endpoints import RegistryEndpoint
from lakebed.config.registry import CompatibilityMode, SchemaRegistryConfig

_NO_CLUSTER = "none"
# The contract's output has this key, as Java clients want it; confluent-kafka's Python client refuses it.
_JAVA_ONLY_KEYS = frozenset({"basic.auth.credentials.source"})


def schema_registry_client(
    config: SchemaRegistryConfig, endpoint: RegistryEndpoint | None = None
) -> SchemaRegistryClient:
    """Return the ecosystem's client with the address, credentials, time-out and retries of `config`.

    Its `compatibility_mode` is not sent: it would be that of everybody. See `set_compatibility`.

    Args:
        config: the model.
        endpoint: of the registry, for what the model has no field for: a token, whom to trust.
    """
    properties: dict[str, object] = {
        key: value for key, value in config.to_client_config().items() if key not in _JAVA_ONLY_KEYS
    }
    properties["timeout"] = config.timeout_seconds
    properties["max.retries"] = config.max_retries
    if endpoint is not None and endpoint.ca_file is not None:
        properties["ssl.ca.location"] = str(endpoint.ca_file)
    if endpoint is not None and endpoint.token is not None:
        properties |= {
            "bearer.auth.credentials.source": "STATIC_TOKEN",
            "bearer.auth.token": endpoint.token.get_secret_value(),
            # The client insists on the name of a cluster in Confluent Cloud; other registries pass over it.
            "bearer.auth.logical.cluster": _NO_CLUSTER,
            "bearer.auth.identity.pool.id": _NO_CLUSTER,
        }
    return SchemaRegistryClient(properties)


def set_compatibility(
    client: SchemaRegistryClient, mode: CompatibilityMode, subject: str | None = None
) -> None:
    """Set which new schemas a subject takes, also one that does not exist yet.

    Args:
        client: of the registry.
        mode: see docs/schema_registry.md for what each lets through.
        subject: None for all subjects that have no mode of their own.

    Raises:
        SchemaRegistryError: the registry refuses, or does not answer.
    """
    client.set_compatibility(subject_name=subject, level=mode.value)


def compatibility(client: SchemaRegistryClient, subject: str | None = None) -> CompatibilityMode:
    """Return the mode of a subject; where it has none of its own, or without a subject, that of all.

    Raises:
        SchemaRegistryError: the registry does not answer.
    """
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    try:
        return CompatibilityMode(client.get_compatibility(subject_name=subject))
    except SchemaRegistryError as error:
        if subject is None or error.http_status_code != 404:
            raise
    return CompatibilityMode(client.get_compatibility())
