"""Settings of lakebed itself: what is not part of a data model.

One precedence, highest first:

1. what a caller passes (the command line, a `lakebed_settings` fixture),
2. environment variables `LAKEBED_<NAME>`,
3. `lakebed.toml` in the current folder,
4. the table `[tool.lakebed]` of `pyproject.toml` in the current folder,
5. the defaults below.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    FieldSerializationInfo,
    SecretStr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from lakebed.config.attach import Attach
from lakebed.config.delta import DeltaSparkConfig
from lakebed.config.secrets import is_secret_name, shown
from lakebed.errors import SettingsInvalid
from lakebed.waiting import PATIENCE, patience

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENVIRONMENT_PREFIX = "LAKEBED_"

# A variable with the prefix that is no setting: a short name for one.
CLUSTER = "cluster"
"""The setting `spark_master` for the Spark cluster of the stack."""
_JSON_REMEDY = """write tables as JSON, such as '{"kafka": 19092}'"""
_OTHER_VARIABLES = frozenset({"LAKEBED_CACHE", PATIENCE})


class Settings(BaseSettings):
    """How lakebed runs here.

    Attributes:
        cache_folder: downloads and what is made from them once; None for `$LAKEBED_CACHE`,
            `$XDG_CACHE_HOME/lakebed` or `~/.cache/lakebed`.
        data_folder: where running stacks keep their data; None for a folder of lakebed's own in the
            system's folder for temporary files. Everything in it is deleted with the stack.
        maven_mirror: address of a Maven repository to fetch from instead of Central.
        memory_mb: how much memory the servers may use together; None for what the machine has free.
        free_disk_mb: how much room the data folder must have before anything is started.
        check_interval_seconds: how long one health check goes on asking; after five failed ones a
            service that starts is given up.
        runtime: what runs the services of `lakebed up`: "native", plain processes, or "compose", containers.
        images: by service, the image of its container, over the one lakebed knows; for "compose" only.
        ports: by service, the port it listens on, over the well-known or free one.
        registry_username: with `registry_password`, whom alone the schema registry lets in (HTTP basic
            authentication); None for everybody.
        registry_password: never shown, and handed on in files that only this user can read.
        postgres_version: the major version of PostgreSQL, or "system" for the one that is installed on this
            machine; whatever runs already stays as it is.
        spark_master: the Spark master of `spark_session`, or "cluster" for the stack's own cluster; every
            other part of the session's configuration comes from `DeltaSparkConfig`.
        spark_config: further Spark settings, highest precedence.
        kafka_brokers: how many brokers the stack's own Kafka has: one, or three that are one quorum.
        connect_workers: how many workers the stack's own Kafka Connect has, one to three.
        stack: which servers tests use: "auto" for the kept ones (`lakebed up`, `pytest --lakebed-keep`) if
            there are any, "own" for those of the test run alone.
        template_sql: file of SQL run once in the database that every test's database is cloned from.
        attach: by service, where a server answers that somebody else runs; it is used in place of one of
            lakebed's own, and never started or stopped.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        extra="forbid",
        frozen=True,
        toml_file="lakebed.toml",
        pyproject_toml_table_header=("tool", "lakebed"),
    )

    cache_folder: Path | None = None
    data_folder: Path | None = None
    maven_mirror: str | None = Field(default=None, pattern=r"^https?://")
    memory_mb: int | None = Field(default=None, gt=0)
    free_disk_mb: int = Field(default=1024, ge=0)
    check_interval_seconds: float = Field(default=10.0, gt=0)
    runtime: Literal["native", "compose"] = "native"
    images: dict[str, str] = Field(default_factory=dict)
    ports: dict[str, int] = Field(default_factory=dict)
    registry_username: str | None = Field(default=None, pattern=r"^[!-9;-~]+$")
    registry_password: SecretStr | None = Field(default=None, min_length=1)
    postgres_version: Literal["14", "15", "16", "17", "18", "system"] = "18"
    spark_master: str = Field(default="local[2]", min_length=1)
    spark_config: dict[str, str] = Field(default_factory=dict)
    kafka_brokers: int = 1
    connect_workers: int = Field(default=1, ge=1, le=3)
    stack: Literal["auto", "own"] = "auto"
    template_sql: Path | None = None
    attach: Attach = Field(default_factory=Attach)

    @field_validator("ports")
    @classmethod
    def _ports_exist(cls, ports: dict[str, int]) -> dict[str, int]:
        for service, port in ports.items():
            if not 1 <= port <= 65535:
                raise ValueError(f"port of {service} is {port}; allowed: 1 to 65535")
        return ports

    @field_validator("postgres_version", mode="before")
    @classmethod
    def _number_is_a_version(cls, version: object) -> object:
        # In TOML one writes it without quotes.
        return str(version) if type(version) is int else version

    @field_validator("spark_master")
    @classmethod
    def _master_is_one(cls, master: str) -> str:
        if master != CLUSTER:
            DeltaSparkConfig(master=master)
        return master

    @field_validator("kafka_brokers")
    @classmethod
    def _brokers_can_lose_one(cls, brokers: int) -> int:
        if brokers not in (1, 3):
            raise ValueError("allowed: 1 or 3; of two brokers none can be lost, as the other is no majority")
        return brokers

    @field_validator("registry_password")
    @classmethod
    def _password_fits_a_header(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None and not all(" " <= letter <= "~" for letter in password.get_secret_value()):
            raise ValueError("allowed: printable ASCII characters, which every client encodes alike")
        return password

    @model_validator(mode="after")
    def _both_or_neither(self) -> Settings:
        if (self.registry_username is None) != (self.registry_password is None):
            raise ValueError("registry_username and registry_password belong together: set both or neither")
        return self

    @model_validator(mode="after")
    def _clusters_are_lakebeds_own(self) -> Settings:
        for service, (setting, size) in self.cluster_sizes.items():
            if size > 1 and service in self.attach:
                raise ValueError(
                    f"{setting} = {size} is for a {service} that lakebed starts; attach.{service} names one"
                    " that somebody else runs: take one of the two out"
                )
        return self

    @property
    def cluster_sizes(self) -> dict[str, tuple[str, int]]:
        """By service that can have several servers: the name of its setting, and how many it is to have."""
        return {
            "kafka": ("kafka_brokers", self.kafka_brokers),
            "connect": ("connect_workers", self.connect_workers),
        }

    @field_serializer("registry_password", when_used="json")
    def _shown_on_request(self, password: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        """Only who asks for it (`context={"secrets": True}`), the supervisor's own file, gets it."""
        if password is None:
            return None
        reveal = bool((info.context or {}).get("secrets"))
        return password.get_secret_value() if reveal else str(password)

    @field_serializer("attach", when_used="json")
    def _attached_on_request(self, attach: Attach, info: FieldSerializationInfo) -> dict[str, object]:
        return attach.to_json(secrets=bool((info.context or {}).get("secrets")))

    @property
    def registry_credentials(self) -> tuple[str, str] | None:
        """User and password of the schema registry; None where it lets in everybody."""
        if self.registry_username is None or self.registry_password is None:
            return None
        return self.registry_username, self.registry_password.get_secret_value()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Name the sources of the module's precedence table, highest first."""
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls),
            PyprojectTomlConfigSettingsSource(settings_cls),
        )


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings from every source of the module's precedence table.

    Args:
        overrides: by name, the values of the highest precedence; None values are left out.

    Raises:
        SettingsInvalid: an unknown name (with the known ones) or an impossible value (with its source's
            name and what is allowed); that of `lakebed.waiting.patience` too, before anything waits.
    """
    _refuse_unknown_variables()
    patience()
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [_problem(dict(detail)) for detail in error.errors()]
        raise SettingsInvalid("read lakebed's settings", "; ".join(problems), _known()) from None
    except SettingsError as error:
        # A variable whose value must be JSON; the error names the setting.
        raise SettingsInvalid("read lakebed's settings", str(error), _JSON_REMEDY) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        remedy = "correct lakebed.toml (or pyproject.toml)"
        raise SettingsInvalid("read lakebed.toml and pyproject.toml", str(error), remedy) from error


def _problem(detail: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    if detail["loc"][:1] == ("attach",):
        # What was given is not shown: an address may have a password in it.
        return f"{name}: {detail['msg']}"
    if not name:  # of several settings together
        return str(detail["msg"])
    return f"{name} = {shown(detail['input'], secret=is_secret_name(name))}: {detail['msg']}"


def _known() -> str:
    return f"known settings: {', '.join(sorted(Settings.model_fields))}"


def _refuse_unknown_variables() -> None:
    known = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in Settings.model_fields} | _OTHER_VARIABLES
    unknown = sorted(name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX) and name not in known)
    if unknown:
        raise SettingsInvalid(
            "read lakebed's settings from the environment",
            f"unknown variable {', '.join(unknown)}",
            f"known variables: {', '.join(sorted(known))}",
        )
