"""Settings from every source: read, or refused by an error of lakebed's own that shows no secret."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import given, strategies
from tests.security.strategies import JSON, TEXTS, damaged

from lakebed.config.secrets import mask_text, shown
from lakebed.config.settings import Settings, load_settings
from lakebed.errors import SettingsInvalid

SECRET = "S3cr3tOfAttachedServers"
SETTINGS: tuple[dict[str, Any], ...] = (
    {"memory_mb": 4000, "ports": {"kafka": 19092}, "spark_config": {"spark.driver.memory": "2g"}},
    {"registry_username": "ada", "registry_password": SECRET, "stack": "own"},
    {"maven_mirror": "https://mirror.example/maven", "cache_folder": "/tmp/a", "spark_master": "local[2]"},
    {
        "attach": {
            "postgres": f"postgresql://ada:{SECRET}@db.example:5433/shop",
            "kafka": {
                "bootstrap_servers": "one:9092,[::1]:9093",
                "security_protocol": "SASL_SSL",
                "username": "ada",
                "password": SECRET,
                "java": {"ssl.keystore.password": SECRET},
            },
            "s3": {"endpoint": "https://s3.example", "access_key": "ada", "secret_key": SECRET},
            "schema-registry": {"url": "https://registry.example", "token": SECRET},
            "iceberg-rest": f"https://ada:{SECRET}@catalog.example/api",
            "connect": {"url": "http://connect.example:8083", "username": "ada", "password": SECRET},
        }
    },
)


@contextlib.contextmanager
def _nothing_configured(variables: Mapping[str, str] | None = None) -> Iterator[Path]:
    """Be in an empty folder, with no variable of lakebed's but these."""
    before, folder_before = dict(os.environ), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for name in [name for name in os.environ if name.startswith("LAKEBED_")]:
            del os.environ[name]
        os.environ.update(variables or {})
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(folder_before)
            os.environ.clear()
            os.environ.update(before)


def _read_or_refused(overrides: Mapping[str, Any] | None = None) -> None:
    refused = ""
    try:
        settings = load_settings(overrides)
    except SettingsInvalid as error:
        refused = f"{error} {error!r}"
    assert SECRET not in refused
    if refused:
        return
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()}"
    told = settings.model_dump(mode="json", context={"secrets": True})
    assert Settings.model_validate(told) == settings


@given(overrides=strategies.one_of(damaged(*SETTINGS), strategies.dictionaries(TEXTS, JSON, max_size=3)))
def test_settings_that_are_handed_in(overrides: Any) -> None:
    with _nothing_configured():
        _read_or_refused(overrides)


@given(content=strategies.one_of(damaged(*SETTINGS), strategies.binary(), strategies.text()))
def test_settings_of_a_file(content: Any) -> None:
    if isinstance(content, dict):
        try:
            content = tomli_w.dumps(content)
        except (TypeError, ValueError, AttributeError):
            content = str(content)
    if isinstance(content, str):
        content = content.encode(errors="replace")
    with _nothing_configured() as folder:
        (folder / "lakebed.toml").write_bytes(content)
        _read_or_refused()


@given(document=damaged(*SETTINGS), texts=strategies.dictionaries(TEXTS, TEXTS, max_size=2))
def test_settings_of_variables(document: dict[str, Any], texts: dict[str, str]) -> None:
    variables = {
        f"LAKEBED_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in {**document, **texts}.items()
    }
    # What no program can have in its environment.
    possible = {
        name: value
        for name, value in variables.items()
        if "\x00" not in name + value and "=" not in name and (name + value).isascii()
    }
    with _nothing_configured(possible):
        _read_or_refused()


@given(
    before=strategies.text(max_size=30),
    user=strategies.text("abc/:@?#%", max_size=8),
    after=strategies.text(max_size=30),
)
def test_no_password_of_an_url_is_shown(before: str, user: str, after: str) -> None:
    text = f"{before} https://{user}:{SECRET}@host/path?password={SECRET}&x={after}"
    assert SECRET not in mask_text(text)
    assert SECRET not in shown(text)
    assert SECRET not in shown({"password": SECRET, "urls": [text], "more": {"api_key": SECRET}})
