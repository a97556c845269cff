"""The live page in a real Chromium, doing what a person would do, on the session's stack."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pyarrow as pa
import pytest
from axe_playwright_python.sync_playwright import Axe
from confluent_kafka import Producer
from deltalake import DeltaTable, write_deltalake
from playwright.sync_api import Browser, Page, expect
from tests.browser.chromium import opened_chromium
from tests.browser.ui_page import RunningPage, Visit, served, visited

from lakebed.clients.connector import Connector
from lakebed.clients.debezium import DebeziumClient
from lakebed.config.settings import load_settings
from lakebed.lifecycle import ConnectorState
from lakebed.pytest_plugin.session import SessionStack
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import end_stack, open_stack
from lakebed.stack.folders import NAME_OF_UP
from lakebed.ui.rendering import link
from lakebed.ui.screens import SCREENS
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from pyiceberg.catalog import Catalog

Postgres = psycopg.Connection[Any]
Record = Callable[[str, str], None]

UP = re.compile("RUNNING|HEALTHY")

HOSTILE = """<script>alert(1)</script><img src=x onerror="alert(2)">"""
FAILING_TRANSFORMATION = {
    "transforms": "broken",
    "transforms.broken.type": "org.apache.kafka.connect.transforms.ValueToKey",
    "transforms.broken.fields": "no_such_field",
}
# A change is to be seen without a reload; the machine may be busy.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def browser(lakebed_stack: SessionStack) -> Iterator[Browser]:
    """A real Chromium."""
    with opened_chromium(lakebed_stack.cache) as browser:
        yield browser


@pytest.fixture(scope="module")
def running(
    lakebed_stack: SessionStack,
    addresses: Addresses,
    child_environment: Callable[[Path], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningPage]:
    """`lakebed ui` on the session's stack."""
    folder = lakebed_stack.folder
    environment = child_environment(folder.parent)
    with served(environment, tmp_path_factory.mktemp("ui"), "--stack", folder.name) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, running: RunningPage) -> Iterator[Visit]:
    """A person at the page."""
    with visited(browser, running) as visit:
        yield visit


def view(page: Page) -> Any:
    return page.locator("#view")


# -- what is there ------------------------------------------------------------------------------------


def test_services_with_state_and_log(visit: Visit, postgres_connection: Postgres) -> None:
    page = visit.page
    expect(page).to_have_title("Services · lakebed")
    for service in ("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest"):
        row = page.locator(f"#service-{service}")
        expect(row.locator(".state")).to_have_text(UP)
        expect(row.locator("[data-label=Memory]")).to_contain_text("MB")
    expect(page.locator("#connection")).to_have_text("Live")

    page.get_by_role("link", name="postgres").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("postgres")
    visit.stays()
    word = f"marked_{postgres_connection.info.dbname}"
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        postgres_connection.execute(f"SELECT '{word}'::int")
    log = page.get_by_role("region", name="The end of its log").locator("#log")
    expect(log).to_contain_text(word)
    # It stays at the end, where the newest line is.
    assert log.evaluate("one => one.scrollHeight - one.scrollTop - one.clientHeight < 8")
    assert visit.has_stayed()


@pytest.mark.debezium(avro=True)
def test_change_arrives_in_the_topic_without_a_reload(
    visit: Visit, postgres_connection: Postgres, debezium_connector: Connector
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, price numeric(9, 2))")
    postgres_connection.execute("ALTER TABLE orders REPLICA IDENTITY FULL")
    postgres_connection.execute("INSERT INTO orders VALUES (1, 10.50)")
    topic = debezium_connector.topic("orders")
    page = visit.page
    page.get_by_role("link", name="Topics").click()
    page.get_by_role("link", name=topic).click()
    messages = page.locator("#messages tbody tr")
    expect(messages).to_have_count(1)
    expect(messages.first).to_contain_text("create")
    messages.first.locator("summary").click()
    expect(messages.first.locator(".content")).to_contain_text('"price": "10.50"')

    visit.stays()
    postgres_connection.execute("UPDATE orders SET price = 12.00 WHERE id = 1")
    expect(messages).to_have_count(2)
    expect(messages.first.locator(".operation")).to_have_text("update")
    expect(messages.first.locator("del")).to_have_text("10.50")
    expect(messages.first.locator("ins")).to_have_text("12.00")
    expect(messages.first).to_contain_text("ms after the commit")
    # What the reader has opened stays open.
    expect(messages.nth(1).locator(".content")).to_be_visible()
    postgres_connection.execute("DELETE FROM orders")
    expect(page.locator("#messages .operation")).to_have_text(["tombstone", "delete", "update", "create"])
    assert visit.has_stayed()


@pytest.mark.debezium(avro=True)
def test_avro_is_decoded(visit: Visit, postgres_connection: Postgres, debezium_connector: Connector) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, at timestamptz)")
    postgres_connection.execute("INSERT INTO orders VALUES (1, '2026-01-02 03:04:05.678901+00')")
    debezium_connector.wait_until_acknowledged(postgres_connection)
    page = visit.go(link("/topic", name=debezium_connector.topic("orders")))
    row = page.locator("#messages tbody tr").first
    row.locator("summary").click()
    expect(row.locator(".content")).to_contain_text("2026-01-02T03:04:05.678901+00:00")


def test_pages_by_offset(visit: Visit, kafka_topic: str, addresses: Addresses) -> None:
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    for number in range(120):
        producer.produce(kafka_topic, f"message {number}", f"key {number}")
    producer.flush(10)
    page = visit.go(link("/topic", name=kafka_topic))
    offsets = page.locator("#messages tbody th")
    expect(offsets.first).to_have_text("119")
    expect(offsets).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(offsets.first).to_have_text("69")
    page.get_by_role("link", name="Older").click()
    expect(offsets).to_have_count(20)
    expect(offsets.last).to_have_text("0")
    expect(page.get_by_role("link", name="Older")).to_have_count(0)
    page.get_by_role("link", name="Newer").click()
    expect(offsets.first).to_have_text("69")
    page.get_by_label("Messages before offset").fill("3")
    page.keyboard.press("Enter")
    expect(offsets).to_have_text(["2", "1", "0"])
    expect(page.locator("#messages")).to_contain_text("message 2")


def test_what_is_no_event_is_shown_all_the_same(visit: Visit, kafka_topic: str, addresses: Addresses) -> None:
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    values = [b'{"plain": "json"}', b"plain text", b"\x00\x00\x0f\x42\x40avro", b"\xff\xfe", None]
    for value in values:
        producer.produce(kafka_topic, value, "k")
    producer.flush(10)
    page = visit.go(link("/topic", name=kafka_topic))
    rows = page.locator("#messages tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.nth(0)).to_contain_text("tombstone")
    expect(rows.nth(1)).to_contain_text("base64://4=")
    expect(rows.nth(2)).to_contain_text("Not decoded: Avro of schema 1000000")
    expect(rows.nth(3)).to_contain_text("plain text")
    expect(rows.nth(4)).to_contain_text('"plain": "json"')


# -- connectors ---------------------------------------------------------------------------------------


def test_pause_and_resume_by_keyboard(
    visit: Visit, debezium_connector: Connector, debezium_client: DebeziumClient
) -> None:
    name = debezium_connector.name
    page = visit.page
    visit.tab_to("Connectors")
    page.keyboard.press("Enter")
    row = page.locator(f"#connector-{name}")
    expect(row.locator("[data-label=State]")).to_have_text("RUNNING")
    expect(row.locator("[data-label=Slot]")).to_contain_text("streams")
    visit.stays()
    visit.tab_to(f"Pause {name}")
    page.keyboard.press("Enter")
    expect(row.locator("[data-label=State]")).to_have_text("PAUSED")
    expect(page.locator("#said")).to_have_text(f"{name} is PAUSED")
    assert debezium_client.state(name) is ConnectorState.PAUSED
    # The focus is where it was, on what now is the way back.
    expect(page.get_by_role("button", name=f"Resume {name}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(row.locator("[data-label=State]")).to_have_text("RUNNING")
    expect(page.get_by_role("button", name=f"Pause {name}")).to_be_focused()
    assert debezium_client.state(name) is ConnectorState.RUNNING
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("#said")).to_have_text(f"{name} is RUNNING")
    assert visit.has_stayed()


def test_failed_task_shows_its_trace_and_restarts(
    visit: Visit,
    postgres_connection: Postgres,
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
) -> None:
    name = debezium_connector.name
    broken = replace(debezium_connector.config, heartbeat_interval_ms=0, extra_config=FAILING_TRANSFORMATION)
    debezium_client.update(broken)
    postgres_connection.execute("CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")

    def has_failed() -> bool:
        postgres_connection.execute("INSERT INTO orders DEFAULT VALUES")
        return debezium_client.state(name) is ConnectorState.FAILED

    page = visit.go(link("/connector", name=name))
    visit.stays()
    wait_until(has_failed, "the task to fail", deadline_seconds=30)
    expect(page.locator("h1 .state")).to_have_text("FAILED")
    expect(page.locator(".trace")).to_contain_text("Field does not exist: no_such_field")
    # The password is nowhere on it.
    expect(page.locator("tr", has_text="database.password")).to_contain_text("***")
    assert debezium_connector.config.database_password not in view(page).inner_text().split()
    # What cannot be done is said.
    page.get_by_role("button", name="Restart").click()
    expect(page.locator("#said")).to_contain_text("failed")
    debezium_client.update(debezium_connector.config)
    page.get_by_role("button", name="Restart").click()
    expect(page.locator("#said")).to_have_text(f"{name} is RUNNING")
    expect(page.locator("h1 .state")).to_have_text("RUNNING")
    assert visit.has_stayed()
    visit.complaints[:] = [one for one in visit.complaints if "409" not in one]


def test_buttons_work_without_scripts(
    browser: Browser, running: RunningPage, debezium_connector: Connector, debezium_client: DebeziumClient
) -> None:
    name = debezium_connector.name
    with visited(browser, running, java_script_enabled=False) as visit:
        page = visit.go("/connectors")
        page.get_by_role("button", name=f"Pause {name}").click()
        expect(page).to_have_url(f"{running.origin}/connectors")
        expect(page.locator(f"#connector-{name} [data-label=State]")).to_have_text("PAUSED")
        assert debezium_client.state(name) is ConnectorState.PAUSED


# -- schemas and tables -------------------------------------------------------------------------------


def test_versions_of_a_subject_and_what_differs(
    visit: Visit,
    schema_registry_client: SchemaRegistryClient,
    lakebed_test_name: str,
    lakebed_record: Record,
) -> None:
    from confluent_kafka.schema_registry import Schema

    subject = f"{lakebed_test_name}-value"
    lakebed_record("subject", subject)
    fields = [
        '{"name": "id", "type": "int"}',
        '{"name": "note", "type": ["null", "string"], "default": null}',
    ]
    for count in (1, 2):
        text = f'{{"type": "record", "name": "orders", "fields": [{", ".join(fields[:count])}]}}'
        schema_registry_client.register_schema(subject, Schema(text, "AVRO"))
    page = visit.page
    page.get_by_role("link", name="Subjects").click()
    expect(page.locator(f"[id='subject-{subject}'] .figure")).to_have_text("2")
    page.get_by_role("link", name=subject).click()
    expect(view(page)).to_contain_text("Compatibility NONE")
    expect(page.get_by_role("heading", level=2)).to_have_text("From version 1 to 2")
    expect(page.locator(".sentences li")).to_have_text(["note was added: null or string, default null"])
    expect(page.locator(".difference tr.right")).not_to_have_count(0)
    page.get_by_role("combobox", name="From version").select_option("2")
    page.get_by_role("combobox", name="to version").select_option("1")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".sentences li")).to_have_text(["note was removed"])
    page.get_by_role("link", name="Version 1").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Schema")


def test_changes_and_history_of_a_delta_table(
    visit: Visit, addresses: Addresses, delta_table_path: str
) -> None:
    options = addresses.delta_storage_options()
    path = delta_table_path.replace("s3a://", "s3://")
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["ada", HOSTILE, "cy"]})
    enabled = {"delta.enableChangeDataFeed": "true"}
    write_deltalake(path, rows, storage_options=options, configuration=enabled)
    DeltaTable(path, storage_options=options).update(updates={"name": "'bea'"}, predicate="id = 2")
    page = visit.page
    page.get_by_role("link", name="Tables").click()
    page.get_by_role("link", name=delta_table_path).click()
    expect(view(page)).to_contain_text("Delta, version 1")
    page.get_by_label("From version").fill("1")
    page.keyboard.press("Enter")
    changes = page.locator("#changes tbody tr")
    expect(changes).to_have_count(2)
    expect(changes.nth(0)).to_contain_text("update, before")
    expect(changes.nth(0)).to_contain_text(HOSTILE)
    expect(changes.nth(1)).to_contain_text("update, after")
    expect(changes.nth(1)).to_contain_text("bea")

    visit.stays()
    DeltaTable(path, storage_options=options).delete("id = 3")
    expect(page.locator("#commit-2")).to_contain_text("DELETE")
    expect(changes).to_have_count(3)
    assert visit.has_stayed()
    page.get_by_label("From version").fill("9")
    page.get_by_label("From version").evaluate("one => one.removeAttribute('max')")
    page.keyboard.press("Enter")
    expect(page.locator(".trouble")).to_contain_text("newest version is 2")


def test_changes_and_history_of_an_iceberg_table(
    visit: Visit, iceberg_catalog: Catalog, iceberg_namespace: str
) -> None:
    rows = pa.table({"id": pa.array([1, 2], pa.int64()), "name": ["ada", "bo"]})
    name = f"{iceberg_namespace}.people"
    table = iceberg_catalog.create_table(name, rows.schema)
    table.append(rows)
    page = visit.page
    page.get_by_role("link", name="Tables").click()
    page.get_by_role("link", name=name).click()
    history = page.locator("[aria-label=History] tbody tr")
    expect(history).to_have_count(1)
    visit.stays()
    table.overwrite(pa.table({"id": pa.array([2, 3], pa.int64()), "name": ["bea", "cy"]}))
    expect(page.get_by_role("region", name="Rows")).to_contain_text("bea")
    assert visit.has_stayed()
    first = table.metadata.snapshots[0].snapshot_id
    page.get_by_label("After snapshot").select_option(str(first))
    page.get_by_role("button", name="Show changes").click()
    changes = page.locator("#changes tbody tr")
    expect(changes).to_have_text(
        [
            # PyIceberg overwrites in two snapshots.
            re.compile("delete.*ada"),
            re.compile("delete.*bo"),
            re.compile("insert.*bea"),
            re.compile("insert.*cy"),
        ]
    )


# -- who may not --------------------------------------------------------------------------------------


def test_hostile_data_is_text(
    visit: Visit, postgres_connection: Postgres, debezium_connector: Connector
) -> None:
    postgres_connection.execute('CREATE TABLE notes (id int PRIMARY KEY, "<b>text</b>" text)')
    postgres_connection.execute("INSERT INTO notes VALUES (1, %s)", [HOSTILE])
    page = visit.go(link("/topic", name=debezium_connector.topic("notes")))
    row = page.locator("#messages tbody tr").first
    row.locator("summary").click()
    expect(row.locator(".content")).to_contain_text("<script>alert(1)</script>")
    expect(view(page).locator("script, img, b")).to_have_count(0)
    # Not only escaped: a script that is not one of the page's own files does not run.
    page.evaluate(
        "() => { const one = document.createElement('script'); one.text = 'window.ran = 1';"
        " document.body.append(one); }"
    )
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in complaint for complaint in visit.complaints)
    visit.complaints.clear()


def test_forged_requests_are_refused(
    visit: Visit, debezium_connector: Connector, debezium_client: DebeziumClient
) -> None:
    name = debezium_connector.name
    page = visit.go("/connectors")
    token = page.locator(f"#connector-{name} input[name=form_token]").first.input_value()
    cookies = {one["name"]: one["value"] for one in page.context.cookies()}
    assert [(one["httpOnly"], one["sameSite"]) for one in page.context.cookies()] == [(True, "Strict")]
    origin = visit.running.origin
    form = {"name": name, "form_token": token}
    good = {"Origin": origin}
    with httpx.Client(base_url=origin, cookies=cookies, trust_env=False) as client:

        def refused(form: dict[str, str], **headers: str) -> None:
            answer = client.post("/connector/pause", data=form, headers=headers)
            assert answer.status_code == 403, answer.text
            assert debezium_client.state(name) is ConnectorState.RUNNING

        refused({"name": name}, **good)
        refused({**form, "form_token": "x" * 43}, **good)
        refused(form, Origin="http://evil.example")
        refused(form)
        refused(form, Host="evil.example", **good)
        client.cookies.clear()
        refused(form, **good)
        assert client.get("/connectors").status_code == 403
        assert client.get("/", params={"token": "x" * 43}).status_code == 403


def test_form_on_another_page_of_this_machine_does_nothing(
    visit: Visit, debezium_connector: Connector, debezium_client: DebeziumClient
) -> None:
    name = debezium_connector.name
    page = visit.go("/connectors")
    # Even if it had learned the token of the form.
    token = page.locator("input[name=form_token]").first.input_value()
    fields = {"form_token": token, "name": name}
    inputs = "".join(f"<input name={key} value='{value}'>" for key, value in fields.items())
    action = f"{visit.running.origin}/connector/pause"
    with other_site(f"<form method=post action='{action}'>{inputs}<button>Win</button></form>") as address:
        page.goto(address)
        page.get_by_role("button", name="Win").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Not here")
    assert debezium_client.state(name) is ConnectorState.RUNNING
    visit.complaints.clear()


@contextmanager
def other_site(html: str) -> Iterator[str]:
    """A site on another port that shows one page; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


# -- for everybody ------------------------------------------------------------------------------------


def places(connector: Connector) -> list[str]:
    """Return the address of every screen that needs no table."""
    named = {
        "/service": "kafka",
        "/connector": connector.name,
        "/topic": connector.topic("orders"),
        "/subject": f"{connector.topic('orders')}-value",
    }
    return [
        link(screen.path, name=named[screen.path]) if screen.path in named else screen.path
        for screen in SCREENS
        if screen.path not in ("/delta", "/iceberg")
    ]


@pytest.mark.debezium(avro=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_screen_is_accessible(
    browser: Browser,
    running: RunningPage,
    postgres_connection: Postgres,
    debezium_connector: Connector,
    scheme: str,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    postgres_connection.execute("ALTER TABLE orders REPLICA IDENTITY FULL")
    postgres_connection.execute("INSERT INTO orders VALUES (1, 'a long note about nothing at all')")
    postgres_connection.execute("UPDATE orders SET note = 'b'")
    postgres_connection.execute("ALTER TABLE orders ADD COLUMN paid boolean")
    postgres_connection.execute("DELETE FROM orders")
    debezium_connector.wait_until_acknowledged(postgres_connection)
    with visited(browser, running, color_scheme=scheme, reduced_motion="reduce") as visit:
        for place in places(debezium_connector):
            page = visit.go(place)
            expect(page.locator("#connection")).to_have_text("Live")
            found = Axe().run(page)
            assert found.violations_count == 0, f"{place}: {found.generate_report()}"
            assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light dark"
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            brightness = sum(int(part) for part in ground[4:-1].split(","))
            assert (brightness > 384) == (scheme == "light"), ground


@pytest.mark.debezium(avro=True)
def test_every_screen_fits_a_narrow_window(
    browser: Browser, running: RunningPage, postgres_connection: Postgres, debezium_connector: Connector
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    postgres_connection.execute(f"INSERT INTO orders VALUES (1, '{'long ' * 40}')")
    debezium_connector.wait_until_acknowledged(postgres_connection)
    with visited(browser, running, viewport={"width": 400, "height": 800}) as visit:
        for place in places(debezium_connector):
            page = visit.go(place)
            expect(page.locator("#connection")).to_have_text("Live")
            width = page.evaluate("document.scrollingElement.scrollWidth")
            assert width <= 400, f"{place} is {width} wide"


def test_keyboard_reaches_everything_and_the_focus_is_seen(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    visit.tab_to("kafka")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("kafka")


def test_reader_can_hold_the_page_still(visit: Visit, kafka_topic: str, addresses: Addresses) -> None:
    page = visit.go(link("/topic", name=kafka_topic))
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    rows = page.locator("#messages tbody tr[id]")
    producer.produce(kafka_topic, "one")
    producer.flush(10)
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Hold still").click()
    expect(page.locator("#connection")).to_have_text("Held")
    producer.produce(kafka_topic, "two")
    producer.flush(10)
    with pytest.raises(AssertionError):
        expect(rows).to_have_count(2, timeout=2000)
    page.get_by_role("button", name="Hold still").click()
    expect(rows).to_have_count(2)


def test_several_tabs_follow(visit: Visit, kafka_topic: str, addresses: Addresses) -> None:
    tabs = [visit.page, *(visit.page.context.new_page() for _ in range(3))]
    for tab in tabs:
        tab.goto(visit.running.origin + link("/topic", name=kafka_topic))
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    producer.produce(kafka_topic, "to all")
    producer.flush(10)
    for tab in tabs:
        expect(tab.locator("#messages")).to_contain_text("to all")


# -- without a stack ----------------------------------------------------------------------------------


def test_page_comes_alive_with_the_stack_and_says_when_it_is_gone(
    browser: Browser, stacks: Path, child_environment: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    settings = load_settings({"data_folder": stacks})
    with served(child_environment(stacks), tmp_path) as running, visited(browser, running) as visit:
        page = visit.page
        expect(page.get_by_role("heading", level=1)).to_have_text("No stack runs")
        expect(view(page)).to_contain_text("lakebed up")
        visit.stays()
        stack = open_stack(settings, NAME_OF_UP, client="tests")
        try:
            stack.start(["postgres"], settings)
            expect(page.locator("#service-postgres .state")).to_have_text("HEALTHY")
            page.get_by_role("link", name="Topics").click()
            expect(view(page)).to_contain_text("asks kafka, which is not up")
        finally:
            visit.go("/services")
            visit.stays()
            stack.close()
            end_stack(settings, NAME_OF_UP, "tests")
        expect(page.get_by_role("heading", level=1)).to_have_text("No stack runs")
        assert visit.has_stayed()
        # Ctrl-C ends it at once, although a browser still follows.
        code, error = running.interrupt()
        assert (code, "Traceback" in error) == (0, False), error
        expect(page.locator("#connection")).to_contain_text("Connection lost")
        visit.complaints.clear()


def test_port_that_is_taken_is_refused(
    running: RunningPage, child_environment: Callable[[Path], dict[str, str]], stacks: Path
) -> None:
    port = running.origin.rpartition(":")[2]
    finished = subprocess.run(
        [sys.executable, "-m", "lakebed", "ui", "--no-browser", "--port", port],
        env=child_environment(stacks),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 3
    assert f"listen on port {port}" in finished.stderr
