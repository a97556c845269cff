"""Write docs/faults.md from what the tests of the table of faults have seen.

`make faults` runs the tests with `FAULTS_FOLDER` set, and then this: `faults_page.py FOLDER`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.fault_table import FAULTS, SERVICES, Fault  # noqa: E402

PAGE = ROOT / "docs" / "faults.md"

INTRODUCTION = """# Faults: what happens when a part fails

Faults done for real to each service they apply to, by tests in `tests/faults` and `tests/hosts_apart`. Each
time numbers were committed before, meanwhile and after it, the last one right before it; afterwards all that
was committed had to be there: **nothing committed is lost**.

`make faults` does it on your machine and writes this page; `make test` kills, and `make test-large` does the
rest. Faults of disk, memory and clock need Linux with mount namespaces, and some of them root, a cgroup or a
C compiler: what a machine cannot do is left out, and that is said.

What flows: rows of PostgreSQL through Debezium into a topic of Kafka (postgres, kafka, connect); rows of
new tables, whose schemas are registered meanwhile (schema-registry); rows of a Delta table, written by
delta-rs (s3); rows of an Iceberg table, written by PyIceberg (iceberg-rest).

The columns: what `lakebed status` says, and after how long; the error of whoever commits meanwhile, and
after how long, or how long it took to commit; the error of whoever waits for what was committed (the barrier
with a deadline of 2 s, or a reader of the table), and after how long; how long it takes, from the beginning
of the repair, until all that was committed has arrived. A restart is part of that. A dash: nothing is said,
because nothing is wrong with that.
"""


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    if value < 0.95:
        return "at once" if value < 0.05 else f"{value:.1f} s"
    return f"{value:.0f} s"


def _cell(text: str, seconds: float | None = None) -> str:
    after = _seconds(seconds)
    quoted = text.replace("|", "\\|").replace("`", "'")
    said = f"`{quoted}`" if text else "-"
    return f"{said}, {after}" if after else said


def _row(service: str, seen: dict[str, Any]) -> str:
    cells = [
        service,
        _cell(seen["noticed"], seen["noticed_seconds"]),
        _cell(seen["refused"], seen["refused_seconds"]),
        _cell(seen["told"], seen["told_seconds"]),
        _seconds(seen["arrived_seconds"]),
        f"{seen['lost']} of {seen['committed']}",
    ]
    return f"| {' | '.join(cells)} |"


def _section(fault: Fault, folder: Path) -> list[str]:
    lines = ["", f"## {fault.title[0].upper()}{fault.title[1:]}", "", f"How: {fault.how}.", ""]
    found = {service: folder / f"{fault.name}-{service}.json" for service in SERVICES}
    rows = [_row(service, json.loads(path.read_text())) for service, path in found.items() if path.exists()]
    if rows:
        lines += ["| service | status says | who commits | who waits | all there after | lost |"]
        lines += ["|---|---|---|---|---:|---:|", *rows, ""]
    if fault.elsewhere:
        lines += ["Done by, with what was seen in [hosts_apart](hosts_apart.md#what-was-seen):", ""]
        lines += [f"- {service}: `{test}`" for service, test in fault.elsewhere.items()]
        lines += [""]
    for service, reason in fault.not_for.items():
        lines.append(f"- {service}: does not apply: {reason}.")
    return lines


def main() -> None:
    """Write the page."""
    folder = Path(sys.argv[1])
    lines = [INTRODUCTION.rstrip(), ""]
    lines.append(
        f"Seen on {date.today():%d %B %Y}, once, on {os.cpu_count()} cores ({platform.system()}"
        f" {platform.machine()}) that others used too."
    )
    for fault in FAULTS:
        lines += _section(fault, folder)
    text = "\n".join(lines).rstrip() + "\n"
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
