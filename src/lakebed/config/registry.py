"""How to reach a schema registry."""

from __future__ import annotations

from dataclasses import dataclass

from lakebed.config.checks import (
    Choice,
    check_enum,
    check_integer,
    check_text_or_empty,
    check_url,
    refuse_value,
)
from lakebed.config.secrets import masked_repr


class CompatibilityMode(Choice):
    """Schema Registry compatibility modes."""

    BACKWARD = "BACKWARD"
    FORWARD = "FORWARD"
    FULL = "FULL"
    NONE = "NONE"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"


@dataclass
class SchemaRegistryConfig:
    """Configuration for Schema Registry connection.

    ``timeout_seconds`` is in seconds. Without both ``username`` and ``password`` no authentication is
    configured. Raises TypeError or ValueError, naming the field, for a value that cannot work: when it is
    made and again when it is converted.
    """

    url: str = "http://localhost:8081"

    compatibility_mode: CompatibilityMode = CompatibilityMode.BACKWARD

    timeout_seconds: int = 30
    max_retries: int = 3

    username: str | None = None
    password: str | None = None

    def __post_init__(self) -> None:
        self.validate()

    def __repr__(self) -> str:
        return masked_repr(self)

    def validate(self) -> None:
        """Raise TypeError or ValueError for the first field that cannot work."""
        check_url("SchemaRegistryConfig.url", self.url)
        check_enum("SchemaRegistryConfig.compatibility_mode", self.compatibility_mode, CompatibilityMode)
        check_integer("SchemaRegistryConfig.timeout_seconds", self.timeout_seconds, between=(1, None))
        check_integer("SchemaRegistryConfig.max_retries", self.max_retries, between=(0, None))
        if self.username is not None:
            username = check_text_or_empty("SchemaRegistryConfig.username", self.username)
            # RFC 7617 ends the user at the first colon, so the registry would see another user and password.
            if ":" in username:
                refuse_value("SchemaRegistryConfig.username", username, "a name without a colon")
        if self.password is not None:
            check_text_or_empty("SchemaRegistryConfig.password", self.password)

    def to_client_config(self) -> dict[str, str]:
        """Convert to Schema Registry client configuration."""
        self.validate()
        config = {
            "url": self.url,
        }

        if self.username and self.password:
            config["basic.auth.credentials.source"] = "USER_INFO"
            config["basic.auth.user.info"] = f"{self.username}:{self.password}"

        return config
