"""The setting `attach`: servers that somebody else runs, which lakebed uses and neither starts nor stops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lakebed.config.endpoints import (
    CatalogEndpoint,
    ConnectEndpoint,
    Endpoint,
    KafkaEndpoint,
    PostgresEndpoint,
    RegistryEndpoint,
    S3Endpoint,
)
from lakebed.config.secrets import Hidden


class Attach(BaseModel):
    """By service, the endpoint that is used in place of a server of lakebed's own; None for lakebed's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    postgres: PostgresEndpoint | None = None
    kafka: KafkaEndpoint | None = None
    connect: ConnectEndpoint | None = None
    schema_registry: RegistryEndpoint | None = Field(default=None, alias="schema-registry")
    s3: S3Endpoint | None = None
    iceberg_rest: CatalogEndpoint | None = Field(default=None, alias="iceberg-rest")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        if isinstance(given, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            unknown = sorted(str(name) for name in given if name not in known)
            if unknown:
                raise ValueError(f"unknown service {', '.join(unknown)}; known: {', '.join(known)}")
        return given

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        """Return the names of the services that are attached."""
        return iter(self.endpoints())

    def __bool__(self) -> bool:
        """Whether anything is attached."""
        return bool(self.endpoints())

    def __contains__(self, service: object) -> bool:
        return service in self.endpoints()

    def endpoints(self) -> dict[str, Endpoint]:
        """Return, by service, the endpoints of those that are attached."""
        found = {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}
        return {service: endpoint for service, endpoint in found.items() if endpoint is not None}

    def to_json(self, *, secrets: bool = False) -> dict[str, object]:
        """Return it as JSON values that `model_validate` reads; secrets are masked unless asked for."""
        told = self.model_dump(mode="json", by_alias=True, exclude_none=True, context={"secrets": secrets})
        return Hidden(told) if secrets else told


NOTHING = Attach()
