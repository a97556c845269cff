"""Text that others wrote, made fit for a terminal: nothing in it can move the cursor or set the title. Pure.

What a terminal obeys are control characters (ECMA-48, C0 and C1 sets); marks of writing direction make text
look like another one (Unicode Standard Annex 9).
"""

from __future__ import annotations

import re

_DIRECTIONS = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"
_LINES = "\u2028\u2029"
_OBEYED = rf"\x00-\x08\x0b-\x1f\x7f-\x9f{_DIRECTIONS}{_LINES}\ud800-\udfff"
_IN_TEXT = re.compile(f"[{_OBEYED}]")
_IN_LINE = re.compile(f"[\n\t{_OBEYED}]")


def visible(text: str) -> str:
    r"""Return the text with what a terminal would obey as escapes ("\x1b"); new lines and tabs stay."""
    return _IN_TEXT.sub(_escape, text)


def visible_line(text: str) -> str:
    r"""Return the same, new lines and tabs as escapes too, so that it stays in its line."""
    return _IN_LINE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
