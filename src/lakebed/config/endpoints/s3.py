"""S3 stores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from lakebed.config.endpoints.definition import Endpoint, Secret
from lakebed.config.endpoints.urls import check_endpoint_url, host_and_port, without_user
from lakebed.config.secrets import Masked


class S3Endpoint(Endpoint):
    """An S3 store.

    Attributes:
        endpoint: its URL.
        access_key: id of the key.
        secret_key: the key.
        session_token: of temporary credentials.
        region: as the store names it.
        path_style: whether the bucket stands in the path rather than in the host's name.
        delta_bucket: a bucket that is there, for the Delta tables of tests.
        ca_file: certificates, in PEM, that may have signed the store's; None for those that this machine
            trusts.
    """

    title: ClassVar[str] = "an S3 store"
    short_form: ClassVar[str] = "http://host:port or https://access_key:secret_key@host:port"

    endpoint: str
    access_key: Secret
    secret_key: Secret
    session_token: Secret | None = None
    region: str = Field(default="us-east-1", min_length=1)
    path_style: bool = True
    delta_bucket: str = Field(default="delta", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    ca_file: Path | None = None

    @classmethod
    def _parsed(cls, text: str) -> dict[str, Any]:
        return {"endpoint": text}

    @model_validator(mode="before")
    @classmethod
    def _keys_from_url(cls, given: object) -> object:
        if isinstance(given, str):
            given = cls._parsed(given)
        if not isinstance(given, Mapping) or not isinstance(given.get("endpoint"), str):
            return given
        plain, access_key, secret_key = without_user(given["endpoint"])
        found = {"access_key": access_key, "secret_key": secret_key}
        return {**{name: key for name, key in found.items() if key}, **given, "endpoint": plain}

    @model_validator(mode="after")
    def _possible(self) -> S3Endpoint:
        check_endpoint_url(type(self), self.endpoint)
        return self

    @property
    def address(self) -> str:
        """The URL."""
        return self.endpoint

    def servers(self) -> list[tuple[str, int]]:
        """Return host and port."""
        return [host_and_port(self.endpoint)]

    def storage_options(self) -> dict[str, str]:
        """Return the `storage_options` with which delta-rs reaches the store."""
        options = Masked(
            {
                "AWS_ENDPOINT_URL": self.endpoint,
                "AWS_ACCESS_KEY_ID": self.access_key.get_secret_value(),
                "AWS_SECRET_ACCESS_KEY": self.secret_key.get_secret_value(),
                "AWS_REGION": self.region,
                "AWS_ALLOW_HTTP": "true",
            }
        )
        if self.session_token is not None:
            options["AWS_SESSION_TOKEN"] = self.session_token.get_secret_value()
        if not self.path_style:
            options["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] = "true"
        return options
