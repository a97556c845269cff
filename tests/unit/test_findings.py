"""What is found out when a test has failed: bounded, and never an error of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from tests.unit.run_records import a_run

from lakebed.config.settings import Settings
from lakebed.errors import StackFailed
from lakebed.pytest_plugin.findings import logs_of, look_around, masked
from lakebed.pytest_plugin.session import SessionStack
from lakebed.pytest_plugin.summary import summary_lines
from lakebed.report.records import ServiceRecord, SessionRecord
from lakebed.report.secrecy import masking
from lakebed.stack.memory import MemorySamples, resident_megabytes
from lakebed.stack.written_log import log_sizes, written_since
from lakebed.waiting import PATIENCE, wait_until


@pytest.mark.alone
def test_who_does_not_answer_is_waited_for_no_longer_than_all_may_take() -> None:
    forever = threading.Event()

    def hangs() -> list[tuple[str, str]]:
        forever.wait(60)
        return [("late", "")]

    started = time.monotonic()
    try:
        sections = look_around(
            [("first", hangs), ("quick", lambda: [("found", "it")]), ("last", hangs)], seconds=0.3
        )
    finally:
        forever.set()
    assert time.monotonic() - started < 5
    assert sections == [
        ("first", "no answer within 0.3 s"),
        ("found", "it"),
        ("last", "no answer within 0.3 s"),
    ]


def test_patience_gives_the_looks_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def comes_late() -> list[tuple[str, str]]:
        answers.wait(60)
        return [("found", "it")]

    monkeypatch.setenv(PATIENCE, "0.1")
    assert look_around([("late", comes_late)], seconds=0.1) == [("late", "no answer within 0.01 s")]
    monkeypatch.setenv(PATIENCE, "100")
    threading.Timer(0.3, answers.set).start()
    assert look_around([("late", comes_late)], seconds=0.1) == [("found", "it")]


def test_an_error_of_a_look_is_said_in_its_place() -> None:
    def fails() -> list[tuple[str, str]]:
        raise StackFailed("ask", "it is gone", "wait")

    def breaks() -> list[tuple[str, str]]:
        raise KeyError("x")

    assert look_around([("one", fails), ("two", breaks)]) == [
        ("one", "no answer: StackFailed: it is gone"),
        ("two", "no answer: KeyError: 'x'"),
    ]


def test_sections_are_masked_and_not_endless() -> None:
    ((title, text),) = masked([("log of x", "a" * 50_000 + " s3cr3t")], masking(["s3cr3t"]))
    assert title == "log of x"
    assert len(text) < 21_000
    assert "characters left out" in text
    assert text.endswith("a ***")


def test_only_what_was_written_since_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "connect.log"
    log.write_text("ERROR of the test before\n")
    sizes = log_sizes(tmp_path)
    assert sizes == {"connect": 25}
    assert written_since(log, sizes["connect"], 20) == []
    with log.open("a") as stream:
        stream.write("one\ntwo\n")
    assert written_since(log, sizes["connect"], 20) == ["one", "two"]
    assert written_since(log, sizes["connect"], 1) == ["two"]
    assert written_since(tmp_path / "none.log", 0, 20) == []


@pytest.mark.parametrize(
    "trouble",
    [
        "2026-11-25 12:00:00.000 UTC [1] ERROR:  relation does not exist",
        "2026-11-25 12:00:00,000 WARN Could not (org.apache.kafka)",
        "Caused by: java.lang.IllegalStateException: no",
        "io.debezium.DebeziumException: no",
        "E1125 12:00:00.000000 s3.go:1] no",
    ],
)
def test_trouble_is_shown_however_much_comes_after_it(tmp_path: Path, trouble: str) -> None:
    log = tmp_path / "x.log"
    quiet = [f"INFO {number}" for number in range(1000)]
    log.write_text("\n".join([*quiet[:500], trouble, *quiet[500:]]))
    assert written_since(log, 0, 20) == [trouble, "...", *quiet[-5:]]


def test_of_much_trouble_the_last_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("\n".join(f"ERROR {number}" for number in range(1000)))
    assert written_since(log, 0, 20) == [f"ERROR {number}" for number in range(985, 1000)]


def test_a_worker_of_the_store_that_looks_for_its_admin_server_is_not_shown(tmp_path: Path) -> None:
    log = tmp_path / "s3.log"
    alone = [
        "I1130 05:25:07.773601 client.go:264 [session df58] Connected to admin server at 127.0.0.1:60475",
        "I1130 05:25:07.774092 client.go:282 [session df58] Worker stream created",
        "W1130 05:25:07.774204 client.go:379 [session df58] Reconnection attempt 5 failed: failed to",
        "W1130 05:25:10.487114 worker.go:180 Plugin worker w-vm-a55c stream ended: open worker stream",
        "W1130 07:44:08.351437 worker.go:754 Failed to send heartbeat: not connected to admin server",
    ]
    told = "W1130 05:25:11.000000 s3api_object_handlers.go:20 bucket is gone"
    log.write_text("\n".join([*alone, told, *alone]))
    assert written_since(log, 0, 20) == [told]


def test_logs_of_attached_services_are_said_to_be_elsewhere() -> None:
    settings = Settings.model_validate({"attach": {"postgres": "postgresql://cdc:hidden@db.example/shop"}})
    stack = SessionStack(settings, "run", "client")
    ((title, text),) = logs_of(stack, ["postgres", "kafka"], None, 20)
    assert title == "lakebed: logs of attached services"
    assert text.startswith("not here: somebody else runs postgres at db.example")
    assert "hidden" not in text


def test_a_green_run_is_told_in_one_line() -> None:
    run = a_run(tests=1)
    quiet = SessionRecord("", waited={"postgres": 1.25, "kafka": 0.5})
    lines = summary_lines(type(run)(run.title, run.lakebed, 0, 1, run.tests, (quiet,)), more=False)
    assert lines == ["waited for postgres 1.2 s, kafka 0.5 s"]


def test_more_is_told_with_services_and_fixtures() -> None:
    run = a_run(tests=1)
    attached = ServiceRecord("s3", "ATTACHED", "https://store.example")
    session = SessionRecord("", (run.sessions[0].services[0], attached), {}, ("topic x: why",))
    lines = summary_lines(type(run)(run.title, run.lakebed, 0, 1, run.tests, (session,)), more=True)
    assert lines == [
        "services postgres HEALTHY, started in 1.0 s, s3 attached at https://store.example",
        "slowest fixtures debezium_connector 0.25 s (test_price[0])",
        "left over: topic x: why",
    ]


def test_memory_is_told_of_processes_and_their_children() -> None:
    program = "held = bytearray(8 << 20); print(flush=True); input()"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        own = psutil.Process(child.pid)
        told = f"{own.name()} of client"
        found = resident_megabytes({"server": child.pid, "gone": 2**22 - 1}, {"client": os.getpid()})
        assert found["server"] >= 8
        assert found["client"] > 0
        assert "gone" not in found
        # A server that is this client's child counts once: as the server.
        assert resident_megabytes({}, {"client": os.getpid()})[told] >= found.get(told, 0) + 8
        child.communicate(b"\n")


def test_memory_is_sampled_from_when_it_is_asked_for() -> None:
    samples = MemorySamples(lambda: {"this": os.getpid()}, dict)
    try:
        samples.since(0.0)
        wait_until(lambda: samples.since(0.0), "a sample", deadline_seconds=20)
        at, found = samples.since(0.0)[0]
        assert found["this"] > 0
        assert samples.since(at + 3600) == []
    finally:
        samples.end()
