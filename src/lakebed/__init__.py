"""lakebed: a real change-data-capture lakehouse for a test suite, with no Docker daemon needed."""

from __future__ import annotations

__version__ = "0.1.0"
