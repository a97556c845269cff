"""How Kafka's clients are configured to reach a cluster: confluent-kafka in its words, Java in its own.

Sources: librdkafka, "Configuration properties"; Kafka documentation, "Security".
"""

from __future__ import annotations

from collections.abc import Mapping

from lakebed.config.endpoints import KafkaEndpoint
from lakebed.config.secrets import Masked

Kafka = str | KafkaEndpoint
"""A cluster: its bootstrap servers, or its endpoint where credentials belong to it."""

_LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def client_settings(kafka: Kafka) -> dict[str, str]:
    """Return the settings with which a client of confluent-kafka reaches a cluster."""
    if isinstance(kafka, str):
        return {"bootstrap.servers": kafka}
    settings = {"bootstrap.servers": kafka.bootstrap_servers}
    if kafka.security_protocol != "PLAINTEXT":
        settings["security.protocol"] = kafka.security_protocol
    if kafka.security_protocol.startswith("SASL"):
        settings["sasl.mechanism"] = kafka.sasl_mechanism
    if kafka.username is not None and kafka.password is not None:
        settings["sasl.username"] = kafka.username
        settings["sasl.password"] = kafka.password.get_secret_value()
    files = {
        "ssl.ca.location": kafka.ca_file,
        "ssl.certificate.location": kafka.certificate_file,
        "ssl.key.location": kafka.key_file,
    }
    settings |= {name: str(file) for name, file in files.items() if file is not None}
    if kafka.key_password is not None:
        settings["ssl.key.password"] = kafka.key_password.get_secret_value()
    settings |= {name: secret.get_secret_value() for name, secret in kafka.librdkafka.items()}
    return Masked(settings)


def admin_settings(kafka: Kafka) -> dict[str, str]:
    """Return the settings for an admin client: to ask for a topic does not create it, and it is soon back.

    To librdkafka it is a producer: without them it names each topic that it was asked for again every five
    minutes, and a cluster with `auto.create.topics.enable` makes one anew that was deleted meanwhile. And up
    to ten seconds would pass before it tries again to reach a Kafka that was killed and is back.
    Source: librdkafka documentation, "Configuration properties", `allow.auto.create.topics`,
    `topic.metadata.refresh.interval.ms` and `reconnect.backoff.max.ms`.
    """
    ours = {"allow.auto.create.topics": "false", "reconnect.backoff.max.ms": "1000"}
    return Masked({**client_settings(kafka), **ours})


def java_settings(kafka: Kafka, prefix: str = "") -> dict[str, str]:
    """Return the settings with which a Java client reaches a cluster, each name with `prefix` before it.

    Raises:
        OSError: a certificate or a key cannot be read: Java is given what is in the files.
    """
    if isinstance(kafka, str):
        return {f"{prefix}bootstrap.servers": kafka}
    return Masked({f"{prefix}bootstrap.servers": kafka.bootstrap_servers, **java_security(kafka, prefix)})


def java_security(kafka: Kafka, prefix: str = "") -> dict[str, str]:
    """Return those settings of `java_settings` that are not the address."""
    if isinstance(kafka, str):
        return {}
    settings: dict[str, str] = {}
    if kafka.security_protocol != "PLAINTEXT":
        settings["security.protocol"] = kafka.security_protocol
    if kafka.security_protocol.startswith("SASL"):
        settings["sasl.mechanism"] = kafka.sasl_mechanism
    if kafka.username is not None and kafka.password is not None:
        values = {"username": kafka.username, "password": kafka.password.get_secret_value()}
        settings["sasl.jaas.config"] = _jaas(_LOGIN_MODULES.get(kafka.sasl_mechanism, ""), values)
    if kafka.ca_file is not None:
        # Kafka reads PEM since 2.7 (KIP-651).
        settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(kafka.ca_file)}
    if kafka.certificate_file is not None and kafka.key_file is not None:
        settings |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": kafka.certificate_file.read_text(),
            "ssl.keystore.key": kafka.key_file.read_text(),
        }
    if kafka.key_password is not None:
        settings["ssl.key.password"] = kafka.key_password.get_secret_value()
    settings |= {name: secret.get_secret_value() for name, secret in kafka.java.items()}
    return Masked({f"{prefix}{name}": value for name, value in settings.items()})


def _jaas(module: str, values: Mapping[str, str]) -> str:
    """Return a line of JAAS (Java documentation, class `Configuration`): quotes and backslashes escaped."""
    escaped = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in values.items()}
    options = "".join(f' {name}="{value}"' for name, value in escaped.items())
    return f"{module} required{options};"
