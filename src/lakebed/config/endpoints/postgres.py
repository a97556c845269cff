"""PostgreSQL servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field

from lakebed.config.endpoints.definition import Endpoint, Secret, refuse_scheme
from lakebed.config.secrets import Masked

_SCHEMES = ("postgresql", "postgres")


class PostgresEndpoint(Endpoint):
    """A PostgreSQL server.

    Attributes:
        host: name or address.
        port: number.
        user: a role that may create databases and replicate.
        password: of that role; None where the server asks for none.
        database: one that is there, for connections that make and drop others.
        sslmode: as libpq knows it.
        ca_file: certificates, in PEM, that may have signed the server's (libpq, `sslrootcert`).
        host_from_connect: the host as Kafka Connect reaches it, where that is another one.
        port_from_connect: the port as Kafka Connect reaches it.
        ca_file_from_connect: `ca_file` where Kafka Connect runs.
    """

    title: ClassVar[str] = "PostgreSQL"
    short_form: ClassVar[str] = "postgresql://user:password@host:port/database?sslmode=require"

    host: str = Field(min_length=1)
    port: int = Field(default=5432, ge=1, le=65535)
    user: str = Field(min_length=1)
    password: Secret | None = None
    database: str = Field(default="postgres", min_length=1)
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    ca_file: Path | None = None
    host_from_connect: str | None = None
    port_from_connect: int | None = Field(default=None, ge=1, le=65535)
    ca_file_from_connect: str | None = None

    @classmethod
    def _parsed(cls, text: str) -> dict[str, Any]:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError(f"it is no URL; allowed: {cls.short_form}") from None
        if parts.scheme not in _SCHEMES:
            refuse_scheme(cls, parts.scheme)
        found: dict[str, Any] = {
            "host": parts.hostname,
            "port": port,
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or "") or None,
            "database": unquote(parts.path.removeprefix("/")) or None,
        }
        parameters = dict(parse_qsl(parts.query))
        if "sslrootcert" in parameters:
            parameters["ca_file"] = parameters.pop("sslrootcert")
        return {name: value for name, value in {**found, **parameters}.items() if value is not None}

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def told_password(self) -> str:
        """The password, for clients that must be told one: empty where the server asks for none."""
        return "" if self.password is None else self.password.get_secret_value()

    def servers(self) -> list[tuple[str, int]]:
        """Return host and port."""
        return [(self.host, self.port)]

    def connection_parameters(self) -> dict[str, Any]:
        """Return the parameters of libpq, all but the database."""
        parameters = Masked(host=self.host, port=self.port, user=self.user)
        if self.password is not None:
            parameters["password"] = self.password.get_secret_value()
        if self.sslmode != "prefer":
            parameters["sslmode"] = self.sslmode
        if self.ca_file is not None:
            parameters["sslrootcert"] = str(self.ca_file)
        return parameters
