"""Where a report is written, and what is refused before a run."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from lakebed.errors import ReportImpossible
from lakebed.report.output import check_writable, write
from lakebed.report.page import check_extra


def test_a_report_is_written_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("before")
    check_writable(file)
    assert file.read_text() == "before"
    write(file, "<p>ü \ud800</p>")
    assert file.read_text(encoding="utf-8") == "<p>ü \\ud800</p>"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportImpossible, match="it is a folder"):
        check_writable(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportImpossible, match=f"there is no folder {tmp_path / 'none'}"):
        check_writable(tmp_path / "none" / "report.html")


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    # Also for root.
    with pytest.raises(ReportImpossible, match=r"write the report /proc/report\.html"):
        check_writable(Path("/proc/report.html"))


def test_the_folder_may_go_during_the_run(tmp_path: Path) -> None:
    with pytest.raises(ReportImpossible, match="No such file"):
        write(tmp_path / "gone" / "report.html", "page")


def test_a_missing_extra_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_jinja(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "jinja2":
            raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without_jinja)
    with pytest.raises(ReportImpossible, match=r"jinja2 is not installed(.|\n)*lakebed\[report\]"):
        check_extra()
