"""The path of a change, and records as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError
from tests.unit.run_records import BEGAN, a_run, a_test

from lakebed.report.charts import MOST_SAMPLES, memory_chart, ran_chart, services_chart
from lakebed.report.merging import leftovers_of, memory_of, services_of, slowest_fixtures, waited_of
from lakebed.report.paths import as_number, paths_of, shown_seconds
from lakebed.report.records import (
    Acknowledgement,
    FixtureRecord,
    MemorySample,
    RunRecord,
    SessionRecord,
    StateChange,
    TestRecord,
    from_json,
    to_json,
)


def test_a_run_goes_through_json_unchanged() -> None:
    run = a_run(tests=3, evil="<&\u2028")
    assert from_json(RunRecord, json.loads(json.dumps(to_json(run)))) == run


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(ValidationError, match="node"):
        from_json(TestRecord, {"worker": "gw0"})


def test_a_change_is_in_the_first_version_that_holds_its_offset() -> None:
    first, second = paths_of(a_test(0, changes=2))
    assert [(one.version, one.at) for one in first.arrivals] == [("1", BEGAN + 2.6), (None, None)]
    assert [one.version for one in second.arrivals] == ["2", None]
    assert first.seconds == pytest.approx(0.2, abs=1e-5)


def test_a_barrier_counts_for_positions_before_it_and_for_its_own_connector() -> None:
    test = a_test(0, changes=1)
    before = Acknowledgement("orders_0", "0/16AFFFF", BEGAN)
    of_another = Acknowledgement("orders", "0/FFFFFFF", BEGAN)
    later = Acknowledgement("orders_0", "1/0", BEGAN + 9)
    barriers = (before, of_another, later, *test.acknowledgements)
    (path,) = paths_of(replace(test, acknowledgements=barriers))
    assert path.acknowledged == BEGAN + 2.5
    (path,) = paths_of(replace(test, acknowledgements=(before, of_another)))
    assert path.acknowledged is None


def test_a_row_of_a_snapshot_has_no_latency() -> None:
    test = a_test(0, changes=1)
    changes = (replace(test.changes[0], operation="READ", committed=None),)
    (path,) = paths_of(replace(test, changes=changes))
    assert path.seconds is None


def test_positions_compare_as_numbers() -> None:
    assert as_number("0/FFFFFFFF") < as_number("1/0") == 1 << 32


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "not observed"),
        (-0.0004, "< 1 ms"),
        (0.0, "< 1 ms"),
        (-0.012, "-12 ms (the clocks differ)"),
        (0.0131, "13 ms"),
        (2.5, "2.50 s"),
    ],
)
def test_latencies_are_shown_as_exactly_as_they_are_known(seconds: float | None, shown: str) -> None:
    assert shown_seconds(seconds) == shown


def test_workers_of_one_run_make_one_view() -> None:
    run = a_run(tests=1)
    first = run.sessions[0]
    moves = (*first.services[0].states, StateChange(BEGAN + 3, "RUNNING", "client"))
    longer = replace(first.services[0], state="RUNNING", states=moves)
    second = SessionRecord("gw1", (longer,), {"postgres": 2.0, "kafka": 0.5}, first.leftovers, first.memory)
    both = replace(run, sessions=(first, second))
    assert [one.state for one in services_of(both)][:2] == ["RUNNING", "HEALTHY"]
    assert waited_of(both) == {"postgres": 2.0, "kafka": 0.5}
    assert leftovers_of(both) == list(first.leftovers)
    assert memory_of(both) == list(first.memory)


def test_the_slowest_of_each_fixture_is_told_and_only_lakebeds() -> None:
    of_user = FixtureRecord("shop", "function", BEGAN, 9.0, is_own=False)
    slow = FixtureRecord("kafka_topic", "function", BEGAN, 0.4)
    quick, slower = a_test(0), a_test(1)
    tests = [
        replace(quick, fixtures=(*quick.fixtures, of_user)),
        replace(slower, fixtures=(slow, replace(slow, seconds=0.1), *slower.fixtures)),
    ]
    told = [(one.name, one.seconds, node) for one, node in slowest_fixtures(tests, 5)]
    assert told == [("kafka_topic", 0.4, slower.node), ("debezium_connector", 0.25, quick.node)]


def test_states_from_before_the_run_are_shown_from_its_begin() -> None:
    run = replace(a_run(tests=1), started=BEGAN + 0.5)
    spec = services_chart(run, run.sessions[0].services)
    assert spec is not None
    bars = [bar for bar in spec["data"]["values"] if bar["lane"] == "postgres"]
    assert [(bar["colour"], bar["start"], bar["end"]) for bar in bars] == [
        ("STARTING", 0.0, 0.5),
        ("HEALTHY", 0.5, 4.5),
    ]


def test_each_worker_has_a_lane_for_tests_and_one_for_fixtures() -> None:
    run = a_run(tests=2)
    run = replace(run, tests=(run.tests[0], replace(run.tests[1], worker="gw1")))
    spec = ran_chart(run)
    assert spec is not None
    lanes = ["gw0 tests", "gw0 fixtures", "gw1 tests", "gw1 fixtures"]
    assert spec["encoding"]["y"]["scale"]["domain"] == lanes
    assert [bar["link"] for bar in spec["data"]["values"] if bar["lane"] == "gw1 tests"] == ["#test-2"] * 3


def test_a_long_run_has_no_more_samples_of_memory_than_can_be_seen() -> None:
    samples = [MemorySample(BEGAN + number, {"kafka": number}) for number in range(10_000)]
    spec = memory_chart(a_run(), samples)
    assert spec is not None
    assert MOST_SAMPLES / 2 < len(spec["data"]["values"]) <= MOST_SAMPLES
