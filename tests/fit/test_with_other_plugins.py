"""Runs of pytest in which another plugin works beside lakebed: one plugin each, and all of them at once.

After each run nothing of its stack may be left, as `run_tests` finds out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

RunTests = Callable[..., pytest.RunResult]

# That of pytest-xdist by its entry point: pytest-randomly asks for it by this name.
XDIST, ASYNCIO, RANDOMLY = "xdist", "pytest_asyncio.plugin", "pytest_randomly"
TIMEOUT, RERUNFAILURES, COV = "pytest_timeout", "pytest_rerunfailures", "pytest_cov.plugin"

# In an inner test: whose databases are there now. Those of tests end with eight random characters.
# It takes minutes: `make test-large`.
pytestmark = pytest.mark.large

_DATABASES = """
def databases(connection):
    found = connection.execute("SELECT datname FROM pg_database WHERE datname ~ '_[0-9a-f]{8}$'")
    return {name for name, in found}
"""


@pytest.fixture
def run_with(run_tests: RunTests, monkeypatch: pytest.MonkeyPatch) -> RunTests:
    """Run pytest on files with lakebed and the plugins named, and no other, installed or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(plugins: tuple[str, ...], *options: str, **files: str) -> pytest.RunResult:
        named = (word for name in ("lakebed.pytest_plugin", *plugins) for word in ("-p", name))
        # Several servers take their time to start where other tests keep the machine busy.
        return run_tests(*named, "--lakebed-set", "check_interval_seconds=30", *options, **files)

    return run


def test_xdist_goes_on_with_the_same_stack_when_a_worker_has_crashed(
    run_with: RunTests, pytester: pytest.Pytester
) -> None:
    tests = """
        import os
        from pathlib import Path
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_it(lakebed_stack, postgres_connection, number):
            pid, database = lakebed_stack.status()["pid"], postgres_connection.info.dbname
            Path(f"{number}.txt").write_text(f"{pid} {database}")
            if number == 0:
                os._exit(1)
    """
    result = run_with((XDIST,), "-n", "2", test_inner=tests)
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*worker 'gw*' crashed while running 'test_inner.py::test_it?0?'*"])
    seen = [file.read_text().split() for file in pytester.path.glob("[0-5].txt")]
    assert len(seen) == 6
    assert len({pid for pid, _ in seen}) == 1
    assert len({database for _, database in seen}) == 6


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_asyncio_runs_tests_and_fixtures_that_use_ours(run_with: RunTests, mode: str) -> None:
    asyncio, fixture = ("@pytest.mark.asyncio", "@pytest_asyncio.fixture")
    if mode == "auto":
        asyncio, fixture = "", "@pytest.fixture"
    tests = f"""
        import asyncio
        import psycopg
        import pytest
        import pytest_asyncio

        {fixture}
        async def second(postgres_connection):
            info = postgres_connection.info
            async with await psycopg.AsyncConnection.connect(
                host=info.host, port=info.port, user=info.user, password=info.password, dbname=info.dbname,
                autocommit=True,
            ) as connection:
                yield connection

        {asyncio}
        async def test_a_change(second, debezium_connector, change_events):
            await second.execute("CREATE TABLE orders (id int PRIMARY KEY)")
            await second.execute("INSERT INTO orders VALUES (1)")
            # Ours block: in a thread they leave the loop to others.
            ticks, waiting = 0, asyncio.create_task(asyncio.to_thread(change_events, "orders"))
            while not waiting.done():
                ticks += 1
                await asyncio.sleep(0.005)
            (event,) = await waiting
            assert event.after["id"] == 1
            assert ticks > 1

        {asyncio}
        async def test_another_one_has_its_own(second):
            found = await second.execute("SELECT to_regclass('orders')")
            assert await found.fetchone() == (None,)

        def test_one_without(postgres_connection): ...
    """
    result = run_with((ASYNCIO,), "-o", f"asyncio_mode={mode}", test_inner=tests)
    result.assert_outcomes(passed=3)


def test_randomly_makes_the_same_random_numbers_and_yet_no_name_twice(
    run_with: RunTests, pytester: pytest.Pytester
) -> None:
    tests = """
        import random
        from pathlib import Path
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(postgres_connection, number):
            with Path("order.txt").open("a") as file:
                print(__name__, number, random.random(), postgres_connection.info.dbname[-8:], file=file)
    """
    options = ("--lakebed-set", "stack=own", "-p", "no:xdist", "--randomly-seed=5")
    run_with((RANDOMLY,), *options, test_one=tests, test_two=tests).assert_outcomes(passed=8)
    first = Path("order.txt").read_text().splitlines()
    run_with((RANDOMLY,), *options).assert_outcomes(passed=8)
    both = [line.split() for line in Path("order.txt").read_text().splitlines()]
    # Shuffled, in the same way both times, and `random` gives the same numbers.
    seen = [line[:3] for line in both]
    assert len(first) == 8
    assert seen[:8] == seen[8:]
    assert [line[:2] for line in seen[:8]] != sorted(line[:2] for line in seen[:8])
    assert len({name for *_, name in both}) == 16


def test_timeout_by_signal_ends_one_test_and_the_others_go_on(run_with: RunTests) -> None:
    """In the test's own wait, and in one of lakebed's: for a server that is being started."""
    tests = """
        import pytest
        from lakebed.waiting import wait_until

        def test_begins(postgres_connection): ...

        @pytest.mark.timeout(2, func_only=True)
        def test_hangs_in_a_query(postgres_connection):
            postgres_connection.execute("SELECT pg_sleep(600)")

        @pytest.mark.timeout(2, func_only=True)
        def test_hangs_in_a_wait(postgres_connection):
            wait_until(lambda: False, "what never comes", deadline_seconds=600)

        @pytest.mark.timeout(0.1, func_only=True)
        def test_hangs_while_a_server_starts(postgres_connection, lakebed_stack):
            lakebed_stack.need("s3")

        def test_goes_on(postgres_connection, lakebed_stack):
            assert lakebed_stack.need("s3").s3.delta_bucket
            assert databases(postgres_connection) == {postgres_connection.info.dbname}
            running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
            assert postgres_connection.execute(running).fetchone() == (0,)
    """
    options = ("--timeout", "300", "--timeout-method=signal")
    result = run_with((TIMEOUT,), *options, test_inner=_DATABASES + dedent(tests))
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(["*Failed: Timeout*from pytest-timeout*"] * 3)
    result.stdout.no_fnmatch_line("*ERROR at teardown*")
    result.stdout.no_fnmatch_line("*could not*")


def test_timeout_by_thread_kills_the_run_and_the_supervisor_cleans_up(
    run_with: RunTests, pytester: pytest.Pytester
) -> None:
    tests = """
        from pathlib import Path
        import pytest

        @pytest.mark.timeout(2, func_only=True)
        def test_hangs(postgres_connection, lakebed_stack):
            Path("hangs.txt").write_text(str(lakebed_stack.folder))
            postgres_connection.execute("SELECT pg_sleep(600)")

        def test_is_never_run(): ...
    """
    options = ("--timeout", "300", "--timeout-method=thread")
    result = run_with((TIMEOUT,), *options, test_inner=tests)
    assert result.ret == 1
    assert "Timeout" in result.stdout.str() + result.stderr.str()
    assert "passed" not in result.stdout.str()
    # That it goes away, with all its processes, is waited for by the fixture `stacks`.
    assert Path(pytester.path, "hangs.txt").read_text()


def test_rerunfailures_gives_each_run_resources_of_its_own(
    run_with: RunTests, pytester: pytest.Pytester
) -> None:
    tests = """
        import pytest

        runs = []

        @pytest.fixture
        def broken_once(postgres_connection):
            runs.append(postgres_connection.info.dbname)
            if len(runs) == 3:
                raise RuntimeError("the set-up of the third run")

        def test_passes_at_last(postgres_connection, broken_once):
            postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
            assert databases(postgres_connection) == {postgres_connection.info.dbname}
            assert len(runs) == 4, "for now"
            assert len(set(runs)) == 4

        def test_never_passes(postgres_connection):
            postgres_connection.execute("SELECT 1 / 0")
    """
    options = ("--reruns", "3", "--lakebed-report", "report.html")
    result = run_with((RERUNFAILURES,), *options, test_inner=_DATABASES + dedent(tests))
    outcomes = result.parseoutcomes()
    assert {name: outcomes.get(name, 0) for name in ("passed", "failed", "rerun")} == {
        "passed": 1,
        "failed": 1,
        "rerun": 6,
    }
    result.stdout.no_fnmatch_line("*could not*")
    # What the server said is shown once: during the run that counts.
    assert result.stdout.str().count("ERROR:  division by zero") == 1
    page = Path(pytester.path, "report.html").read_text()
    told = re.findall(r'<span class="outcome (\w+)">\w+</span> test_inner.py::(\w+)', page)
    assert sorted(told) == [
        ("failed", "test_never_passes"),
        ("passed", "test_passes_at_last"),
        *[("rerun", "test_never_passes")] * 3,
        *[("rerun", "test_passes_at_last")] * 3,
    ]


def test_cov_measures_the_tests_and_not_the_servers(run_with: RunTests, pytester: pytest.Pytester) -> None:
    """With workers of pytest-xdist too; and where coverage is told to measure what the tests start."""
    shop = """
        def total(prices):
            if prices is None:
                return 0
            return sum(prices)
    """
    tests = """
        import psutil
        import pytest
        import shop

        @pytest.mark.parametrize("prices", [None, [1, 2]])
        def test_total(lakebed_stack, postgres_connection, prices):
            query = "SELECT sum(p) FROM unnest(%s::int[]) p"
            (found,) = postgres_connection.execute(query, [prices]).fetchone()
            assert shop.total(prices) == (found or 0)
            # Neither the supervisor nor a server of it is measured.
            supervisor = psutil.Process(lakebed_stack.status()["pid"])
            for process in (supervisor, *supervisor.children()):
                names = [name for name in process.environ() if name.startswith(("COV_CORE", "COVERAGE"))]
                assert names == []
            modules = {mapped.path for mapped in supervisor.memory_maps()}
            assert not any("coverage" in path for path in modules)
    """
    pytester.makefile(".toml", coverage="[tool.coverage.run]\npatch = ['subprocess']\n")
    measured = ("--cov", "shop", "--cov-report", "term")
    for plugins, options in (((COV,), ("--cov-config", "coverage.toml")), ((COV, XDIST), ("-n", "2"))):
        result = run_with(plugins, *measured, *options, test_inner=tests, shop=shop)
        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["shop.py * 4 * 0 * 100%"])
    assert [file.name for file in pytester.path.glob(".coverage*")] == [".coverage"]


def test_all_of_them_at_once(run_with: RunTests, pytester: pytest.Pytester) -> None:
    shop = "def price(cents):\n    return cents / 100\n"
    tests = """
        import asyncio
        from pathlib import Path
        import pytest
        import shop

        @pytest.mark.parametrize("number", range(4))
        def test_plain(postgres_connection, number):
            assert databases(postgres_connection) >= {postgres_connection.info.dbname}

        @pytest.mark.asyncio
        async def test_async(debezium_connector, postgres_connection, change_events):
            postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, cents int)")
            postgres_connection.execute("INSERT INTO orders VALUES (1, 250)")
            (event,) = await asyncio.to_thread(change_events, "orders")
            assert shop.price(event.after["cents"]) == 2.5

        def test_flaky(postgres_connection):
            run = Path("runs.txt")
            before = run.read_text().split() if run.exists() else []
            run.write_text(" ".join([*before, postgres_connection.info.dbname]))
            assert before

        @pytest.mark.flaky(reruns=0)
        @pytest.mark.timeout(2, func_only=True)
        def test_hangs(postgres_connection):
            postgres_connection.execute("SELECT pg_sleep(600)")
    """
    everything = (XDIST, ASYNCIO, RANDOMLY, TIMEOUT, RERUNFAILURES, COV)
    options = ("-n", "2", "--dist", "loadgroup", "--randomly-seed", "3", "--reruns", "1", "--timeout", "300")
    measured = ("--cov", "shop", "--cov-report", "term", "-o", "asyncio_mode=strict")
    result = run_with(everything, *options, *measured, test_inner=_DATABASES + dedent(tests), shop=shop)
    outcomes = result.parseoutcomes()
    assert [outcomes.get(name) for name in ("passed", "failed", "rerun", "errors")] == [6, 1, 1, None]
    result.stdout.fnmatch_lines(["shop.py * 2 * 0 * 100%"])
    result.stdout.no_fnmatch_line("*could not*")
    assert len(set(Path(pytester.path, "runs.txt").read_text().split())) == 2
