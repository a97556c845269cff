"""The examples of docs/change_events.md, which are tests, as tests."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "change_events.md"

for _example in re.findall(r"```python\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL):
    exec(compile(_example, str(_PAGE), "exec"), globals())
