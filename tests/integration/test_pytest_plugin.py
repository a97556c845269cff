"""The plugin, seen from a run of pytest of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lakebed.config.settings import Settings
from lakebed.pytest_plugin.needs import CONNECTOR_FIELDS, MARKS
from lakebed.services import GROUPS, KNOWN_NAMES

# Writes what the session was like when it is over.
_REPORTING = """
import json
from pathlib import Path
from lakebed.pytest_plugin.hooks import PHASES, STACK

def pytest_unconfigure(config):
    history = config.stash[PHASES].history
    content = {"phases": [move.to_state.value for move in history], "stack": STACK in config.stash}
    Path("session.json").write_text(json.dumps(content))
"""


def session(pytester: pytest.Pytester) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(pytester.path, "session.json").read_text())
    return content


def test_without_our_fixtures_nothing_is_started_and_the_phases_are_the_contracts(
    pytester: pytest.Pytester, run_tests: Any, stacks: Path
) -> None:
    first = """
        import os
        from pathlib import Path
        import pytest

        def test_passes():
            assert not Path(os.environ["LAKEBED_DATA_FOLDER"]).exists()

        def test_fails():
            assert False

        @pytest.fixture
        def broken():
            raise RuntimeError

        def test_set_up_fails(broken): ...
    """
    result = run_tests("-q", conftest=_REPORTING, test_first=first, test_second="def test_it(): ...")
    result.assert_outcomes(passed=2, failed=1, errors=1)
    assert not stacks.exists()
    test = ["SETUP", "TEST_RUNNING", "TEARDOWN"]
    assert session(pytester) == {
        "stack": False,
        "phases": [
            *["INFRASTRUCTURE_READY", "MODULE_START", *test, *test, "SETUP", "TEARDOWN", "MODULE_END"],
            *["MODULE_START", *test, "MODULE_END", "SESSION_TEARDOWN", "SESSION_END"],
        ],
    }


def test_only_what_the_tests_need_is_started(pytester: pytest.Pytester, run_tests: Any, stacks: Path) -> None:
    tests = """
        import pytest
        from lakebed.config.settings import load_settings

        @pytest.fixture(scope="session")
        def lakebed_settings(lakebed_settings):
            return load_settings({"check_interval_seconds": 7.5})

        def test_it(postgres_connection, lakebed_stack):
            status = lakebed_stack.status()
            assert [entry["service"] for entry in status["services"]] == ["postgres"]
            assert status["services"][0]["state"] == "RUNNING"
            assert status["keep"] is False
            # The fixture that configures can be overridden.
            assert lakebed_stack.settings.check_interval_seconds == 7.5

        def test_not_selected(kafka_topic): ...
    """
    result = run_tests("-k", "test_it", conftest=_REPORTING, test_inner=tests)
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(["lakebed: waited for postgres *"])
    assert session(pytester)["stack"]
    assert session(pytester)["phases"][-2:] == ["SESSION_TEARDOWN", "SESSION_END"]


@pytest.mark.parametrize(
    ("mark", "known"),
    [
        ("lakebed('mysql')", f"known services: {', '.join((*KNOWN_NAMES, *GROUPS))}"),
        ("debezium(no_such_field=1)", f"known fields: {', '.join(CONNECTOR_FIELDS)}"),
        ("lakebed_x", f"known marks: {', '.join(MARKS)}"),
    ],
)
def test_a_wrong_mark_is_an_error_of_use_before_any_test_runs(
    run_tests: Any, stacks: Path, mark: str, known: str
) -> None:
    tests = f"""
        import pytest

        @pytest.mark.{mark}
        def test_it(postgres_connection): ...
    """
    result = run_tests(test_inner=tests)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: test_inner.py::test_it: *; {known}"])
    assert not stacks.exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("unknown=1", f"*known settings: {', '.join(sorted(Settings.model_fields))}*"),
        ("memory_mb=much", "*memory_mb = 'much'*"),
        ("memory_mb", "*write NAME=VALUE*"),
    ],
)
def test_a_wrong_setting_is_refused(run_tests: Any, stacks: Path, option: str, message: str) -> None:
    result = run_tests("--lakebed-set", option, test_inner="def test_it(postgres_connection): ...")
    assert result.ret != pytest.ExitCode.OK
    assert "INTERNALERROR" not in result.stdout.str()
    result.stdout.fnmatch_lines([message])
    assert not stacks.exists()


def test_too_little_memory_is_the_tests_error_with_the_table(run_tests: Any) -> None:
    result = run_tests("--lakebed-set", "memory_mb=10", test_inner="def test_it(postgres_connection): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*NotEnoughMemory: find memory for postgres*", "*postgres * MB*", "*there is * 10 MB*"]
    )


def test_the_workers_of_one_run_share_one_stack(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, run_tests: Any
) -> None:
    tests = """
        import json, os
        from pathlib import Path
        import pytest
        from lakebed.waiting import wait_until

        def met(count):
            return len(list(Path(os.environ["MEETING"]).iterdir())) == count

        @pytest.mark.parametrize("number", [1, 2])
        def test_it(number, lakebed_stack, postgres_connection):
            status = lakebed_stack.status()
            content = {"pid": status["pid"], "worker": os.environ["PYTEST_XDIST_WORKER"],
                       "database": postgres_connection.info.dbname}
            unfinished = Path(os.environ["MEETING"]).parent / f"{number}.json"
            unfinished.write_text(json.dumps(content))
            unfinished.rename(Path(os.environ["MEETING"]) / unfinished.name)
            wait_until(lambda: met(2), "the other worker", deadline_seconds=60)
    """
    meeting = Path(pytester.path, "meeting")
    meeting.mkdir()
    monkeypatch.setenv("MEETING", str(meeting))
    result = run_tests("-n", "2", test_inner=tests)
    result.assert_outcomes(passed=2)
    seen = [json.loads(file.read_text()) for file in sorted(meeting.iterdir())]
    assert len({one["pid"] for one in seen}) == 1
    assert {one["worker"] for one in seen} == {"gw0", "gw1"}
    assert len({one["database"] for one in seen}) == 2


@pytest.mark.parametrize(
    ("distribution", "workers"), [("loadgroup", 1), ("each", 2)], ids=["loadgroup", "each"]
)
def test_the_tests_of_spark_run_in_one_worker(
    pytester: pytest.Pytester, run_tests: Any, distribution: str, workers: int
) -> None:
    tests = """
        import os
        from pathlib import Path
        import pytest

        @pytest.fixture
        def spark_session():
            return None

        @pytest.fixture
        def uses_it(spark_session): ...

        @pytest.mark.parametrize("number", range(4))
        def test_direct(spark_session, number):
            Path(os.environ["PYTEST_XDIST_WORKER"]).touch()

        @pytest.mark.parametrize("number", range(4))
        def test_through_another_fixture(uses_it, number):
            Path(os.environ["PYTEST_XDIST_WORKER"]).touch()

        @pytest.mark.parametrize("number", range(4))
        def test_without(number): ...
    """
    result = run_tests("-n", "2", "--dist", distribution, test_inner=tests)
    result.assert_outcomes(passed=(12 if distribution == "loadgroup" else 24))
    # Which of the two gets the group depends on which is there first.
    assert len(list(pytester.path.glob("gw*"))) == workers
