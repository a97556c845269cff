"""The columns of a Delta change data feed."""

from __future__ import annotations

from lakebed.config.checks import Choice

CDF_SCHEMA: dict[str, str] = {
    "id": "BIGINT",
    "name": "STRING",
    "created_at": "TIMESTAMP",
    "_change_type": "STRING",
    "_commit_version": "BIGINT",
    "_commit_timestamp": "TIMESTAMP",
}
"""Column name to SQL type: the table's own columns, then the three that the feed adds."""


class ChangeType(Choice):
    """What ``_change_type`` says about a row of the feed.

    Source: Delta Lake documentation, "Change data feed".
    """

    INSERT = "insert"
    UPDATE_PREIMAGE = "update_preimage"
    UPDATE_POSTIMAGE = "update_postimage"
    DELETE = "delete"
