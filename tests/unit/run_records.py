"""A run as it could have been, for the tests of the report."""

from __future__ import annotations

from lakebed.report.records import (
    Acknowledgement,
    ChangeRecord,
    ConnectorRecord,
    FixtureRecord,
    MemorySample,
    PhaseRecord,
    RunRecord,
    ServiceRecord,
    SessionRecord,
    StateChange,
    TableCommit,
    TestRecord,
)

BEGAN = 1_790_000_000.0
NAMES = ("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest")


def a_run(*, tests: int = 2, changes: int = 2, samples: int = 3, evil: str = "") -> RunRecord:
    """Return a run of so many tests, each with a connector; `evil` stands in every text."""
    moves = (
        StateChange(BEGAN, "STARTING", f"start asked for{evil}"),
        StateChange(BEGAN + 1, "HEALTHY", "it answers"),
    )
    services = tuple(
        ServiceRecord(name, "HEALTHY", f"127.0.0.1:{9000 + place}", 1.0, moves)
        for place, name in enumerate(NAMES)
    )
    memory = tuple(
        MemorySample(BEGAN + number, {f"{name}{evil}": 100 + number for name in NAMES})
        for number in range(samples)
    )
    left = (f"topic orders{evil}: Kafka is gone",)
    session = SessionRecord("gw0", services, {"postgres": 1.5}, left, memory)
    records = tuple(a_test(number, changes, evil) for number in range(tests))
    return RunRecord(f"pytest in shop{evil}", "0.1.0", BEGAN, BEGAN + 4 + tests, records, (session,))


def a_test(number: int, changes: int = 2, evil: str = "") -> TestRecord:
    """Return a test with changes that go from one topic into two tables; every third has failed."""
    began = BEGAN + 2 + number
    prefix = f"orders_{number}"
    topic = f"{prefix}.public.orders{evil}"
    delta, iceberg = f"delta s3a://delta/{number}{evil}", f"iceberg shop.orders_{number}"
    outcome = "failed" if number % 3 == 2 else "passed"
    return TestRecord(
        node=f"test_orders.py::test_price[{number}{evil}]",
        worker="gw0",
        outcome=outcome,
        phases=(
            PhaseRecord("setup", began, 0.3, "passed"),
            PhaseRecord("call", began + 0.3, 0.5, outcome),
            PhaseRecord("teardown", began + 0.8, 0.1, "passed"),
        ),
        uses_lakebed=True,
        waited={"postgres": 0.01},
        fixtures=(FixtureRecord("debezium_connector", "function", began, 0.25),),
        connectors=(ConnectorRecord(prefix, f"slot{evil}", (StateChange(began, "RUNNING", f"x{evil}"),)),),
        changes=tuple(
            ChangeRecord(
                topic,
                0,
                offset,
                "UPDATE",
                f"(id={offset}{evil})",
                f"0/16B{offset:04X}",
                700 + offset,
                began + 0.4,
                began + 0.404,
                began + 0.406,
            )
            for offset in range(changes)
        ),
        changes_left_out=5,
        commits=(
            TableCommit(delta, "1", began + 0.6, topic, {0: 0}),
            TableCommit(delta, "2", began + 0.7, topic, {0: changes}),
        ),
        tables={topic: [delta, iceberg]},
        acknowledgements=(Acknowledgement(prefix, "0/16BFFFF", began + 0.5),),
        notes=(f"versions of {iceberg}: not observed{evil}",),
        sections=((f"lakebed: log of connect{evil}", f"ERROR {evil}"),) if outcome == "failed" else (),
    )
