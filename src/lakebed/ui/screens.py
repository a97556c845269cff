"""The screens: where each is, what it needs, and what it shows for a query."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lakebed.config.secrets import mask_text
from lakebed.errors import LakebedError
from lakebed.ui import connectors, messages, services, subjects, tables, topics
from lakebed.ui.looking import Look, Looking
from lakebed.ui.rendering import render

Query = Mapping[str, str]


@dataclass(frozen=True)
class Screen:
    """A screen.

    Attributes:
        path: of its address.
        section: which entry of the navigation it belongs to.
        template: of its content.
        build: makes what the template shows, its name there is `it`; may take long.
        needs: services that must be up.
        interval_seconds: how often to look for something new.
        stamp: tells cheaply whether there can be something new; without it everything is built again.
    """

    path: str
    section: str
    template: str
    build: Callable[[Look, Query], Any]
    needs: tuple[str, ...] = ()
    interval_seconds: float = 1.0
    stamp: Callable[[Look, Query], object] | None = None


@dataclass(frozen=True)
class Section:
    """An entry of the navigation."""

    name: str
    path: str


SECTIONS = (
    Section("Services", "/services"),
    Section("Connectors", "/connectors"),
    Section("Topics", "/topics"),
    Section("Subjects", "/subjects"),
    Section("Tables", "/tables"),
)


_WHOLE = re.compile("-?[0-9]{1,20}")


def _whole(query: Query, name: str) -> int | None:
    """Return a whole number of the query; None where it is left out or empty.

    Raises:
        LakebedError: it is no whole number.
    """
    text = query.get(name, "").strip()
    if not text:
        return None
    if not _WHOLE.fullmatch(text):
        raise LakebedError(f"read {name} of the address", f"it is {text[:40]!r}", "write a whole number")
    return int(text)


def _topic(look: Look, query: Query) -> messages.Page:
    topic = topics.topic(look, query.get("name", ""))
    chosen = _whole(query, "partition")
    first = topic.partitions[0].number if topic.partitions else 0
    return messages.page(look, topic, first if chosen is None else chosen, _whole(query, "before"))


def _subject(look: Look, query: Query) -> subjects.SubjectDetail:
    return subjects.subject(look, query.get("name", ""), _whole(query, "version"), _whole(query, "with"))


@dataclass(frozen=True)
class TableScreen:
    """A table, and the changes that were asked for; `trouble` says why there are none."""

    table: Any
    changes: tables.Changes | None
    trouble: LakebedError | None


def _with_changes(table: Any, read: Callable[[], tables.Changes] | None) -> TableScreen:
    if read is None:
        return TableScreen(table, None, None)
    try:
        return TableScreen(table, read(), None)
    except LakebedError as error:
        return TableScreen(table, None, masked(error))


def _delta(look: Look, query: Query) -> TableScreen:
    from lakebed.ui.delta_tables import delta_changes, delta_table

    path = query.get("path", "")
    ends = _whole(query, "from"), _whole(query, "to")
    asked = partial(delta_changes, look, path, *ends) if "from" in query else None
    return _with_changes(delta_table(look, path), asked)


def _delta_version(look: Look, query: Query) -> object:
    from lakebed.ui.delta_tables import newest_version

    return newest_version(look, query.get("path", ""))


def _iceberg(look: Look, query: Query) -> TableScreen:
    from lakebed.ui.iceberg_tables import iceberg_table, iceberg_table_changes

    name = query.get("name", "")
    ends = _whole(query, "from"), _whole(query, "to")
    table = iceberg_table(look, name)
    given = tuple(part.strip() for part in query.get("key", "").split(",") if part.strip())
    asked = partial(iceberg_table_changes, look, name, given or table.key, *ends)
    return _with_changes(table, asked if "from" in query else None)


def _iceberg_snapshot(look: Look, query: Query) -> object:
    from lakebed.ui.iceberg_tables import current_snapshot

    return current_snapshot(look, query.get("name", ""))


SCREENS = (
    Screen("/services", "Services", "services.html", lambda look, query: services.services(look)),
    Screen(
        "/service",
        "Services",
        "service.html",
        lambda look, query: services.service(look, query.get("name", "")),
    ),
    Screen(
        "/connectors",
        "Connectors",
        "connectors.html",
        lambda look, query: connectors.connectors(look),
        needs=("connect",),
    ),
    Screen(
        "/connector",
        "Connectors",
        "connector.html",
        lambda look, query: connectors.connector(look, query.get("name", "")),
        needs=("connect",),
    ),
    Screen(
        "/topics",
        "Topics",
        "topics.html",
        lambda look, query: topics.topics(look),
        needs=("kafka",),
    ),
    Screen(
        "/topic",
        "Topics",
        "topic.html",
        _topic,
        needs=("kafka",),
        interval_seconds=0.5,
        stamp=lambda look, query: topics.topic(look, query.get("name", "")),
    ),
    Screen(
        "/subjects",
        "Subjects",
        "subjects.html",
        lambda look, query: subjects.subjects(look),
        needs=("schema-registry",),
        interval_seconds=5.0,
    ),
    Screen(
        "/subject", "Subjects", "subject.html", _subject, needs=("schema-registry",), interval_seconds=2.0
    ),
    Screen("/tables", "Tables", "tables.html", lambda look, query: tables.tables(look), interval_seconds=3.0),
    Screen(
        "/delta",
        "Tables",
        "delta.html",
        _delta,
        needs=("s3",),
        interval_seconds=1.0,
        stamp=_delta_version,
    ),
    Screen(
        "/iceberg",
        "Tables",
        "iceberg.html",
        _iceberg,
        needs=("iceberg-rest", "s3"),
        interval_seconds=1.0,
        stamp=_iceberg_snapshot,
    ),
)


def view(screen: Screen, looking: Looking, query: Query, form_token: str) -> str:
    """Return the content of a screen as HTML, as of now. What goes wrong is said in its place."""
    try:
        found = looking()
        if found is None:
            return render("no_stack.html")
        missing = [service for service in screen.needs if not found.has(service)]
        if missing:
            return render("not_started.html", missing=missing)
        shown = screen.build(found, query)
        return render(screen.template, it=shown, query=query, form_token=form_token)
    except LakebedError as error:
        return trouble(error)
    except Exception as error:  # a server that is just being stopped answers with anything
        seen = f"{type(error).__name__}: {error}"
        return trouble(LakebedError(f"show {screen.path}", seen, "see whether the service runs"))


def stamp(screen: Screen, looking: Looking, query: Query) -> object:
    """Return what stays the same as long as there can be nothing new; None when that is unknown."""
    if screen.stamp is None:
        return None
    try:
        found = looking()
        if found is None or not all(map(found.has, screen.needs)):
            return None
        return found.status["pid"], screen.stamp(found, query)
    except Exception:  # whatever it is, `view` says it
        return None


def trouble(error: LakebedError) -> str:
    """Return what went wrong, in its three parts, secrets masked."""
    return render("trouble.html", error=masked(error))


def masked(error: LakebedError) -> LakebedError:
    """Return an error without the secrets in its text."""
    return LakebedError(*map(mask_text, (error.attempted, error.seen, error.remedy)))
