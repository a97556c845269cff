"""`python -m lakebed`: the command, where its script is not on the path."""

from __future__ import annotations

from lakebed.cli import main

main()
