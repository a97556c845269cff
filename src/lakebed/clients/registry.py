"""Confluent's schema registry client, made from the contract's configuration."""

from __future__ import annotations

from confluent_kafka.schema_registry import SchemaRegistryClient

from lakebed.config.registry import SchemaRegistryConfig

# The contract's output has this key, as Java clients want it; confluent-kafka's Python client refuses it.
_JAVA_ONLY_KEYS = frozenset({"basic.auth.credentials.source"})


def schema_registry_client(config: SchemaRegistryConfig) -> SchemaRegistryClient:
    """Return the ecosystem's client with the address, credentials, time-out and retries of `config`."""
    properties: dict[str, object] = {
        key: value for key, value in config.to_client_config().items() if key not in _JAVA_ONLY_KEYS
    }
    properties["timeout"] = config.timeout_seconds
    properties["max.retries"] = config.max_retries
    return SchemaRegistryClient(properties)
