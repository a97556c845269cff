"""Which PostgreSQL is chosen: of the locked ones, or the one that is installed. No server is started."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from lakebed.compose.definitions import images_for
from lakebed.config.settings import Settings, load_settings
from lakebed.errors import NotInstalled, SettingsInvalid
from lakebed.provision.lock import SETS, artifacts_of
from lakebed.services import jar_sets_for, postgres_version
from lakebed.services.postgres import POSTGRES
from lakebed.services.postgres_version import NEWEST_TRIED, OLDEST, SYSTEM, find_installed, image, jar_set

NUMBERS = [str(version) for version in range(OLDEST, NEWEST_TRIED + 1)]


def chosen(version: Any) -> Settings:
    return load_settings({"postgres_version": version})


def test_the_setting_allows_what_is_tried_and_nothing_else() -> None:
    assert get_args(Settings.model_fields["postgres_version"].annotation) == (*NUMBERS, SYSTEM)
    assert load_settings().postgres_version == NUMBERS[-1]
    assert chosen(16).postgres_version == "16"
    for wrong in ("13", "19", 13, 16.0, True, "16.4", ""):
        with pytest.raises(
            SettingsInvalid, match=r"postgres_version.*'14', '15', '16', '17', '18' or 'system'"
        ):
            chosen(wrong)


@pytest.mark.parametrize("version", NUMBERS)
def test_each_number_has_one_locked_archive_of_that_version(version: str) -> None:
    name = jar_set(chosen(version))
    assert name is not None
    (artifact,) = artifacts_of([name])
    assert artifact.version.startswith(f"{version}.")
    assert POSTGRES.jar_set(chosen(version)) == name


def test_only_the_chosen_one_is_downloaded() -> None:
    every = {name for name in SETS if name.startswith("postgres")}
    assert len(every) == len(NUMBERS)
    for version in NUMBERS:
        assert set(jar_sets_for(chosen(version))) & every == {jar_set(chosen(version))}
    assert not set(jar_sets_for(chosen(SYSTEM))) & every
    assert POSTGRES.jar_set(load_settings()) == POSTGRES.jars


def test_the_container_is_of_the_same_version() -> None:
    assert images_for(["postgres", "kafka"], load_settings()) == {"postgres": image()}
    assert images_for(["connect"], chosen("16")) == {}
    for version in NUMBERS:
        assert image(chosen(version)).startswith(f"postgres:{version}.")
        assert images_for(["postgres"], chosen(version)) == {"postgres": image(chosen(version))}


def test_there_is_no_container_of_the_installed_one_but_one_may_be_named() -> None:
    with pytest.raises(SettingsInvalid, match="containers do not run what is installed"):
        images_for(["postgres"], chosen(SYSTEM))
    named = load_settings({"postgres_version": SYSTEM, "images": {"postgresql": "mine:1"}})
    assert images_for(["postgres"], named) == {"postgres": "mine:1"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine on whose PATH and in whose folders of packages is only what a test puts there."""
    base = Path(tempfile.mkdtemp(prefix="lb-machine-"))
    base.chmod(0o755)
    (base / "bin").mkdir()
    monkeypatch.setenv("PATH", str(base / "bin"))
    monkeypatch.setattr(postgres_version, "_PACKAGED", ((str(base / "packages"), "*/bin"),))
    yield base
    shutil.rmtree(base)


def program(path: Path, says: str, code: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)


def install(folder: Path, version: str) -> None:
    program(folder / "bin" / "initdb", "never called")
    program(folder / "bin" / "postgres", f"postgres (PostgreSQL) {version}")


def test_a_machine_without_one_is_told_where_was_looked_and_what_to_do(machine: Path) -> None:
    with pytest.raises(NotInstalled) as caught:
        find_installed()
    assert "postgres_version is system" in caught.value.attempted
    assert f"{machine}/packages/*/bin" in caught.value.seen
    assert "set postgres_version to a version that lakebed downloads: 14 to 18" in caught.value.remedy
    # A client package has this program, and no server.
    program(machine / "bin" / "pg_config", str(machine / "packages" / "17" / "bin"))
    with pytest.raises(NotInstalled, match=r"without a server: .*packages/17/bin"):
        find_installed()


def test_the_first_on_the_path_wins_then_pg_config_then_the_newest_package(machine: Path) -> None:
    for version in ("9.6", "14", "16"):
        install(machine / "packages" / version.partition(".")[0], f"{version}.3 (Debian)")
    assert find_installed() == postgres_version.Installed(machine / "packages" / "16", "16.3")
    install(machine / "own", "17.2")
    program(machine / "bin" / "pg_config", str(machine / "own" / "bin"))
    assert find_installed().version == "17.2"
    install(machine / "other", "15.1")
    (machine / "bin" / "initdb").symlink_to(machine / "other" / "bin" / "initdb")
    found = find_installed()
    assert (found.folder, found.major) == (machine / "other", 15)
    assert POSTGRES.installed(chosen(SYSTEM)) == machine / "other"
    assert POSTGRES.installed(chosen("15")) is None


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ("postgres (PostgreSQL) 13.22", "is version 13.22; the oldest that lakebed works with is 14"),
        ("postgres (PostgreSQL) 9.6.24", "is version 9.6; the oldest"),
        ("postgres (Something) 15.1", "tells no version: 'postgres (Something) 15.1'"),
        ("", "tells no version: ''"),
    ],
)
def test_one_that_is_too_old_or_tells_no_version_is_refused(machine: Path, told: str, seen: str) -> None:
    install(machine, "16.1")
    program(machine / "bin" / "postgres", told)
    with pytest.raises(NotInstalled) as caught:
        find_installed()
    assert seen in caught.value.seen
    assert "install PostgreSQL 14 or newer" in caught.value.remedy


def test_one_that_fails_or_cannot_be_run_is_refused(machine: Path) -> None:
    install(machine, "16.1")
    program(machine / "bin" / "postgres", "postgres (PostgreSQL) 16.1", code=1)
    with pytest.raises(NotInstalled, match="tells no version"):
        find_installed()
    (machine / "bin" / "postgres").write_bytes(b"\x7fELF, but of no machine")
    with pytest.raises(NotInstalled, match="cannot be run"):
        find_installed()


def test_a_version_before_its_release_counts_as_its_number(machine: Path) -> None:
    install(machine, "19beta1")
    assert find_installed().major == 19


def test_the_user_that_it_runs_as_must_be_able_to_reach_it(machine: Path) -> None:
    install(machine, "16.1")
    machine.chmod(0o700)
    if os.geteuid() == 0:
        with pytest.raises(NotInstalled, match=f"cannot pass through {machine}") as caught:
            find_installed()
        assert "chmod o+x" in caught.value.remedy
    else:
        assert find_installed().major == 16
