"""Kafka clusters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from lakebed.config.endpoints.definition import Endpoint, Secret, refuse_scheme

_SERVERS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:,@]+):\d{1,5}(,(\[[0-9A-Fa-f:.]+\]|[^\s/:,@]+):\d{1,5})*")


class KafkaEndpoint(Endpoint):
    """A Kafka cluster. How its clients are configured: `lakebed.config.kafka_clients`.

    Attributes:
        bootstrap_servers: host:port, several separated by commas.
        security_protocol: as Kafka names them.
        sasl_mechanism: how user and password are shown to the broker.
        username: of a user with SASL.
        password: of that user.
        ca_file: certificates, in PEM, that may have signed the brokers'; None for those that this machine
            trusts.
        certificate_file: the client's own certificates, in PEM.
        key_file: its key, in PEM (PKCS#8).
        key_password: of that key.
        librdkafka: more settings of confluent-kafka.
        java: more settings of Java clients: Spark, and a Connect that lakebed starts.
        bootstrap_servers_from_connect: as Kafka Connect reaches it, where that is another address.
    """

    title: ClassVar[str] = "a Kafka broker"
    short_form: ClassVar[str] = "host:port, several separated by commas"

    bootstrap_servers: str
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"] = "PLAIN"
    username: str | None = Field(default=None, min_length=1)
    password: Secret | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: Secret | None = None
    librdkafka: dict[str, Secret] = Field(default_factory=dict)
    java: dict[str, Secret] = Field(default_factory=dict)
    bootstrap_servers_from_connect: str | None = None

    # A dictionary has no hash; the address is enough to keep a client by.
    def __hash__(self) -> int:
        return hash(self.bootstrap_servers)

    @classmethod
    def _parsed(cls, text: str) -> dict[str, Any]:
        return {"bootstrap_servers": text}

    @model_validator(mode="after")
    def _possible(self) -> KafkaEndpoint:
        for servers in (self.bootstrap_servers, self.bootstrap_servers_from_connect):
            if servers is not None and not _SERVERS.fullmatch(servers):
                scheme, separator, _ = servers.partition("://")
                if separator:
                    refuse_scheme(type(self), scheme)
                raise ValueError(f"it is no such address; allowed: {self.short_form}")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together: set both or neither")
        if self.username is not None and not self.security_protocol.startswith("SASL"):
            raise ValueError("a username needs security_protocol SASL_SSL or SASL_PLAINTEXT")
        if self.ca_file is not None and not self.security_protocol.endswith("SSL"):
            raise ValueError("ca_file needs security_protocol SSL or SASL_SSL")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together: set both or neither")
        return self

    @property
    def address(self) -> str:
        """The bootstrap servers."""
        return self.bootstrap_servers

    def servers(self) -> list[tuple[str, int]]:
        """Return host and port of each bootstrap server."""
        pairs = (server.rpartition(":") for server in self.bootstrap_servers.split(","))
        return [(host.strip("[]"), int(port)) for host, _, port in pairs]
