"""Tables that say what was measured, and on what."""

from __future__ import annotations

import os
import platform

import psutil
from rich.table import Table

from lakebed import __version__
from lakebed.provision.java import java_version


def machine() -> str:
    """Return what the figures were measured on, in one line."""
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory().total / 2**30
    software = f"Python {platform.python_version()}, Java {java_version()}, lakebed {__version__}"
    return f"{cores} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, {software}"


def new_table(title: str, measured: str, *columns: str) -> Table:
    """Return an empty table: its first column is text, the others are figures.

    Args:
        title: what it is about.
        measured: what was measured, and how often.
        columns: their heads.
    """
    caption = f"{measured}\n{machine()}"
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=not number)
    return table


def ratio(value: float, base: float) -> str:
    """Return how many times `base` goes into `value`."""
    return f"{value / base:.2f}" if base else "-"
