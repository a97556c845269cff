"""Who may see the page: pure decisions, and the application's answers to requests that are not let in."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from lakebed.ui.access import SECURITY_HEADERS, Access, refusal, wrong_host
from lakebed.ui.application import application
from lakebed.ui.pages import Ending
from lakebed.ui.rendering import FOLDER

PORT = 8765
HOST = f"127.0.0.1:{PORT}"
ORIGIN = f"http://{HOST}"


@pytest.fixture
def access() -> Access:
    """The secrets of a page."""
    return Access.new(PORT)


@pytest.fixture
def browser(access: Access) -> TestClient:
    """A browser that has not been let in, before a page that has no stack to show."""

    async def make() -> Any:
        return application(lambda: None, access, Ending())

    return TestClient(asyncio.run(make()), base_url=ORIGIN, follow_redirects=False)


def let_in(browser: TestClient, access: Access) -> TestClient:
    """Open the printed address."""
    answer = browser.get(access.address)
    assert answer.status_code == 200
    return browser


def post(browser: TestClient, access: Access, /, **headers: str) -> int:
    form = {"form_token": access.form_token, "name": "orders"}
    sent = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "Accept": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in sent.items() if value}
    return browser.post("/connector/pause", data=form, headers=kept).status_code


def test_token_buys_a_cookie_that_scripts_and_other_sites_do_not_get(
    browser: TestClient, access: Access
) -> None:
    answer = browser.get(access.address)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert access.token not in cookie
    # And leads on, to an address without the token.
    assert access.token not in answer.text
    assert 'content="0; url=/services"' in answer.text


def test_page_is_shown_with_the_cookie_and_not_without(browser: TestClient, access: Access) -> None:
    assert browser.get("/services").status_code == 403
    assert let_in(browser, access).get("/services").status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "é", "token&token=x"])
def test_wrong_token_is_refused(browser: TestClient, access: Access, token: str) -> None:
    answer = browser.get("/", params={"token": token})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_cookie_of_another_run_is_refused(browser: TestClient, access: Access) -> None:
    browser.cookies.set(access.cookie_name, Access.new(PORT).session)
    answer = browser.get("/services")
    assert answer.status_code == 403
    assert "has not been let in" in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", f"localhost.evil:{PORT}", ""]
)
def test_wrong_host_is_refused_also_with_the_cookie(browser: TestClient, access: Access, host: str) -> None:
    answer = let_in(browser, access).get("/services", headers={"Host": host})
    assert answer.status_code == 403
    assert "another host" in answer.text


def test_localhost_is_this_machine(access: Access) -> None:
    assert wrong_host(access, {"host": f"localhost:{PORT}"}) is None


def test_form_of_the_page_itself_is_taken(browser: TestClient, access: Access) -> None:
    # No stack runs: it was let through, and could not be done.
    assert post(let_in(browser, access), access) == 409


@pytest.mark.parametrize(
    "forged",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": f"http://localhost:{PORT}"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": f"https://{HOST}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
    ],
)
def test_form_from_elsewhere_is_refused(browser: TestClient, access: Access, forged: dict[str, str]) -> None:
    assert post(let_in(browser, access), access, **forged) == 403


@pytest.mark.parametrize("token", [None, "", "wrong", "é"])
def test_form_without_its_token_is_refused(browser: TestClient, access: Access, token: str | None) -> None:
    form = {"name": "orders"} | ({} if token is None else {"form_token": token})
    answer = let_in(browser, access).post("/connector/pause", data=form, headers={"Origin": ORIGIN})
    assert answer.status_code == 403


def test_form_without_the_cookie_is_refused(browser: TestClient, access: Access) -> None:
    assert post(browser, access) == 403


def test_form_that_is_too_long_is_refused(browser: TestClient, access: Access) -> None:
    form = {"form_token": access.form_token, "name": "x" * 10_000}
    answer = let_in(browser, access).post("/connector/pause", data=form, headers={"Origin": ORIGIN})
    assert answer.status_code == 403


def test_what_a_link_must_not_do_a_link_cannot_do(browser: TestClient, access: Access) -> None:
    assert let_in(browser, access).get("/connector/pause").status_code == 405


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_embed_what_it_may_not_read(access: Access, site: str) -> None:
    cookies = {access.cookie_name: access.session}
    headers = {"host": HOST, "sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
    assert refusal(access, "GET", headers, cookies) is not None
    # A person who follows a link there goes to a page, which nobody else reads.
    assert refusal(access, "GET", headers | {"sec-fetch-mode": "navigate"}, cookies) is None


@pytest.mark.parametrize("path", ["/services", "/nothing", "/static/ui.css", "/?token=wrong", "/static/../x"])
def test_every_answer_has_the_security_headers(browser: TestClient, access: Access, path: str) -> None:
    for client in (browser, let_in(browser, access)):
        answer = client.get(path)
        assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_header_that_comes_twice_is_not_believed(browser: TestClient, access: Access) -> None:
    twice = [("Origin", ORIGIN), ("Origin", ORIGIN)]
    form = {"form_token": access.form_token, "name": "orders"}
    answer = let_in(browser, access).post("/connector/pause", data=form, headers=twice)
    assert answer.status_code == 403


def test_secrets_are_not_shown(access: Access) -> None:
    shown = repr(access)
    assert not any(secret in shown for secret in (access.token, access.session, access.form_token))


def test_two_runs_have_nothing_in_common() -> None:
    one, two = Access.new(PORT), Access.new(PORT)
    secrets = {one.token, one.session, one.form_token, two.token, two.session, two.form_token}
    assert len(secrets) == 6
    assert min(map(len, secrets)) >= 40


def test_templates_have_no_script_and_no_style_of_their_own() -> None:
    for template in (FOLDER / "templates").glob("*.html"):
        text = template.read_text()
        assert not re.search(r"<script(?! type=\"module\" src=\"/static/live.js\">)", text), template
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://", text), template


def test_vendored_files_are_the_locked_ones() -> None:
    static = FOLDER / "static"
    locked = json.loads((static / "vendored.json").read_text())
    for name, what in locked.items():
        assert hashlib.sha256(Path(static / name).read_bytes()).hexdigest() == what["sha256"], name
        assert (static / what["license_file"]).exists()
