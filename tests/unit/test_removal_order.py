"""What tests made is removed before that which it uses."""

from __future__ import annotations

from itertools import chain

from lakebed.services import KNOWN_SERVICES, SERVICE_NAMES
from lakebed.stack.plan import removal_order


def test_connectors_and_tables_go_first_and_side_by_side() -> None:
    first, then = removal_order(SERVICE_NAMES)
    assert set(first) == {"connect", "iceberg-rest"}
    assert set(then) == {"postgres", "kafka", "schema-registry", "s3"}


def test_nothing_waits_for_a_service_that_is_not_there() -> None:
    assert [set(group) for group in removal_order({"postgres", "s3"})] == [{"postgres", "s3"}]
    assert list(removal_order(())) == []


def test_each_service_has_its_turn_once_and_before_those_it_uses() -> None:
    names = [service.name for service in KNOWN_SERVICES]
    groups = list(removal_order(names))
    assert sorted(chain.from_iterable(groups)) == sorted(names)
    turns = {name: number for number, group in enumerate(groups) for name in group}
    for service in KNOWN_SERVICES:
        assert all(turns[service.name] < turns[used] for used in service.resources_use), service.name
