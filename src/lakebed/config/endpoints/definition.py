"""What the endpoints of all protocols have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FieldSerializationInfo,
    PlainSerializer,
    SecretStr,
    model_validator,
)


def _told(secret: SecretStr, info: FieldSerializationInfo) -> str:
    """Return a secret to whoever asks for it: `model_dump(mode="json", context={"secrets": True})`."""
    return secret.get_secret_value() if (info.context or {}).get("secrets") else str(secret)


Secret = Annotated[SecretStr, Field(min_length=1), PlainSerializer(_told, when_used="json")]


class Endpoint(BaseModel):
    """What all of them have in common. Unknown fields are refused, naming the known ones.

    Attributes:
        title: what answers there, for an error.
        short_form: how the address looks when it is written as one text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: ClassVar[str]
    short_form: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: object) -> object:
        if isinstance(given, str):
            given = cls._parsed(given)
        if isinstance(given, Mapping):
            unknown = sorted(str(name) for name in given if name not in cls.model_fields)
            if unknown:
                known = ", ".join(cls.model_fields)
                raise ValueError(f"unknown {', '.join(unknown)}; known fields: {known}")
        return given

    @classmethod
    def _parsed(cls, text: str) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def address(self) -> str:
        """Where it is, for a person: no secret is in it."""
        raise NotImplementedError

    def servers(self) -> list[tuple[str, int]]:
        """Return host and port of every server that it names."""
        raise NotImplementedError


def refuse_scheme(cls: type[Endpoint], scheme: str) -> None:
    raise ValueError(f"scheme {scheme!r} is not one of {cls.title}; allowed: {cls.short_form}")
