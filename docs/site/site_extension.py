"""What this site needs beside Sphinx: its navigation, its fixtures, which names have to lead somewhere."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from typing import Any

from docutils import nodes, utils
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from navigation import HOME, toctrees
from pydantic import BaseModel
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole
from sphinx.environment import BuildEnvironment

import lakebed.pytest_plugin as plugin
from lakebed.pytest_plugin.needs import SERVICES_OF_FIXTURES


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("fixtures", Fixtures)
    app.add_role("code_or_name", code_or_name)
    app.connect("source-read", append_navigation)
    app.connect("missing-reference", resolve, priority=900)
    app.connect("autodoc-process-signature", fields_as_signature)
    app.connect("autodoc-skip-member", is_left_out)
    # Before and after napoleon.
    app.connect("autodoc-process-docstring", keep_as_written, priority=400)
    app.connect("autodoc-process-docstring", restore_as_written, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def append_navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give the home page the navigation; in the file it would stand as code on a code host."""
    if docname == HOME:
        source[0] += toctrees()


# -- names -------------------------------------------------------------------------------------------
def code_or_name(
    role: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = ()
) -> tuple[list[nodes.Node], list[Any]]:
    """`single backticks` of a docstring: what looks like a name may be a link, all else stays as it is."""
    if re.fullmatch(r"\w+(\.\w+)*(\(\))?", text):
        return PyXRefRole()("py:obj", rawtext, text, lineno, inliner, options or {}, content)
    code = utils.unescape(text, restore_backslashes=True)
    return [nodes.literal(rawtext, code, classes=["code"])], []


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Find a name that is written without its module; let names of other packages be plain text.

    What is left (a name of `lakebed` that the reference does not have) is a warning, and so an error.
    """
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"]).removesuffix("()")
    found = _named(env, target)
    if len(found) == 1:
        (name,) = found
        exact = pending_xref("", refdomain="py", reftype="obj", reftarget=name, refspecific=False)
        domain = env.domains.python_domain
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, exact, content)
    return content if node["reftype"] == "obj" or not target.startswith("lakebed.") else None


def _named(env: BuildEnvironment, target: str) -> list[str]:
    """Return what in the reference has this name, whatever its module; aliases count once."""
    if not re.fullmatch(r"\w+(\.\w+)?", target):
        return []
    return [
        name
        for name, entry in env.domains.python_domain.objects.items()
        if name.endswith(f".{target}")
        and not entry.aliased
        and entry.objtype in ("class", "exception", "function", "data", "method", "property")
        and (entry.objtype not in ("method", "property") or "." in target)
    ]


# -- models, enumerations, attributes -------------------------------------------------------------------
def fields_as_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Show a model's fields as they are written; pydantic's own signature tells of its inner life."""
    if what != "class" or not isinstance(obj, type) or not issubclass(obj, (BaseModel, Enum)):
        return None
    if issubclass(obj, Enum):
        return "", None
    written = {key: text for base in obj.__mro__[::-1] for key, text in inspect.get_annotations(base).items()}
    shown = []
    for key, field in obj.model_fields.items():
        default = "..." if field.default_factory is not None else repr(field.default)
        shown.append(f"{key}: {written[key]}" + ("" if field.is_required() else f" = {default}"))
    return f"({', '.join(['*', *shown])})" if shown else "()", returned


def is_left_out(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what pydantic wants defined on a model; show every value of an enumeration."""
    if name in ("model_config", "model_post_init", "settings_customise_sources"):
        return True
    return False if what == "class" and isinstance(obj, Enum) and name.isupper() else None


_as_written: dict[str, list[str]] = {}


def keep_as_written(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Remember what napoleon would split at its first colon, as a type and a text."""
    if what in ("attribute", "data", "property"):
        is_of_its_class = isinstance(obj, Enum) and inspect.getdoc(type(obj)) == "\n".join(lines).strip()
        _as_written[name] = [] if is_of_its_class else list(lines)


def restore_as_written(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if name in _as_written:
        lines[:] = _as_written.pop(name)


# -- fixtures ------------------------------------------------------------------------------------------
class Fixtures(Directive):
    """`fixtures:: session`: the fixtures of that scope, with what they give, what they start, and why."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        lines = [".. py:module:: lakebed.pytest_plugin", "   :no-index:", ""]
        for name in sorted(plugin.__all__):
            definition = getattr(plugin, name)
            marker = getattr(definition, "_fixture_function_marker", None)
            if marker is not None and marker.scope == self.arguments[0]:
                lines += _described(name, definition.__wrapped__)
        section = nodes.section()
        section.document = self.state.document
        self.state.nested_parse(StringList(lines, source=plugin.__file__), 0, section)
        return section.children


def _described(name: str, function: Any) -> list[str]:
    given = str(inspect.signature(function).return_annotation)
    yielded = re.fullmatch(r"Iterator\[(.*)\]", given)
    services = SERVICES_OF_FIXTURES.get(name, ())
    starts = f"Starts {', '.join(services)}, and what they need." if services else ""
    described = inspect.cleandoc(function.__doc__ or "").splitlines()
    body = [f":type: {yielded[1] if yielded else given}", "", *described, "", starts, ""]
    return [f".. py:data:: {name}", *(f"   {line}" for line in body)]
