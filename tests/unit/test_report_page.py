"""The page of a report: one file that needs nothing else, in which nothing is taken for HTML that is none."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files

import pytest
from selectolax.lexbor import LexborHTMLParser
from tests.pages import attribute, one
from tests.unit.run_records import a_run

from lakebed.report.page import CHART_TITLES, charting_lock, render
from lakebed.report.records import RunRecord

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "\"><a href='javascript:alert(1)'>x</a>",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</style></title></textarea>&lt;b&gt;&#60;",
    "\u2028\u2029\x1b[31m\ud7ff",
)
# Attributes with which a page loads something, or goes somewhere.
LOADING = ("src", "srcset", "href", "action", "formaction", "data", "poster", "background", "cite", "ping")


def shape(page: str) -> list[tuple[str | None, tuple[str, ...]]]:
    """Return the elements of a page in order, each with the names of its attributes."""
    return [(node.tag, tuple(sorted(node.attributes))) for node in LexborHTMLParser(page).css("*")]


@pytest.mark.parametrize("evil", HOSTILE)
def test_names_and_data_stay_text_whatever_they_hold(evil: str) -> None:
    page = render(a_run(tests=3, evil=evil))
    assert shape(page) == shape(render(a_run(tests=3, evil="harmless")))
    assert evil in one(LexborHTMLParser(page), "h1").text()
    nodes = [node.attributes["data-node"] for node in LexborHTMLParser(page).css("details.test")]
    assert all(node is not None and evil in node for node in nodes)


def test_the_page_loads_nothing_and_says_so() -> None:
    page = render(a_run())
    parsed = LexborHTMLParser(page)
    for node in parsed.css("*"):
        for name in LOADING:
            value = node.attributes.get(name)
            assert value is None or value.startswith("#"), (node.tag, name, value)
        assert node.tag not in ("link", "iframe", "object", "embed", "base", "img")
    style = one(parsed, "style").text()
    assert "url(" not in style
    assert "@import" not in style
    policy = attribute(parsed, "meta[http-equiv]", "content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    allowed, _, _ = policy.partition("; style-src")
    assert "unsafe-inline" not in allowed


def test_only_the_pages_own_scripts_may_run() -> None:
    page = render(a_run())
    policy = attribute(LexborHTMLParser(page), "meta[http-equiv]", "content")
    scripts = re.findall(r"(?s)<script(?: type=\"module\")?>(.*?)</script>", page)
    sums = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(sums) == 3
    assert re.findall(r"'sha256-([^']+)'", policy) == sums


def test_the_embedded_library_is_what_was_locked() -> None:
    folder = files("lakebed.report") / "charting"
    for locked in charting_lock():
        content = (folder / locked["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == locked["sha256"], locked["file"]
        assert (folder / f"{locked['package']}.LICENSE").is_file()


def test_the_charts_are_data_that_can_be_read_back() -> None:
    page = render(a_run())
    told = json.loads(one(LexborHTMLParser(page), "script#charts").text())
    assert list(told["specs"]) == list(CHART_TITLES)
    for name in told["specs"]:
        assert LexborHTMLParser(page).css_first(f"#{name}") is not None
    lanes = [bar["lane"] for bar in told["specs"]["services-chart"]["data"]["values"]]
    assert lanes[0] == "postgres"


def test_a_run_in_which_nothing_happened_has_a_page() -> None:
    page = render(RunRecord("pytest in nothing", "0.1.0", 1.0, 1.0))
    assert "No service was used." in one(LexborHTMLParser(page), "body").text()


def test_a_hundred_tests_make_a_page_of_less_than_three_megabytes() -> None:
    page = render(a_run(tests=100, changes=25, samples=3600))
    assert len(page.encode()) < 3_000_000


def test_a_failed_test_is_open_and_shows_what_was_found_out() -> None:
    parsed = LexborHTMLParser(render(a_run(tests=3)))
    opened = [node.attributes["id"] for node in parsed.css("details.test[open]")]
    assert opened == ["test-3"]
    assert "ERROR" in one(parsed, "#test-3 pre").text()


def test_what_was_not_observed_is_said_to_be_so() -> None:
    row = one(LexborHTMLParser(render(a_run(tests=1))), "#test-1 tbody tr")
    cells = [" ".join(cell.text().split()) for cell in row.css("td")]
    assert cells[1] == "14:13:22.400"
    assert cells[2] == "0/16B0000transaction 700"
    assert cells[3] == "+4 ms"
    assert cells[5] == "+6 ms"
    assert cells[6] == "+100 ms"
    assert "+200 msdelta s3a://delta/0, version 1" in cells[7]
    assert "not observediceberg shop.orders_0, version not observed" in cells[7]
    assert cells[8] == "not observed"
