"""The lock file and what is read from it."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest

from lakebed.config.settings import load_settings
from lakebed.errors import LakebedError
from lakebed.provision import lock
from lakebed.provision.lock import SETS, Artifact, artifacts_of
from lakebed.services import jar_sets, jar_sets_for, service_named

TEXT = files("lakebed.provision").joinpath("jars.lock.json").read_text("utf-8")
LOCK = json.loads(TEXT)


def _coordinates(listed: list[str] | dict[str, list[str]]) -> list[str]:
    if isinstance(listed, dict):
        return [coordinates for variant in listed.values() for coordinates in variant]
    return listed


@pytest.mark.parametrize(
    ("coordinates", "path"),
    [
        (
            "org.apache.kafka:kafka_2.13:4.3.1",
            "org/apache/kafka/kafka_2.13/4.3.1/kafka_2.13-4.3.1.jar",
        ),
        (
            "org.apache.iceberg:iceberg-core:1.10.1:tests",
            "org/apache/iceberg/iceberg-core/1.10.1/iceberg-core-1.10.1-tests.jar",
        ),
        (
            "io.apicurio:apicurio-registry-app:3.3.3:all@tar.gz",
            "io/apicurio/apicurio-registry-app/3.3.3/apicurio-registry-app-3.3.3-all.tar.gz",
        ),
    ],
)
def test_coordinates_say_where_a_repository_has_the_file(coordinates: str, path: str) -> None:
    artifact = Artifact.parse(coordinates)
    assert artifact.repository_path == path
    assert artifact.coordinates == coordinates


@pytest.mark.parametrize("coordinates", ["", "a:b", "a:b:c:d:e", "a::c", "a:b:c@", "a:b:c:@jar"])
def test_malformed_coordinates_are_refused(coordinates: str) -> None:
    with pytest.raises(ValueError, match="group:name:version"):
        Artifact.parse(coordinates)


def test_every_listed_file_is_locked_and_every_locked_file_is_listed() -> None:
    listed = {name for of in LOCK["sets"].values() for name in _coordinates(of)}
    assert listed == set(LOCK["artifacts"])


def test_every_file_has_a_sha256_and_a_size() -> None:
    for coordinates, entry in LOCK["artifacts"].items():
        assert re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]), coordinates
        assert entry["size"] > 0, coordinates


def test_every_file_has_a_licence() -> None:
    for coordinates, entry in LOCK["artifacts"].items():
        assert entry["licences"], coordinates
        assert all(isinstance(name, str) and name for name in entry["licences"]), coordinates
    assert "PostgreSQL" in artifacts_of(["postgres"])[0].licences


def test_the_lock_file_has_no_address() -> None:
    assert "//" not in TEXT
    assert set(LOCK) == {"sets", "artifacts"}
    assert all(set(entry) == {"sha256", "size", "licences"} for entry in LOCK["artifacts"].values())


def test_connect_has_what_the_broker_has() -> None:
    assert set(LOCK["sets"]["kafka"]) < set(LOCK["sets"]["connect"])


@pytest.mark.parametrize("name", [name for name in SETS if not name.startswith(("mariadb", "postgres"))])
def test_a_class_path_has_one_version_of_each_library(name: str) -> None:
    libraries = [(a.group, a.name, a.classifier) for a in artifacts_of([name])]
    assert len(libraries) == len(set(libraries))


@pytest.mark.parametrize("name", [name for name in SETS if name.startswith("postgres")])
def test_postgres_is_locked_for_four_platforms(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    names = set()
    for system, machine in [
        ("linux", "x86_64"),
        ("linux", "aarch64"),
        ("darwin", "x86_64"),
        ("darwin", "arm64"),
    ]:
        monkeypatch.setattr("sys.platform", system)
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        (artifact,) = artifacts_of([name])
        names.add(artifact.name.removeprefix("embedded-postgres-binaries-"))
    assert names == {"linux-amd64", "linux-arm64v8", "darwin-amd64", "darwin-arm64v8"}


def test_a_platform_without_postgres_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "platform_name", lambda: "linux-s390x")
    with pytest.raises(LakebedError, match="linux-s390x") as raised:
        artifacts_of(["postgres"])
    assert "linux-x86_64" in raised.value.seen


def test_a_platform_is_told_only_of_sets_that_it_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "platform_name", lambda: "linux-x86_64")
    assert lock.sets_here() == SETS
    monkeypatch.setattr(lock, "platform_name", lambda: "darwin-arm64")
    assert set(SETS) - set(lock.sets_here()) == {"mariadb"}


def test_nothing_on_request_is_in_the_sets_of_all() -> None:
    other_versions = {name for name in SETS if name.startswith("postgres_")}
    without = set(SETS) - set(jar_sets_for(load_settings()))
    assert without == {"connect_mariadb", "mariadb", *other_versions}


def test_a_setting_and_a_database_on_request_decide_together_what_is_fetched() -> None:
    services = [service_named(name) for name in ("postgres", "connect", "mariadb")]
    found = jar_sets(services, load_settings({"postgres_version": "14"}))
    assert set(found) == {"connect", "connect_mariadb", "mariadb", "postgres_14"}


def test_connect_has_the_same_files_with_mariadb_but_for_debezium() -> None:
    own, other = (
        {artifact for artifact in artifacts_of([name]) if artifact.group != "io.debezium"}
        for name in ("connect", "connect_mariadb")
    )
    assert {artifact.name for artifact in other - own} == {"antlr4-runtime", "mariadb-java-client"}
    assert own < other
    of_debezium = [
        artifact for artifact in artifacts_of(["connect_mariadb"]) if artifact.group == "io.debezium"
    ]
    assert len({one.version for one in of_debezium if one.name.startswith("debezium-")}) == 1


def test_an_unknown_set_lists_the_known_ones() -> None:
    with pytest.raises(LakebedError, match="'kafk'") as raised:
        artifacts_of(["kafk"])
    assert all(name in raised.value.seen for name in SETS)


def test_sets_that_share_files_name_them_once() -> None:
    both = artifacts_of(["kafka", "connect"])
    assert both == sorted(set(both), key=lambda artifact: artifact.coordinates)
    assert set(both) == set(artifacts_of(["connect"]))
