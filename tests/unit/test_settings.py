"""Lakebed's own settings: where they come from, which wins, what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from lakebed.config.settings import Settings, load_settings
from lakebed.errors import SettingsInvalid


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and no variable of ours."""
    for name in [name for name in os.environ if name.startswith("LAKEBED_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults() -> None:
    assert load_settings().model_dump() == {
        "cache_folder": None,
        "data_folder": None,
        "maven_mirror": None,
        "memory_mb": None,
        "free_disk_mb": 1024,
        "runtime": "native",
        "images": {},
        "postgres_version": "18",
        "check_interval_seconds": 10.0,
        "ports": {},
        "registry_username": None,
        "registry_password": None,
        "spark_master": "local[2]",
        "spark_config": {},
        "kafka_brokers": 1,
        "connect_workers": 1,
        "stack": "auto",
        "template_sql": None,
        "attach": dict.fromkeys(("postgres", "kafka", "connect", "schema_registry", "s3", "iceberg_rest")),
    }


def test_each_source_wins_over_those_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pyproject.toml").write_text("[tool.lakebed]\nmemory_mb = 1\n")
    assert load_settings().memory_mb == 1
    Path("lakebed.toml").write_text("memory_mb = 2\n")
    assert load_settings().memory_mb == 2
    monkeypatch.setenv("LAKEBED_MEMORY_MB", "3")
    assert load_settings().memory_mb == 3
    assert load_settings({"memory_mb": 4}).memory_mb == 4
    assert load_settings({"memory_mb": None}).memory_mb == 3


def test_sources_add_up_by_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("lakebed.toml").write_text('spark_master = "local[1]"\n[ports]\nkafka = 9092\n')
    monkeypatch.setenv("LAKEBED_FREE_DISK_MB", "5")
    settings = load_settings({"check_interval_seconds": "0.5"})
    assert (settings.spark_master, settings.free_disk_mb) == ("local[1]", 5)
    assert (settings.ports, settings.check_interval_seconds) == ({"kafka": 9092}, 0.5)


def test_ports_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEBED_PORTS", '{"postgres": 15432}')
    assert load_settings().ports == {"postgres": 15432}


def test_other_tables_of_pyproject_are_none_of_ours() -> None:
    Path("pyproject.toml").write_text("[tool.other]\nmemory_mb = 'x'\n")
    assert load_settings().memory_mb is None


@pytest.mark.parametrize("file", ["lakebed.toml", "pyproject.toml"])
def test_an_unknown_name_in_a_file_is_refused_with_the_known_ones(file: str) -> None:
    head = "[tool.lakebed]\n" if file == "pyproject.toml" else ""
    Path(file).write_text(f"{head}memroy_mb = 5\n")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert "memroy_mb" in caught.value.seen
    for name in Settings.model_fields:
        assert name in caught.value.remedy


def test_an_unknown_variable_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEBED_MEMROY_MB", "5")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert "LAKEBED_MEMROY_MB" in caught.value.seen
    assert "LAKEBED_MEMORY_MB" in caught.value.remedy


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="unknown"):
        load_settings({"unknown": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory_mb", "much"),
        ("memory_mb", 0),
        ("free_disk_mb", -1),
        ("check_interval_seconds", 0),
        ("maven_mirror", "ftp://example.org"),
        ("spark_master", ""),
        ("spark_master", "sc://127.0.0.1:15002"),
        ("spark_master", "clusters"),
        ("kafka_brokers", 2),
        ("kafka_brokers", 0),
        ("kafka_brokers", 5),
        ("kafka_brokers", "many"),
        ("connect_workers", 0),
        ("connect_workers", 4),
        ("ports", {"kafka": 0}),
        ("ports", {"kafka": 70000}),
        ("ports", {"kafka": "many"}),
    ],
)
def test_an_impossible_value_is_refused_with_name_and_value(name: str, value: object) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({name: value})
    assert name in caught.value.seen
    assert str(value["kafka"] if isinstance(value, dict) else value) in caught.value.seen


def test_a_wrong_type_in_a_file_is_refused_with_its_name() -> None:
    Path("lakebed.toml").write_text("memory_mb = [1]\n")
    with pytest.raises(SettingsInvalid, match="memory_mb"):
        load_settings()


def test_a_file_that_is_no_toml_is_refused_as_such() -> None:
    Path("lakebed.toml").write_text("memory_mb = = 3\n")
    with pytest.raises(SettingsInvalid, match=r"lakebed\.toml"):
        load_settings()


def test_a_variable_that_is_no_json_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEBED_PORTS", "kafka=9092")
    with pytest.raises(SettingsInvalid, match="ports"):
        load_settings()


def test_a_password_in_a_refused_address_is_not_shown() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({"maven_mirror": "htps://user:open-sesame@example.org"})
    assert "open-sesame" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.memory_mb = 5


def test_a_password_of_the_registry_is_shown_to_nobody_who_does_not_ask() -> None:
    settings = load_settings({"registry_username": "lake", "registry_password": "open-sesame"})
    assert settings.registry_credentials == ("lake", "open-sesame")
    for shown in (repr(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "open-sesame" not in shown
    handed_on = settings.model_dump(mode="json", context={"secrets": True})
    assert Settings.model_validate(handed_on).registry_credentials == ("lake", "open-sesame")
    assert load_settings().registry_credentials is None


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"registry_username": "lake"}, "set both or neither"),
        ({"registry_password": "open-sesame"}, "set both or neither"),
        # RFC 7617 ends the user at the first colon.
        ({"registry_username": "a:b", "registry_password": "open-sesame"}, "registry_username = 'a:b'"),
        ({"registry_username": "lake", "registry_password": "open\nsesame"}, "printable ASCII"),
        ({"registry_username": "lake", "registry_password": ""}, "registry_password = ''"),
    ],
)
def test_credentials_of_the_registry_that_cannot_work(given: dict[str, str], match: str) -> None:
    with pytest.raises(SettingsInvalid, match=match) as caught:
        load_settings(given)
    assert "sesame" not in str(caught.value)


def test_patience_is_no_unknown_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEBED_PATIENCE", "3")
    load_settings()


def test_an_impossible_patience_is_refused_before_anything_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEBED_PATIENCE", "much")
    with pytest.raises(SettingsInvalid, match=r"LAKEBED_PATIENCE"):
        load_settings()


def test_two_brokers_are_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEBED_KAFKA_BROKERS", "2")
    with pytest.raises(SettingsInvalid, match=r"kafka_brokers = '2': .* allowed: 1 or 3"):
        load_settings()


@pytest.mark.parametrize(
    ("setting", "size", "service", "address"),
    [
        ("kafka_brokers", 3, "kafka", "broker:9092"),
        ("connect_workers", 2, "connect", "http://worker:8083"),
    ],
)
def test_servers_of_somebody_else_are_not_lakebeds_to_number(
    setting: str, size: int, service: str, address: str
) -> None:
    assert getattr(load_settings({setting: 1, "attach": {service: address}}), setting) == 1
    with pytest.raises(SettingsInvalid, match=rf"{setting} = {size} .* attach\.{service}"):
        load_settings({setting: size, "attach": {service: address}})


def test_workers_of_lakebeds_own_may_be_several_on_a_kafka_of_somebody_else() -> None:
    settings = load_settings({"connect_workers": 3, "attach": {"kafka": "broker:9092"}})
    assert settings.connect_workers == 3
