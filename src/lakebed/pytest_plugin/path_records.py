"""What a report is told of a test's changes: found out when it is over, before its fixtures clean up."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lakebed.pytest_plugin.findings import Look, Section, look_around
from lakebed.report.records import Acknowledgement, ChangeRecord, TableCommit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakebed.clients.connector import Connector
    from lakebed.pytest_plugin.observing import Observations
    from lakebed.stack.addresses import Addresses

# What a page can show, and a person read.
MOST_CHANGES = 25
# For everything together. Beside three other tests on two cores, 3 s were not enough for reading a table's
# versions.
_SECONDS = 15.0
# A report must not make a test run wait for a Kafka that is dead, which its client does to the end.
_TOPIC_SECONDS = 3.0


def find_paths(observed: Observations, connectors: Sequence[Connector], addresses: Addresses) -> None:
    """Add to what was seen of a test how far its changes have come; what cannot be told becomes a note."""
    seen: dict[str, tuple[list[ChangeRecord], int]] = {}
    commits: list[TableCommit] = []
    slots: dict[str, str] = {}

    def look_at_topics(connector: Connector) -> list[Section]:
        from lakebed.report.changes import newest_of

        found = newest_of(connector, addresses, most=MOST_CHANGES, seconds=_TOPIC_SECONDS)
        seen[connector.name] = ([one.record for one in found.changes], found.left_out)
        return []

    def look_at_slot(connector: Connector) -> list[Section]:
        from lakebed.clients.diagnosis import slot_state
        from lakebed.services import postgres

        with postgres.connect(addresses.postgres, connector.config.database_dbname) as database:
            slots[connector.name] = slot_state(database, connector.config.slot_name)
        return []

    def look_at_tables(tables: list[str]) -> list[Section]:
        from lakebed.report.tables import table_commits

        found, problems = table_commits(addresses, tables)
        commits.extend(found)
        return [("", problem) for problem in problems]

    looks: list[tuple[str, Look]] = []
    for connector in connectors:
        looks.append((f"changes of connector {connector.name}", partial(look_at_topics, connector)))
        looks.append((f"slot of connector {connector.name}", partial(look_at_slot, connector)))
    tables = list(dict.fromkeys(table for of_topic in observed.tables.values() for table in of_topic))
    if tables:
        looks.append(("versions of tables", partial(look_at_tables, tables)))
    problems = look_around(looks, _SECONDS)
    observed.notes += [f"{title}: not observed, {text}" if title else text for title, text in problems]
    from lakebed.report.tables import with_noticed

    changes = sorted(
        (change for found, _ in seen.values() for change in found), key=lambda one: one.produced or 0.0
    )
    left_out = sum(count for _, count in seen.values()) + max(len(changes) - MOST_CHANGES, 0)
    observed.of_report = {
        "changes": tuple(
            replace(one, read=observed.read.get((one.topic, one.partition, one.offset)))
            for one in changes[-MOST_CHANGES:]
        ),
        "changes_left_out": left_out,
        "commits": tuple(with_noticed(commits, observed.commits)),
        "acknowledgements": tuple(
            Acknowledgement(connector.config.topic_prefix, position, at)
            for connector in connectors
            for at, position in connector.client.acknowledged(connector.name)
        ),
        "slots": slots,
    }
