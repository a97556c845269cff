"""Every screen, filled in with hostile data: nothing of it may become an element or an attribute."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from lakebed.errors import LakebedError, StackFailed
from lakebed.ui import connectors, messages, services, shown_messages, subjects, tables, topics
from lakebed.ui.delta_tables import DeltaDetail
from lakebed.ui.differences import line_differences
from lakebed.ui.iceberg_tables import IcebergDetail
from lakebed.ui.pages import page
from lakebed.ui.rendering import render
from lakebed.ui.screens import SCREENS, TableScreen, stamp, trouble, view

HOSTILE = (
    """<script>alert(1)</script><img src=x onerror=alert(2)>"'`--><a href="javascript:alert(3)">{{ 7*7 }}"""
)

_SERVICE = services.Service(
    HOSTILE, HOSTILE, HOSTILE, "", None, HOSTILE, 1, 2, 3.0, HOSTILE, (services.Move("", HOSTILE, HOSTILE),)
)
_CONNECTOR = connectors.Connector(
    HOSTILE,
    "FAILED",
    HOSTILE,
    HOSTILE,
    (connectors.Task(0, HOSTILE, HOSTILE, HOSTILE),),
    connectors.Slot(HOSTILE, True, 1),
)
_TOPIC = topics.Topic(HOSTILE, (topics.Partition(0, 0, 2), topics.Partition(1, 0, 0)))
_MESSAGE = shown_messages.ShownMessage(
    0, 1, "", HOSTILE, HOSTILE, HOSTILE, ((HOSTILE, HOSTILE, HOSTILE),), HOSTILE, HOSTILE, 1.5, HOSTILE
)
_VERSION = subjects.Version(2, 1, HOSTILE, HOSTILE)
_DIFFERENCE = subjects.Difference(1, 2, (HOSTILE,), line_differences(HOSTILE, f"{HOSTILE}\nx"))
_COLUMNS = (tables.Column(HOSTILE, HOSTILE, True),)
_COMMITS = (tables.Commit(1, "", HOSTILE, HOSTILE),)
_ROWS = tables.ShownRows((HOSTILE,), ((HOSTILE,),), True)
_CHANGES = tables.Changes(0, 1, (HOSTILE,), (tables.Change(HOSTILE, 1, "", (HOSTILE,)),), False)
_ERROR = LakebedError(HOSTILE, HOSTILE, HOSTILE)
_SHOWN: dict[str, Any] = {
    "/services": services.ServiceList((_SERVICE,), HOSTILE, 1, (HOSTILE,), (HOSTILE,)),
    "/service": services.ServiceDetail(_SERVICE, (HOSTILE,), HOSTILE),
    "/connectors": (_CONNECTOR,),
    "/connector": connectors.ConnectorDetail(_CONNECTOR, HOSTILE, (HOSTILE,), ((HOSTILE, HOSTILE),)),
    "/topics": (_TOPIC, topics.Topic(f"_{HOSTILE}", ())),
    "/topic": messages.Page(_TOPIC, _TOPIC.partitions[0], (_MESSAGE,), 0, 5),
    "/subjects": (subjects.Subject(HOSTILE, None),),
    "/subject": subjects.SubjectDetail(HOSTILE, HOSTILE, (1, 2), _VERSION, _DIFFERENCE),
    "/tables": tables.TableList((HOSTILE,), (HOSTILE,), (_ERROR,)),
    "/delta": TableScreen(
        DeltaDetail(HOSTILE, 1, _COLUMNS, (HOSTILE,), (HOSTILE,), True, _COMMITS, _ROWS), _CHANGES, _ERROR
    ),
    "/iceberg": TableScreen(
        IcebergDetail(HOSTILE, HOSTILE, 1, _COLUMNS, (HOSTILE,), (HOSTILE,), (HOSTILE,), _COMMITS, _ROWS),
        _CHANGES,
        _ERROR,
    ),
}


class Reader(HTMLParser):
    """Notes every element, attribute and text, as a browser would read them."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: str(screen.path))
def test_hostile_data_is_shown_as_text(screen: Any) -> None:
    query = dict.fromkeys(("name", "path", "key", "from", "to", "before"), HOSTILE)
    content = render(screen.template, it=_SHOWN[screen.path], query=query, form_token="token")
    reader = read(page(screen, query, content))
    scripts = [attributes for tag, attributes in reader.elements if tag == "script"]
    assert scripts == [{"type": "module", "src": "/static/live.js"}]
    for tag, attributes in reader.elements:
        assert tag not in ("img", "iframe", "object", "style", "base")
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert not (name in ("href", "src", "action") and not (value or "").startswith(("/", "#")))
    assert any(HOSTILE[:20] in text for text in reader.texts)
    # No template within the data is filled in.
    assert "49" not in "".join(reader.texts)


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: str(screen.path))
def test_every_screen_has_what_assistive_technology_needs(screen: Any) -> None:
    content = render(screen.template, it=_SHOWN[screen.path], query={}, form_token="token")
    elements = read(page(screen, {}, content)).elements
    tags = [tag for tag, _ in elements]
    assert tags.count("h1") == 1
    assert tags.count("main") == 1
    assert tags.count("table") == tags.count("caption")
    assert [attributes for tag, attributes in elements if tag == "html"] == [{"lang": "en"}]
    assert sum(attributes.get("aria-current") == "page" for _, attributes in elements) == 1
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: str(screen.path))
def test_no_stack_is_said_with_what_to_do(screen: Any) -> None:
    content = view(screen, lambda: None, {}, "token")
    assert "No stack runs" in content
    assert "lakebed up" in content
    assert stamp(screen, lambda: None, {}) is None


def test_stack_that_dies_meanwhile_is_said() -> None:
    def looking() -> None:
        raise StackFailed("talk to the supervisor", "it has closed the connection", "start the stack again")

    content = view(SCREENS[0], looking, {}, "token")
    assert "it has closed the connection" in content
    assert stamp(SCREENS[5], looking, {}) is None


def test_secrets_in_errors_are_masked() -> None:
    content = trouble(LakebedError("reach postgres://user:hunter2@host/db", "password=hunter2", "ask"))
    assert "hunter2" not in content


def test_secrets_of_a_connector_are_masked() -> None:
    settings = {"database.password": "hunter2", "url": "http://user:hunter2@host", "slot.name": "orders"}
    assert "hunter2" not in str(connectors.shown_settings(settings))
    assert ("slot.name", "orders") in connectors.shown_settings(settings)
