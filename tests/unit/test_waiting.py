"""The one waiting function."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lakebed.errors import DeadlinePassed, SettingsInvalid
from lakebed.waiting import patience, wait_until


def test_the_first_true_answer_is_returned() -> None:
    answers: Iterator[object] = iter([None, "", 0, [], "here", "too late"])
    assert wait_until(lambda: next(answers), "an answer", deadline_seconds=5) == "here"
    assert next(answers) == "too late"


def test_a_fact_that_is_true_at_once_is_asked_for_once_even_without_time() -> None:
    asked: list[int] = []

    def fact() -> bool:
        asked.append(1)
        return True

    assert wait_until(fact, "it", deadline_seconds=0)
    assert len(asked) == 1


def test_the_deadline_tells_what_was_waited_for_and_last_seen() -> None:
    started = time.monotonic()
    with pytest.raises(DeadlinePassed) as caught:
        wait_until(
            lambda: [], "slot x to be gone", deadline_seconds=0.05, explain=lambda: "the log", remedy="look"
        )
    assert time.monotonic() - started >= 0.05
    assert caught.value.attempted == "waited 0.05 s for slot x to be gone"
    assert caught.value.seen == "last answer: []\nthe log"
    assert caught.value.remedy == "look"


def test_patience_multiplies_a_deadline_and_the_error_says_how_long_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAKEBED_PATIENCE", "4")
    started = time.monotonic()
    with pytest.raises(DeadlinePassed, match=r"waited 0\.08 s for it"):
        wait_until(lambda: False, "it", deadline_seconds=0.02)
    assert time.monotonic() - started >= 0.08


@pytest.mark.parametrize("given", ["", "much", "0", "-1", "0.09", "101", "inf", "nan"])
def test_an_impossible_patience_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("LAKEBED_PATIENCE", given)
    with pytest.raises(SettingsInvalid, match=r"allowed: a number from 0\.1 to 100") as caught:
        patience()
    assert repr(given) in caught.value.seen


def test_an_ignored_exception_means_not_yet_and_is_shown_at_the_end() -> None:
    def fact() -> bool:
        raise ConnectionError("refused")

    with pytest.raises(DeadlinePassed, match="ConnectionError: refused"):
        wait_until(fact, "an answer", deadline_seconds=0.02, ignore=(ConnectionError,))


def test_any_other_exception_is_raised_at_once() -> None:
    asked: list[int] = []

    def fact() -> bool:
        asked.append(1)
        raise LookupError("wrong question")

    with pytest.raises(LookupError, match="wrong question"):
        wait_until(fact, "an answer", deadline_seconds=60, ignore=(ConnectionError,))
    assert len(asked) == 1


@pytest.mark.alone
def test_the_pause_grows_only_to_its_longest() -> None:
    times: list[float] = []

    def fact() -> bool:
        times.append(time.monotonic())
        return len(times) == 8

    wait_until(fact, "eight questions", deadline_seconds=60, longest_pause_seconds=0.004)
    # 2 + 4 * 6 ms; without the limit it would be 2 + 4 + 8 + ... + 128 = 254 ms.
    assert times[-1] - times[0] < 0.2
