"""What others wrote cannot be obeyed by a terminal."""

from __future__ import annotations

import pytest

from lakebed.cli.visible import visible, visible_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcødé 漢字 🦆", "plain ünïcødé 漢字 🦆"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;a title\x07", "\\x1b]0;a title\\x07"),
        # The same in one letter, of the set C1.
        ("\x9b31m \x9d0;title\x9c", "\\x9b31m \\x9d0;title\\x9c"),
        ("over\rwritten", "over\\rwritten"),
        ("back\bspace \x7f\x00", "back\\x08space \\x7f\\x00"),
        ("reads\u202edrawkcab", "reads\\u202edrawkcab"),
        ("half \ud800", "half \\ud800"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_what_a_terminal_obeys_is_an_escape(text: str, shown: str) -> None:
    assert visible(text) == visible_line(text) == shown


def test_lines_and_tabs_stay_in_a_text_and_not_in_a_line() -> None:
    assert visible("a\tb\nc") == "a\tb\nc"
    assert visible_line("a\tb\nc") == "a\\tb\\nc"


def test_every_letter_that_stays_can_be_printed_or_ends_a_line() -> None:
    obeyed = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
    assert [letter for letter in obeyed if visible(letter) == letter] == ["\t", "\n"]
