"""Where a server answers, and with which credentials: one model for each protocol.

A server that lakebed has started has an endpoint as one that it was only told of has. An address may be
written as one text, its short form: `Endpoint.short_form`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FieldSerializationInfo,
    PlainSerializer,
    SecretStr,
    model_validator,
)

_SERVERS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:,@]+):\d{1,5}(,(\[[0-9A-Fa-f:.]+\]|[^\s/:,@]+):\d{1,5})*")
_POSTGRES_SCHEMES = ("postgresql", "postgres")


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


def _refuse_scheme(cls: type[Endpoint], scheme: str) -> None:
    raise ValueError(f"scheme {scheme!r} is not one of {cls.title}; allowed: {cls.short_form}")


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
        plain, username, password = _without_user(given["url"])
        found = {"username": username, "password": password}
        return {**{part: value for part, value in found.items() if value}, **given, "url": plain}

    @model_validator(mode="after")
    def _possible(self) -> HttpEndpoint:
        _check_url(type(self), self.url)
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
        return [_host_and_port(self.url)]


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _without_user(url: str) -> tuple[str, str | None, str | None]:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None, None
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    plain = urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment))
    return plain, unquote(name), unquote(password)


def _check_url(cls: type[Endpoint], url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"it is no URL; allowed: {cls.short_form}") from None
    if parts.scheme not in ("http", "https"):
        _refuse_scheme(cls, parts.scheme)
    if not parts.hostname or port == 0 or parts.query or parts.fragment or re.search(r"\s", url):
        raise ValueError(f"it is no such URL; allowed: {cls.short_form}")


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
        if parts.scheme not in _POSTGRES_SCHEMES:
            _refuse_scheme(cls, parts.scheme)
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

    def servers(self) -> list[tuple[str, int]]:
        """Return host and port."""
        return [(self.host, self.port)]

    def connection_parameters(self) -> dict[str, Any]:
        """Return the parameters of libpq, all but the database."""
        parameters: dict[str, Any] = {"host": self.host, "port": self.port, "user": self.user}
        if self.password is not None:
            parameters["password"] = self.password.get_secret_value()
        if self.sslmode != "prefer":
            parameters["sslmode"] = self.sslmode
        if self.ca_file is not None:
            parameters["sslrootcert"] = str(self.ca_file)
        return parameters


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
                    _refuse_scheme(type(self), scheme)
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


class ConnectEndpoint(HttpEndpoint):
    """A worker of Kafka Connect."""

    title: ClassVar[str] = "Kafka Connect's REST interface"


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
        plain, access_key, secret_key = _without_user(given["endpoint"])
        found = {"access_key": access_key, "secret_key": secret_key}
        return {**{name: key for name, key in found.items() if key}, **given, "endpoint": plain}

    @model_validator(mode="after")
    def _possible(self) -> S3Endpoint:
        _check_url(type(self), self.endpoint)
        return self

    @property
    def address(self) -> str:
        """The URL."""
        return self.endpoint

    def servers(self) -> list[tuple[str, int]]:
        """Return host and port."""
        return [_host_and_port(self.endpoint)]

    def storage_options(self) -> dict[str, str]:
        """Return the `storage_options` with which delta-rs reaches the store."""
        options = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": self.secret_key.get_secret_value(),
            "AWS_REGION": self.region,
            "AWS_ALLOW_HTTP": "true",
        }
        if self.session_token is not None:
            options["AWS_SESSION_TOKEN"] = self.session_token.get_secret_value()
        if not self.path_style:
            options["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] = "true"
        return options
