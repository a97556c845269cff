"""A whole round of changes with every PostgreSQL that lakebed downloads, and with the one of the machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakebed.config.settings import load_settings
from lakebed.errors import NotInstalled
from lakebed.provision.cache import cache_folder
from lakebed.provision.provide import provide
from lakebed.services.postgres_version import NEWEST_TRIED, OLDEST, find_installed
from lakebed.stack.connection import end_stack
from lakebed.stack.folders import NAME_OF_UP

RunTests = Callable[..., pytest.RunResult]

# A machine that is busy with other tests takes its time to start three servers.
# It takes minutes: `make test-large`.
pytestmark = pytest.mark.large

PATIENT = ("--lakebed-set", "check_interval_seconds=30")
VERSIONS = [str(version) for version in range(OLDEST, NEWEST_TRIED + 1)]

# Two tests: the second one's database is cloned while the first one's connector is being forgotten.
_ROUND = """
    import pytest

    def test_a_round(postgres_connection, debezium_connector, change_events):
        assert postgres_connection.info.server_version // 10000 == {major}
        for statement in (
            "CREATE TABLE orders (id int PRIMARY KEY, cents numeric(9, 2), at timestamptz, tags text[])",
            "ALTER TABLE orders REPLICA IDENTITY FULL",
            "INSERT INTO orders VALUES (1, 9.99, '2026-01-31 12:00:00+00', ARRAY['a', 'b'])",
            "UPDATE orders SET cents = 8.99",
            "DELETE FROM orders",
        ):
            postgres_connection.execute(statement)
        created, updated, deleted = (one for one in change_events("orders") if one.source is not None)
        assert str(created.after["cents"]) == "9.99" and list(created.after["tags"]) == ["a", "b"]
        assert (created.before, updated.before) == (None, created.after)
        assert str(updated.after["cents"]) == "8.99"
        assert (deleted.before, deleted.after) == (updated.after, None)
        assert created.source < updated.source < deleted.source
        debezium_connector.wait_until_acknowledged(postgres_connection)

    @pytest.mark.debezium(table_include_list=["public.filled"])
    def test_a_snapshot(postgres_connection, debezium_connectors, change_events):
        assert postgres_connection.execute("SELECT to_regclass('orders')").fetchone() == (None,)
        postgres_connection.execute("CREATE TABLE filled AS SELECT generate_series(1, 100) AS id")
        debezium_connectors()
        assert sorted(one.after["id"] for one in change_events("filled")) == list(range(1, 101))
"""


def assert_round(result: pytest.RunResult) -> None:
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*could not*")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_that_lakebed_downloads(run_tests: RunTests, version: str) -> None:
    chosen = ("--lakebed-set", f"postgres_version={version}")
    assert_round(run_tests(*chosen, *PATIENT, test_round=_ROUND.format(major=int(version))))


def test_the_one_of_this_machine(run_tests: RunTests) -> None:
    try:
        major = find_installed().major
    except NotInstalled as error:
        result = run_tests("--lakebed-set", "postgres_version=system", test_round=_ROUND.format(major=0))
        result.assert_outcomes(errors=2)
        result.stdout.fnmatch_lines([f"*NotInstalled: {error.attempted}*"])
        return
    chosen = ("--lakebed-set", "postgres_version=system")
    assert_round(run_tests(*chosen, *PATIENT, test_round=_ROUND.format(major=major)))


@pytest.fixture
def with_decoderbufs() -> Iterator[Path]:
    """An installation outside of the cache, of which `decoderbufs` is a copy of `test_decoding`."""
    cache = cache_folder(load_settings().cache_folder)
    locked = provide(["postgres_17"], cache=cache).folder("postgres_17")
    base = Path(tempfile.mkdtemp(prefix="lb-installed-"))
    try:
        # When lakebed is root, the server's user must be able to pass through.
        base.chmod(0o755)
        shutil.copytree(locked, base / "pg", symlinks=True)
        (plugin,) = (base / "pg").rglob("test_decoding.so")
        shutil.copy2(plugin, plugin.with_name("decoderbufs.so"))
        yield base / "pg"
    finally:
        shutil.rmtree(base)


def test_the_first_on_the_path_is_taken_with_the_plugins_it_has(
    run_tests: RunTests, monkeypatch: pytest.MonkeyPatch, with_decoderbufs: Path
) -> None:
    """Whether a plugin decodes is its own affair; whether it is there is asked of this very server."""
    tests = f"""
        import pytest
        from lakebed.clients.connector_payload import check_plugin
        from lakebed.config.debezium import PluginName
        from lakebed.errors import ConnectRefused

        def config(lakebed_stack, plugin):
            return lakebed_stack.need("postgres").debezium_connector_config("orders", plugin_name=plugin)

        def test_it(lakebed_stack, postgres_connection):
            assert postgres_connection.info.server_version // 10000 == 17
            (library,) = postgres_connection.execute(
                "SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'"
            ).fetchone()
            assert library.startswith({str(with_decoderbufs)!r})
            check_plugin(config(lakebed_stack, PluginName.DECODERBUFS), postgres_connection)
            with pytest.raises(ConnectRefused, match="Debezium dropped wal2json"):
                check_plugin(config(lakebed_stack, PluginName.WAL2JSON), postgres_connection)
    """
    monkeypatch.setenv("PATH", str(with_decoderbufs / "bin"), prepend=os.pathsep)
    result = run_tests("--lakebed-set", "postgres_version=system", test_inner=tests)
    result.assert_outcomes(passed=1)


def test_a_kept_stack_of_another_version_is_not_taken_for_the_one_asked_for(run_tests: RunTests) -> None:
    """Tests that name no version take the one that is kept; those that name another are told."""
    tests = """
        def test_it(postgres_connection):
            assert postgres_connection.info.server_version // 10000 == 16
    """
    kept = run_tests("--lakebed-keep", "--lakebed-set", "postgres_version=16", test_inner=tests)
    try:
        kept.assert_outcomes(passed=1)
        run_tests().assert_outcomes(passed=1)
        other = run_tests("--lakebed-set", "postgres_version=15")
        other.assert_outcomes(errors=1)
        other.stdout.fnmatch_lines(["*postgres_version of that stack is 16, that of this client 15*"])
    finally:
        end_stack(load_settings(), NAME_OF_UP, "the test")
