"""From the records of a run to one HTML page that needs nothing but itself.

The page's policy (Content Security Policy Level 3, "Hash source") lets only its own three scripts run, by
their sums, and lets nothing be loaded from anywhere: a name or a log line that looks like HTML stays text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lakebed.errors import ReportImpossible
from lakebed.report.charts import latency_chart, memory_chart, ran_chart, services_chart
from lakebed.report.merging import leftovers_of, memory_of, notes_of, services_of
from lakebed.report.paths import Path, paths_of, shown_seconds
from lakebed.report.records import RunRecord, TestRecord

if TYPE_CHECKING:
    from jinja2 import Environment

BAD_OUTCOMES = ("failed", "error")
CHART_TITLES = {
    "services-chart": "Services",
    "ran-chart": "Tests and fixtures",
    "latency-chart": "Latency of changes, in milliseconds since their commit",
    "memory-chart": "Memory, in MB",
}
_CHARTING = files("lakebed.report") / "charting"
_TEMPLATES = files("lakebed.report") / "templates"
# An inline module cannot import; what the interpreter wants of Vega's utilities, Vega's own script has.
_IMPORTED = "import { ascending, isString, DisallowedObjectProperties } from 'vega-util';"
_OF_GLOBAL = "const { ascending, isString, DisallowedObjectProperties } = vega;"


@dataclass(frozen=True)
class _ShownTest:
    record: TestRecord
    paths: list[Path]

    @property
    def is_bad(self) -> bool:
        return self.record.outcome in BAD_OUTCOMES

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.record.phases)


def check_extra() -> None:
    """Refuse to make a report without its template engine.

    Raises:
        ReportImpossible: naming what to install.
    """
    _environment()


def render(run: RunRecord, *, tests_title: str = "Tests", fixtures_title: str = "Fixtures") -> str:
    """Return the page.

    Args:
        run: what happened.
        tests_title: what its tests are called.
        fixtures_title: what their fixtures are called.

    Raises:
        ReportImpossible: the extra is not installed.
    """
    tests = [_ShownTest(test, paths_of(test)) for test in run.tests]
    services, memory = services_of(run), memory_of(run)
    numbered = [(number, path) for number, test in enumerate(tests, 1) for path in test.paths]
    charts = {
        "services-chart": services_chart(run, services),
        "ran-chart": ran_chart(run),
        "latency-chart": latency_chart(run, numbered),
        "memory-chart": memory_chart(run, memory),
    }
    specs = {name: spec for name, spec in charts.items() if spec is not None}
    scripts = _scripts()
    environment = _environment()
    from markupsafe import Markup

    return environment.get_template("report.html.j2").render(
        run=run,
        tests=tests,
        tests_title=tests_title,
        fixtures_title=fixtures_title,
        services=services,
        outcomes=Counter(test.outcome for test in run.tests),
        changes=len(numbered),
        peak=max((sum(sample.megabytes.values()) for sample in memory), default=0),
        leftovers=leftovers_of(run),
        notes=notes_of(run),
        specs=specs,
        chart_titles=CHART_TITLES,
        charting=charting_lock(),
        # Of lakebed itself, or escaped for a script.
        data=Markup(_script_json({"seconds": max(run.ended - run.started, 0.001), "specs": specs})),  # noqa: S704
        css=Markup(_text("report.css")),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        policy=_policy(scripts),
        clock=_clock,
        date=_date,
        seconds=shown_seconds,
    )


def charting_lock() -> list[dict[str, str]]:
    """Return package, version, licence, file and sha256 of each script that is embedded."""
    locked: list[dict[str, str]] = json.loads((_CHARTING / "lock.json").read_text())
    return locked


def _environment() -> Environment:
    try:
        from jinja2 import DictLoader, Environment, StrictUndefined
    except ImportError as error:
        raise ReportImpossible(
            "make a report", f"{error.name} is not installed", "pip install 'lakebed[report]'"
        ) from error
    template = _text("report.html.j2")
    return Environment(
        loader=DictLoader({"report.html.j2": template}), autoescape=True, undefined=StrictUndefined
    )


def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _scripts() -> list[str]:
    """Return the scripts; the last one, a module, runs when the page is there."""
    vega, vega_lite, interpreter = (
        (_CHARTING / locked["file"]).read_text(encoding="utf-8") for locked in charting_lock()
    )
    if _IMPORTED not in interpreter:
        raise ReportImpossible("make a report", "vega-interpreter is another one than lakebed knows")
    module = interpreter.replace(_IMPORTED, _OF_GLOBAL).rsplit("//# sourceMappingURL", 1)[0]
    return [_closed(script) for script in (vega, vega_lite, module + _text("report.js"))]


def _closed(script: str) -> str:
    """Return a script that does not end the element it stands in."""
    if "</script" in script.lower() or "<!--" in script:
        raise ReportImpossible("make a report", "a script holds the end of its own element")
    return script


def _script_json(content: Any) -> str:
    """Return JSON that can stand in an element `script` (HTML standard, "Restrictions for contents")."""
    text = json.dumps(content, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: Iterable[str]) -> str:
    sums = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in sums)
    # Charts set styles on their elements; with nothing to be loaded, styles can tell nobody anything.
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline';"
        " base-uri 'none'; form-action 'none'"
    )


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%H:%M:%S.%f")[:-3]


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
