"""What holds for tests of pure logic."""

from __future__ import annotations

import pytest

from lakebed.waiting import PATIENCE


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines are what a test says, whatever the machine that runs it needs for servers."""
    monkeypatch.delenv(PATIENCE, raising=False)
