"""The report in a real Chromium: drawn under its own policy, loading nothing, used with keys alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.browser.chromium import opened_chromium
from tests.unit.run_records import a_run
from tests.unit.test_report_page import HOSTILE

from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.report.page import CHART_TITLES, render

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened_chromium(cache_folder(load_settings().cache_folder)) as opened:
        yield opened


@pytest.fixture
def told(browser: Browser, tmp_path: Path) -> Iterator[tuple[Page, list[str]]]:
    """Open a report in which every text is hostile; return it and all that it said and asked for."""
    file = tmp_path / "report.html"
    file.write_text(render(a_run(tests=4, changes=3, samples=5, evil="".join(HOSTILE))))
    page = browser.new_page(color_scheme="dark")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append("a dialog"))
    page.on("request", lambda request: said.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-drawn]", state="attached")
    yield page, said
    page.close()
    assert said == [file.as_uri()]


def test_every_chart_is_drawn_and_nothing_else_is_asked_for(told: tuple[Page, list[str]]) -> None:
    page, _ = told
    for chart in CHART_TITLES:
        assert page.locator(f"#{chart} svg").count() == 1, chart
    assert page.locator("#services-chart path[aria-roledescription=bar]").count() == 12
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_bar_leads_to_its_test(told: tuple[Page, list[str]]) -> None:
    page, _ = told
    bars = page.locator("#ran-chart path[aria-roledescription=bar]")
    bars.nth(1).click()
    page.wait_for_function("location.hash === '#test-1'")
    page.wait_for_selector("#test-1[open]")
    assert page.evaluate("document.activeElement.closest('details').id") == "test-1"


def test_keys_are_enough(told: tuple[Page, list[str]]) -> None:
    page, _ = told
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#timeline-charts")
    page.keyboard.press("+")
    page.wait_for_function("document.getElementById('shown').textContent === 'seconds 2.00 to 6.00'")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.getElementById('shown').textContent === 'seconds 3.00 to 7.00'")
    page.keyboard.press("0")
    page.wait_for_function("document.getElementById('shown').textContent === 'seconds 0.00 to 8.00'")
    page.focus("#test-1 summary")
    page.keyboard.press("Enter")
    assert page.locator("#test-1").get_attribute("open") is not None


def test_tests_are_found_by_words_of_their_names(told: tuple[Page, list[str]]) -> None:
    page, _ = told
    page.fill("#search", "PRICE[2")
    assert page.inner_text("#count") == "1 shown"
    page.fill("#search", "")
    page.check("#only-bad")
    assert page.locator("details.test:visible").count() == 1
