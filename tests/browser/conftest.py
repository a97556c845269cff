"""What the browser's tests share with the integration tests."""

from __future__ import annotations

from tests.integration.conftest import addresses

__all__ = ["addresses"]
