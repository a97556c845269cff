"""Services start also where nothing can be kept in the cache, and from what was kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakebed.clients.topics import topics_with_prefix
from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.services import postgres
from lakebed.services.answers import found
from lakebed.services.topics import admin_client
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import open_stack

_SERVICES = ("postgres", "kafka", "schema-registry")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with all that was downloaded, and nothing that was made."""
    for entry in cache_folder(load_settings().cache_folder).iterdir():
        if entry.name not in ("class-data", "templates") and not entry.name.startswith("."):
            (tmp_path / entry.name).symlink_to(entry)
    # A file where the folder would be: that holds for root, too.
    (tmp_path / "class-data").touch()
    return tmp_path


def start(cache: Path, stacks: Path) -> None:
    """Start the services that use templates, and ask each something."""
    settings = load_settings({"cache_folder": cache, "data_folder": stacks})
    connection = open_stack(settings, f"templates-{os.getpid()}", client="test")
    try:
        addresses = Addresses(connection.start(_SERVICES, settings))
        with postgres.connect(addresses.postgres_port, postgres.DATABASE) as database:
            owner = database.execute("SELECT pg_get_userbyid(datdba) FROM pg_database").fetchall()
            assert set(owner) == {(postgres.USER,)}
        assert topics_with_prefix(admin_client(addresses.kafka_bootstrap_servers), "x") == []
        assert found(addresses.ports["schema-registry"]["schema-registry"], "/subjects") == []
    finally:
        connection.close()


def test_services_start_where_nothing_can_be_kept(cache: Path, stacks: Path) -> None:
    (cache / "templates").touch()
    start(cache, stacks)
    assert (cache / "templates").is_file()


def test_what_was_kept_is_not_changed_by_the_services_that_start_from_it(cache: Path, stacks: Path) -> None:
    start(cache, stacks)
    kept = contents(cache / "templates")
    assert {name.split("/")[0].split("-")[0] for name in kept} == {"postgres", "kafka", "schema"}
    start(cache, stacks)
    assert contents(cache / "templates") == kept


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
