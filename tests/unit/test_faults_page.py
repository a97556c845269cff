"""docs/faults.md has what was seen of every pair of the table of faults, and of no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.faults.fault_table import FAULTS, SERVICES, Fault, pairs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text()


def section(fault: Fault) -> str:
    """Return what the page says of a fault."""
    title = f"## {fault.title[0].upper()}{fault.title[1:]}\n"
    assert PAGE.count(title) == 1
    return PAGE.partition(title)[2].partition("\n## ")[0]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_pair_has_its_row_and_nothing_is_lost(fault: Fault) -> None:
    rows = re.findall(r"^\| (\S+) \|.*\| (\d+) of (\d+) \|$", section(fault), re.MULTILINE)
    assert [service for service, _, _ in rows] == [pair.service for pair in pairs() if pair.fault is fault]
    for service, lost, committed in rows:
        assert (service, int(lost)) == (service, 0)
        assert int(committed) >= 4


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_service_has_a_row_a_test_elsewhere_or_a_reason(fault: Fault) -> None:
    said = section(fault)
    for service in SERVICES:
        named = f"| {service} |" in said or f"- {service}: " in said
        assert named, (fault.name, service)
    for service, reason in fault.not_for.items():
        assert f"- {service}: does not apply: {reason}." in said


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_what_is_done_elsewhere_is_done_there(fault: Fault) -> None:
    for service, test in fault.elsewhere.items():
        path, _, name = test.partition("::")
        assert f"\ndef {name}(" in (ROOT / path).read_text(), (service, test)
        assert f"- {service}: `{test}`" in section(fault)
