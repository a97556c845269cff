"""Lines of logs: when they were written, several logs as one, and files that change."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from lakebed.cli.followed_log import FollowedLog
from lakebed.cli.log_lines import LogLine, log_lines, merged, time_of_line

PARIS = timezone(timedelta(hours=1))
NOW = datetime(2026, 2, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-31 12:00:00.123 UTC [42] LOG:  ready", "2026-01-31T12:00:00.123000+00:00"),
        ("[2026-01-31 12:00:00,123] INFO started (kafka)", "2026-01-31T11:00:00.123000+00:00"),
        ("2026-01-31 12:00:00,123 INFO  [io.quarkus] (main)", "2026-01-31T11:00:00.123000+00:00"),
        ("2026-01-31T12:00:00.123456789Z hello", "2026-01-31T12:00:00.123456+00:00"),
        ("2026-01-31T12:00:00+02:00 hello", "2026-01-31T10:00:00+00:00"),
        ("2026-01-31 12:00:00 -0130 hello", "2026-01-31T13:30:00+00:00"),
        ("I0131 12:00:00.123456 volume.go:1] hello", "2026-01-31T11:00:00.123456+00:00"),
        # It names no year, and December is not yet to come.
        ("W1231 12:00:00.000000 volume.go:1] hello", "2025-12-31T11:00:00+00:00"),
    ],
)
def test_a_line_says_when_it_was_written(text: str, at: str) -> None:
    found = time_of_line(text, PARIS, NOW)
    assert found is not None
    assert found.isoformat() == at


@pytest.mark.parametrize(
    "text",
    ["", "\tat org.apache.Kafka.main", "2026-02-30 12:00:00 no such day", "I0230 12:00:00.000000 x", "12"],
)
def test_other_lines_do_not(text: str) -> None:
    assert time_of_line(text, PARIS, NOW) is None


def line(service: str, second: int, text: str = "") -> LogLine:
    return LogLine(service, text or str(second), NOW + timedelta(seconds=second))


def test_logs_are_merged_by_time_and_a_trace_stays_with_its_line() -> None:
    trace = LogLine("kafka", "  at Kafka.main")
    kafka = [LogLine("kafka", "no time yet"), line("kafka", 1), trace, line("kafka", 5)]
    postgres = [line("postgres", 1), line("postgres", 3)]
    found = [(one.service, one.text) for one in merged({"kafka": kafka, "postgres": postgres})]
    assert found == [
        ("kafka", "no time yet"),
        ("kafka", "1"),
        ("kafka", "  at Kafka.main"),
        ("postgres", "1"),
        ("postgres", "3"),
        ("kafka", "5"),
    ]


def test_a_clock_that_was_set_back_does_not_tear_a_log_apart() -> None:
    kafka = [line("kafka", 9), line("kafka", 2)]
    postgres = [line("postgres", 5), line("postgres", 10)]
    assert [one.text for one in merged({"kafka": kafka, "postgres": postgres})] == ["5", "9", "2", "10"]


def test_lines_get_their_service_and_time() -> None:
    (found,) = log_lines("postgres", ["2026-01-31 12:00:00 UTC hello"])
    assert (found.service, found.at) == ("postgres", datetime(2026, 1, 31, 12, tzinfo=timezone.utc))


def test_a_log_is_followed_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "kafka.log"
    log = FollowedLog(path)
    assert log.new_lines() == []
    path.write_bytes(b"one\ntw")
    assert log.new_lines() == ["one"]
    assert log.new_lines() == []
    with path.open("ab") as file:
        file.write(b"o\r\nthree\nunfinished \xff")
    assert log.new_lines() == ["two", "three"]
    assert (log.rest(), log.rest()) == (["unfinished \ufffd"], [])


def test_only_the_last_lines_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "kafka.log"
    path.write_text("one\ntwo\nthree\n")
    log = FollowedLog(path, 2)
    assert log.new_lines() == ["two", "three"]
    with path.open("a") as file:
        file.write("four\nfive\nsix\n")
    assert log.new_lines() == ["four", "five", "six"]


def test_a_log_that_was_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "kafka.log"
    path.write_text("one\n")
    log = FollowedLog(path)
    assert log.new_lines() == ["one"]
    with path.open("a") as file:
        file.write("last words\nunfinished")
    path.rename(tmp_path / "kafka.log.1")
    path.write_text("new\n")
    assert log.new_lines() == ["last words", "unfinished", "new"]


def test_a_log_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "kafka.log"
    path.write_text("one\n")
    log = FollowedLog(path)
    assert log.new_lines() == ["one"]
    path.unlink()
    assert log.new_lines() == []
    path.write_text("two\n")
    assert log.new_lines() == ["two"]


def test_a_log_that_was_cut_short_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "kafka.log"
    path.write_text("a long first line\n")
    log = FollowedLog(path)
    assert log.new_lines() == ["a long first line"]
    path.write_text("short\n")
    assert log.new_lines() == ["short"]
