"""Databases and replication slots of PostgreSQL: removed for certain, whoever still uses them."""

from __future__ import annotations

from lakebed.services.postgres_resources import describe_slot, drop_database, drop_slot

__all__ = ["describe_slot", "drop_database", "drop_slot"]
