"""Servers that speak HTTP: Kafka Connect, the schema registry, the Iceberg REST catalog."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from lakebed.config.endpoints.definition import Endpoint, Secret
from lakebed.config.endpoints.urls import check_endpoint_url, host_and_port, without_user


class HttpEndpoint(Endpoint):
    """A server that speaks HTTP.

    Attributes:
        url: with the scheme http or https, and a path if it has one.
        username: with `password`, for HTTP basic authentication.
        password: of that user.
        token: sent as a bearer token instead (RFC 6750).
        ca_file: certificates, in PEM, of those who may have signed the server's own; None for those that
            this machine trusts.
    """

    title: ClassVar[str] = "an HTTP server"
    short_form: ClassVar[str] = "http://host:port or https://user:password@host:port/path"

    url: str
    username: str | None = Field(default=None, pattern=r"^[^:\x00-\x1f]+$")
    password: Secret | None = None
    token: Secret | None = None
    ca_file: Path | None = None

    @classmethod
    def _parsed(cls, text: str) -> dict[str, Any]:
        return {"url": text}

    @model_validator(mode="before")
    @classmethod
    def _credentials_from_url(cls, given: object) -> object:
        """Take user and password out of the address, so that no error and no log can show them."""
        if isinstance(given, str):
            given = cls._parsed(given)
        if not isinstance(given, Mapping) or not isinstance(given.get("url"), str):
            return given
        plain, username, password = without_user(given["url"])
        found = {"username": username, "password": password}
        return {**{part: value for part, value in found.items() if value}, **given, "url": plain}

    @model_validator(mode="after")
    def _possible(self) -> HttpEndpoint:
        check_endpoint_url(type(self), self.url)
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together: set both or neither")
        if self.token is not None and self.username is not None:
            raise ValueError("set token, or username and password, not both")
        if self.ca_file is not None and not self.url.startswith("https"):
            raise ValueError("ca_file is for https, and the address says http")
        return self

    @property
    def address(self) -> str:
        """The URL."""
        return self.url

    @property
    def base(self) -> str:
        """The URL without a slash at its end, for paths that begin with one."""
        return self.url.rstrip("/")

    @property
    def bases(self) -> tuple[str, ...]:
        """Every URL under which it may be asked, the first one first, as `base`."""
        return (self.base,)

    @property
    def basic(self) -> tuple[str, str] | None:
        """User and password, None where there are none."""
        if self.username is None or self.password is None:
            return None
        return self.username, self.password.get_secret_value()

    @property
    def headers(self) -> dict[str, str]:
        """What is sent with each request, beside user and password."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token.get_secret_value()}"}

    def servers(self) -> list[tuple[str, int]]:
        """Return host and port."""
        return [host_and_port(self.url)]


class ConnectEndpoint(HttpEndpoint):
    """A cluster of Kafka Connect's workers.

    Attributes:
        further_urls: of workers of the same cluster, which are asked when the first one cannot be reached.
    """

    title: ClassVar[str] = "Kafka Connect's REST interface"

    further_urls: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _further_possible(self) -> ConnectEndpoint:
        for url in self.further_urls:
            check_endpoint_url(type(self), url)
            if "@" in url:
                raise ValueError("further_urls have no user: the one of url is used for all")
        return self

    @property
    def bases(self) -> tuple[str, ...]:
        """The URL of every worker, as `base`."""
        return (self.base, *(url.rstrip("/") for url in self.further_urls))

    def servers(self) -> list[tuple[str, int]]:
        """Return host and port of each worker."""
        return [host_and_port(url) for url in (self.url, *self.further_urls)]


class RegistryEndpoint(HttpEndpoint):
    """A schema registry with Confluent's API.

    Attributes:
        converter: which Avro converter Connect has for it.
        url_from_connect: as Kafka Connect reaches it, where that is another address.
    """

    title: ClassVar[str] = "a schema registry with Confluent's API"

    converter: Literal["apicurio", "confluent"] = "apicurio"
    url_from_connect: str | None = Field(default=None, pattern=r"^https?://\S+$")


class CatalogEndpoint(HttpEndpoint):
    """An Iceberg REST catalog.

    Attributes:
        warehouse: which of its warehouses, as the catalog names it.
    """

    title: ClassVar[str] = "an Iceberg REST catalog"

    warehouse: str = Field(default="s3://warehouse/", min_length=1)
