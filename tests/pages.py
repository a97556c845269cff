"""Pages as a browser would take them: parsed by the rules of the HTML standard."""

from __future__ import annotations

from selectolax.lexbor import LexborHTMLParser, LexborNode


def one(page: LexborHTMLParser | LexborNode, selector: str) -> LexborNode:
    """Return the first element that a CSS selector names; there must be one."""
    found = page.css_first(selector)
    assert found is not None, f"no {selector}"
    return found


def attribute(page: LexborHTMLParser | LexborNode, selector: str, name: str) -> str:
    """Return an attribute of the first element that a CSS selector names; it must have it."""
    value = one(page, selector).attributes[name]
    assert value is not None, f"{selector} has no {name}"
    return value
