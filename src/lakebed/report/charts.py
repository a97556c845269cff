"""The charts of the report, as specifications for Vega-Lite. Pure: data in, data out.

Every chart of a run has the seconds since its start on its horizontal axis, and the parameters `from_second`
and `to_second` for what is shown of it: the page moves them all together.

Source: Vega-Lite documentation, "View Specification", "Scale" (`domainMin` as an expression), "Mark".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lakebed.report.paths import Path
from lakebed.report.records import MemorySample, PhaseRecord, RunRecord, ServiceRecord, TestRecord

Spec = dict[str, Any]
Datum = dict[str, Any]

MOST_SAMPLES = 300
MOST_LATENCIES = 2000
LEAST_MEGABYTES = 10
# The axes of all charts end at the same place, so that one time is above the other.
_LABEL_WIDTH = 150
# Seen in daylight and in the dark, and told apart by most people with a weakness for red or green.
STATE_COLOURS = {
    "STARTING": "#d99a00",
    "HEALTHY": "#5aa9e6",
    "RUNNING": "#2f7ed8",
    "STOPPING": "#a58bc9",
    "STOPPED": "#c8402f",
    "ATTACHED": "#7f8c8d",
}
PART_COLOURS = {
    "set-up": "#d99a00",
    "test": "#2f7ed8",
    "clean-up": "#a58bc9",
    "failed": "#c8402f",
    "skipped": "#7f8c8d",
    "fixture of lakebed": "#1b9e77",
    "other fixture": "#9bbfb2",
}
STAGE_COLOURS = {
    "captured by Debezium": "#d99a00",
    "in Kafka": "#2f7ed8",
    "in Delta": "#1b9e77",
    "in Iceberg": "#a58bc9",
}
_PARTS = {"setup": "set-up", "call": "test", "teardown": "clean-up"}


def services_chart(run: RunRecord, services: Sequence[ServiceRecord]) -> Spec | None:
    """Return the states of the services over time; None where none has any."""
    bars = [bar for service in services for bar in _state_bars(run, service)]
    lanes = [service.name for service in services if service.states]
    return _timeline(run, "What state each service was in", lanes, bars, STATE_COLOURS, "state")


def _state_bars(run: RunRecord, service: ServiceRecord) -> Iterable[Datum]:
    moves = list(service.states)
    for move, following in zip(moves, [*moves[1:], None], strict=True):
        end = run.ended if following is None else following.at
        # A kept stack has states from long before.
        if end > run.started:
            yield _bar(run, service.name, max(move.at, run.started), end, move.state, move.reason, "")


def ran_chart(run: RunRecord) -> Spec | None:
    """Return tests and fixtures over time, a pair of lanes for each worker; None for no test."""
    workers = sorted({test.worker for test in run.tests})
    lanes: list[str] = []
    bars: list[Datum] = []
    for worker in workers:
        tests_lane, fixtures_lane = (f"{worker} {what}".strip() for what in ("tests", "fixtures"))
        lanes += [tests_lane, fixtures_lane]
        for number, test in enumerate(run.tests, 1):
            if test.worker == worker:
                bars += [_phase_bar(run, tests_lane, test, phase, number) for phase in test.phases]
                bars += _fixture_bars(run, fixtures_lane, test, number)
    return _timeline(run, "What ran when", lanes, bars, PART_COLOURS, "part")


def _phase_bar(run: RunRecord, lane: str, test: TestRecord, phase: PhaseRecord, number: int) -> Datum:
    part = phase.outcome if phase.outcome in ("failed", "skipped") else _PARTS[phase.name]
    told = f"{_PARTS[phase.name]} of {test.node}"
    return _bar(run, lane, phase.started, phase.started + phase.seconds, part, told, f"#test-{number}")


def _fixture_bars(run: RunRecord, lane: str, test: TestRecord, number: int) -> Iterable[Datum]:
    for fixture in test.fixtures:
        part = "fixture of lakebed" if fixture.is_own else "other fixture"
        told = f"{fixture.name} ({fixture.scope}) for {test.node}"
        end = fixture.started + fixture.seconds
        yield _bar(run, lane, fixture.started, end, part, told, f"#test-{number}")


def _bar(
    run: RunRecord, lane: str, start: float, end: float, colour: str, told: str, link: str
) -> dict[str, Any]:
    bar = {
        "lane": lane,
        "start": round(start - run.started, 4),
        "end": round(end - run.started, 4),
        "colour": colour,
        "told": told[:300],
        "took": f"{end - start:.3f} s",
    }
    return {**bar, "link": link} if link else bar


def _timeline(
    run: RunRecord, description: str, lanes: list[str], bars: list[Datum], colours: dict[str, str], what: str
) -> Spec | None:
    if not bars:
        return None
    used = [name for name in colours if any(bar["colour"] == name for bar in bars)]
    used += sorted({bar["colour"] for bar in bars} - set(used))
    encoding: Spec = {
        "y": {
            "field": "lane",
            "type": "nominal",
            # An order given here would become a part of an expression; a domain stays data.
            "sort": None,
            "title": None,
            "axis": {**_axis(), "labelLimit": _LABEL_WIDTH},
            "scale": {"domain": lanes},
        },
        "x": _seconds("start"),
        "x2": {"field": "end"},
        "color": _colour("colour", used, colours, what),
        # With a line around it even the shortest can be seen, and met with a pointer.
        "stroke": _colour("colour", used, colours, what),
        "tooltip": [
            {"field": "told", "type": "nominal", "title": what},
            {"field": "colour", "type": "nominal", "title": "is"},
            {"field": "took", "type": "nominal", "title": "took"},
        ],
    }
    if any("link" in bar for bar in bars):
        encoding["href"] = {"field": "link", "type": "nominal"}
    return {
        **_base(run, description),
        "data": {"values": bars},
        "height": {"step": 22},
        "mark": {"type": "bar", "clip": True, "strokeWidth": 1},
        "encoding": encoding,
    }


def memory_chart(run: RunRecord, samples: Sequence[MemorySample]) -> Spec | None:
    """Return the memory of all processes over time, one upon the other; None without samples."""
    every = max(1, -(-len(samples) // MOST_SAMPLES))
    most: dict[str, int] = {}
    for sample in samples:
        for name, megabytes in sample.megabytes.items():
            most[name] = max(most.get(name, 0), megabytes)
    # A shell that starts a server is gone at once, and would be seen only in the legend.
    names = [name for name, megabytes in most.items() if megabytes >= LEAST_MEGABYTES]
    values = [
        {"second": round(sample.at - run.started, 2), "process": name, "mb": sample.megabytes.get(name, 0)}
        for sample in samples[::every]
        for name in names
    ]
    if not values:
        return None
    return {
        **_base(run, "Resident memory of each process, with its children"),
        "data": {"values": values},
        "height": 160,
        "mark": {"type": "area", "clip": True, "line": False, "interpolate": "linear", "opacity": 0.85},
        "encoding": {
            "x": _seconds("second"),
            "y": {
                "field": "mb",
                "type": "quantitative",
                "stack": "zero",
                "title": None,
                "axis": {**_axis(), "tickCount": 4},
            },
            "color": {
                "field": "process",
                "type": "nominal",
                "sort": None,
                "scale": {"domain": names, "scheme": "tableau10"},
                "legend": {"orient": "bottom", "title": None, "columns": 4, "labelLimit": 260},
            },
            "tooltip": [
                {"field": "process", "type": "nominal"},
                {"field": "mb", "type": "quantitative", "title": "MB"},
                {"field": "second", "type": "quantitative", "title": "second"},
            ],
        },
    }


def latency_chart(run: RunRecord, paths: Iterable[tuple[int, Path]]) -> Spec | None:
    """Return how long changes took from their commit to each stage.

    Args:
        run: the run.
        paths: each with the number of its test.
    """
    values: list[Datum] = []
    for number, path in paths:
        committed = path.change.committed
        if committed is None:
            continue
        stages = [("captured by Debezium", path.change.captured), ("in Kafka", path.change.produced)]
        stages += [
            ("in Delta" if arrival.table.startswith("delta") else "in Iceberg", arrival.at)
            for arrival in path.arrivals
        ]
        for stage, at in stages:
            if at is not None:
                values.append(
                    {
                        "second": round(committed - run.started, 3),
                        # A logarithm has no zero, and Kafka counts in milliseconds.
                        "ms": round(max(1000 * (at - committed), 0.5), 2),
                        "stage": stage,
                        "change": f"{path.change.topic} {path.change.partition}:{path.change.offset}",
                        "link": f"#test-{number}",
                    }
                )
    if not values:
        return None
    used = [stage for stage in STAGE_COLOURS if any(value["stage"] == stage for value in values)]
    return {
        **_base(run, "From the commit of a change to each stage of its path"),
        "data": {"values": values[:: -(-len(values) // MOST_LATENCIES)]},
        "height": 160,
        "mark": {"type": "point", "clip": True, "filled": True, "size": 40, "opacity": 0.8},
        "encoding": {
            "x": _seconds("second"),
            "y": {
                "field": "ms",
                "type": "quantitative",
                "scale": {"type": "log"},
                "title": None,
                "axis": {**_axis(), "values": [1, 10, 100, 1000, 10_000, 100_000]},
            },
            "color": _colour("stage", used, STAGE_COLOURS, "stage"),
            "shape": {"field": "stage", "type": "nominal", "sort": used, "legend": None},
            "href": {"field": "link", "type": "nominal"},
            "tooltip": [
                {"field": "change", "type": "nominal"},
                {"field": "stage", "type": "nominal"},
                {"field": "ms", "type": "quantitative", "title": "ms"},
            ],
        },
    }


def _base(run: RunRecord, description: str) -> Spec:
    return {
        "description": description,
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": [
            {"name": "from_second", "value": 0},
            {"name": "to_second", "value": round(max(run.ended - run.started, 0.001), 3)},
        ],
    }


def _seconds(field: str) -> Spec:
    return {
        "field": field,
        "type": "quantitative",
        "title": "seconds",
        "scale": {
            "domainMin": {"expr": "from_second"},
            "domainMax": {"expr": "to_second"},
            "nice": False,
            "zero": False,
        },
    }


def _axis() -> Spec:
    return {"minExtent": _LABEL_WIDTH, "maxExtent": _LABEL_WIDTH, "ticks": False}


def _colour(field: str, used: list[str], colours: dict[str, str], what: str) -> Spec:
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": used, "range": [colours.get(name, "#7f8c8d") for name in used]},
        "legend": {"orient": "bottom", "title": None, "columns": 7, "labelLimit": 160, "aria": False},
    }
