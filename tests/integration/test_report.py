"""What a run tells of itself: a failure, the end of the output, JUnit XML and the report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from selectolax.lexbor import LexborHTMLParser
from tests.pages import attribute, one

FAILS_WITH_A_CONNECTOR = """
    import pytest

    def test_fails(postgres_connection, debezium_connectors, change_events):
        postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
        connector = debezium_connectors()
        postgres_connection.execute("INSERT INTO orders VALUES (1, '<b>bold</b>')")
        postgres_connection.execute("UPDATE orders SET note = 'password=' || 'hidden' WHERE id = 1")
        assert [event.op.name for event in change_events("orders")] == ["CREATE", "UPDATE"]
        postgres_connection.execute("SELECT * FROM no_such_table")

    def test_passes(postgres_connection): ...
"""


def failures_of(file: Path) -> dict[str, str]:
    """Return, by test, the text of its failure or error in JUnit XML."""
    cases = ElementTree.parse(file).getroot().iter("testcase")
    return {case.get("name", ""): element.text or "" for case in cases for element in case if element.text}


def cells_of(report: Path, test: int) -> list[list[str]]:
    """Return the first table of a test in the report, the path of its changes, as texts."""
    table = one(LexborHTMLParser(report.read_text()), f"#test-{test} table")
    return [[" ".join(cell.text().split()) for cell in row.css("td")] for row in table.css("tbody tr")]


@pytest.fixture
def failed_run(pytester: pytest.Pytester, run_tests: Any) -> tuple[str, str, Path]:
    """Run tests of which one fails with a connector; return output, failure in JUnit XML, and report."""
    result = run_tests(
        "--junitxml=junit.xml", "--lakebed-report=report.html", test_inner=FAILS_WITH_A_CONNECTOR
    )
    result.assert_outcomes(failed=1, passed=1)
    failures = failures_of(pytester.path / "junit.xml")
    assert list(failures) == ["test_fails"]
    return result.stdout.str(), failures["test_fails"], pytester.path / "report.html"


def test_a_failure_shows_log_trace_slot_and_events(failed_run: tuple[str, str, Path]) -> None:
    output, failure, report = failed_run
    page = one(LexborHTMLParser(report.read_text()), "#test-1").text()
    for text in (output, failure, page):
        # The failure itself comes first.
        assert 'relation "no_such_table" does not exist' in text
        assert "lakebed: log of postgres, written during the test" in text
        assert re.search(r"state: RUNNING\n", text)
        assert "task 0 RUNNING" in text
        assert re.search(r"slot '\w+': sender \w+, \d+ bytes behind", text)
        assert "lakebed: last events of connector " in text
        assert re.search(r"<CREATE key \(id=1\) after .*<b>bold</b>.*>, log position 0/", text)
        assert "password=hidden" not in text
    assert output.count("lakebed: last events of connector ") == 1
    assert re.search(r"(?m)^lakebed: services .*postgres RUNNING, started in \d", output)
    assert re.search(r"(?m)^lakebed: slowest fixtures .*debezium_connectors|postgres_connection", output)
    assert f"lakebed: report: {report}" in output


def test_the_report_has_the_path_of_each_change(failed_run: tuple[str, str, Path]) -> None:
    _, _, report = failed_run
    create, update = cells_of(report, 1)
    for cells, operation, offset in ((create, "CREATE", 0), (update, "UPDATE", 1)):
        change, committed, position, captured, topic, in_kafka, barrier, in_lake, read = cells
        assert change == f"{operation}(id=1)"
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", committed)
        assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+transaction \d+", position)
        assert re.fullmatch(rf"\w+\.public\.orders0:{offset}", topic)
        for after_commit in (captured, in_kafka, barrier, read):
            assert re.fullmatch(r"< 1 ms|\+\d+ ms|\+\d+\.\d\d s", after_commit)
        assert in_lake == "no pipeline of the test takes it"
    parsed = LexborHTMLParser(report.read_text())
    services = {one(row, "td").text() for row in parsed.css("#services tbody tr")}
    assert services == {"postgres", "kafka", "connect"}
    for chart in ("services", "ran", "latency", "memory"):
        assert parsed.css_first(f"#{chart}-chart") is not None, chart
    assert parsed.css_first("#memory-chart") is not None


def test_an_error_in_set_up_shows_what_servers_wrote(pytester: pytest.Pytester, run_tests: Any) -> None:
    tests = """
        import pytest

        @pytest.fixture
        def broken(postgres_connection):
            postgres_connection.execute("SELECT * FROM no_such_table")

        def test_it(broken): ...
    """
    result = run_tests("-x", "--junitxml=junit.xml", test_inner=tests)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*lakebed: log of postgres, written during the test*", "*no_such_table*"])
    assert "lakebed: log of postgres" in failures_of(pytester.path / "junit.xml")["test_it"]


def test_dead_servers_neither_hide_the_failure_nor_hold_it_up(run_tests: Any) -> None:
    tests = """
        def test_it(postgres_connection, debezium_connector, lakebed_crash):
            lakebed_crash.kill("kafka")
            lakebed_crash.kill("connect")
            assert "the failure itself" == "x"
    """
    result = run_tests(test_inner=tests)
    result.assert_outcomes(failed=1)
    output = result.stdout.str()
    assert "the failure itself" in output
    assert "lakebed: kafka is STOPPED" in output
    ended = "its process has ended; "
    assert re.search(rf"- connector \w+ -*\nkafka: {ended}.*\nconnect: {ended}", output)
    assert re.search(r"lakebed: last events of connector \w+ -*\n(no answer|.*no answer)", output)


def test_workers_hand_over_and_the_controller_tells(pytester: pytest.Pytester, run_tests: Any) -> None:
    tests = """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(postgres_connection, number):
            assert number != 3, "number three"
    """
    result = run_tests("-n", "2", "--lakebed-report=report.html", "--junitxml=junit.xml", test_inner=tests)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*lakebed: log of postgres*",
            "lakebed: services postgres RUNNING, started in *",
            "lakebed: waited for postgres *",
            "lakebed: slowest fixtures *postgres_connection*",
            f"lakebed: report: {pytester.path / 'report.html'}",
        ],
        consecutive=False,
    )
    assert "lakebed: log of postgres" in failures_of(pytester.path / "junit.xml")["test_it[3]"]
    parsed = LexborHTMLParser((pytester.path / "report.html").read_text())
    assert sorted(node.attributes["data-node"] or "" for node in parsed.css("details.test")) == [
        f"test_inner.py::test_it[{number}]" for number in range(4)
    ]
    assert parsed.css_first("#memory-chart") is not None


def test_with_the_first_failure_a_worker_still_tells(pytester: pytest.Pytester, run_tests: Any) -> None:
    tests = "def test_it(postgres_connection): assert 0"
    result = run_tests("-n", "1", "-x", "--lakebed-report=report.html", test_inner=tests)
    assert "lakebed: services postgres RUNNING" in result.stdout.str()
    parsed = LexborHTMLParser((pytester.path / "report.html").read_text())
    assert one(parsed, "details.test .outcome").text() == "failed"


def test_what_passes_is_told_in_a_line_and_with_v_in_more(run_tests: Any) -> None:
    tests = "def test_it(postgres_connection): ..."
    quiet = [line for line in run_tests(test_inner=tests).outlines if line.startswith("lakebed: ")]
    assert len(quiet) == 1
    assert re.fullmatch(r"lakebed: waited for postgres \d+\.\d s", quiet[0])
    more = [line for line in run_tests("-v", test_inner=tests).outlines if line.startswith("lakebed: ")]
    assert [line.split()[1] for line in more] == ["services", "waited", "slowest"]


def test_the_tables_of_a_pipeline_are_the_end_of_the_path(pytester: pytest.Pytester, run_tests: Any) -> None:
    tests = """
        import pytest

        @pytest.fixture
        def places(delta_table_path, iceberg_namespace):
            return {"delta": delta_table_path, "iceberg": f"{iceberg_namespace}.orders"}

        @pytest.mark.debezium(avro=True)
        def test_it(postgres_connection, debezium_connectors, cdc_pipeline, places):
            postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
            connector = debezium_connectors()
            postgres_connection.execute("INSERT INTO orders VALUES (1)")
            pipeline = cdc_pipeline(connector, "orders", **places)
            pipeline.run_available()
            postgres_connection.execute("INSERT INTO orders VALUES (2)")
            pipeline.run_available()
    """
    result = run_tests("--lakebed-report=report.html", test_inner=tests)
    result.assert_outcomes(passed=1)
    first, second = (cells[7] for cells in cells_of(pytester.path / "report.html", 1))
    version = r"\+(\d+ ms|\d+\.\d\d s)delta s3a://\S+, version (\d+).*iceberg \w+\.orders, version \d+"
    versions = [re.match(version, told) for told in (first, second)]
    assert all(versions), (first, second)
    numbers = [int(match[2]) for match in versions if match is not None]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("file", "why"), [("none/report.html", "*there is no folder*"), (".", "*it is a folder*")]
)
def test_a_report_that_cannot_be_written_is_refused_before_any_test(
    pytester: pytest.Pytester, run_tests: Any, stacks: Path, file: str, why: str
) -> None:
    tests = """
        from pathlib import Path

        def test_it(postgres_connection):
            Path("it_ran").touch()
    """
    result = run_tests(f"--lakebed-report={file}", test_inner=tests)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --lakebed-report: write the report *", why])
    assert not (pytester.path / "it_ran").exists()
    assert not stacks.exists()


def test_tests_without_lakebed_are_in_the_report_too(
    pytester: pytest.Pytester, run_tests: Any, stacks: Path
) -> None:
    tests = """
        import pytest

        @pytest.mark.parametrize("name", ["<script>alert(1)</script>"])
        def test_it(name): ...

        @pytest.mark.skip
        def test_skipped(): ...

        @pytest.mark.xfail
        def test_expected(): assert 0
    """
    result = run_tests("--lakebed-report=report.html", test_inner=tests)
    result.assert_outcomes(passed=1, skipped=1, xfailed=1)
    parsed = LexborHTMLParser((pytester.path / "report.html").read_text())
    assert [node.text() for node in parsed.css("details.test .outcome")] == ["passed", "skipped", "xfailed"]
    first = attribute(parsed, "details.test", "data-node")
    assert first == "test_inner.py::test_it[<script>alert(1)</script>]"
    assert len(parsed.css("script")) == 4
    assert not stacks.exists()
