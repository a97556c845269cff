"""How pytest shows rows that differ: coloured on a terminal, plain in files and through pytest-xdist."""

from __future__ import annotations

from collections.abc import Callable

import pytest

TEST = """
    from lakebed.cdc.comparison import assert_same_rows

    def test_rows():
        source = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
        assert_same_rows(source, [{"id": 1, "name": "uno"}], "id", ("PostgreSQL", "Delta"))
"""
ESCAPE = "\x1b["


def test_a_terminal_has_the_diff_in_colour(run_tests: Callable[..., pytest.RunResult]) -> None:
    text = run_tests("--color=yes", test_it=TEST).stdout.str()
    assert f"{ESCAPE}31mE" in text.replace("\x1b[1m", "")
    for line, colour in (("-   name: 'one'", 31), ("+   name: 'uno'", 32), ("? {'id': 1}", 33)):
        (shown,) = [shown for shown in text.splitlines() if line in shown and shown.startswith(ESCAPE)]
        assert shown.startswith(f"{ESCAPE}{colour}m")


@pytest.mark.parametrize("option", [[], ["-n1"], ["--tb=short"]])
def test_elsewhere_it_is_plain_and_whole(
    run_tests: Callable[..., pytest.RunResult], pytester: pytest.Pytester, option: list[str]
) -> None:
    result = run_tests("--color=no", "--junit-xml=result.xml", *option, test_it=TEST)
    result.assert_outcomes(failed=1)
    xml = (pytester.path / "result.xml").read_text()
    for text in (result.stdout.str(), xml.replace("&apos;", "'")):
        assert ESCAPE not in text
        assert "#x1B" not in text
        for line in ("2 rows against 1", "column name: 1 rows differ", "-   name: 'one'", "+   name: 'uno'"):
            assert line in text
