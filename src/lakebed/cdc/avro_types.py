"""What a column of a Debezium change event is in Spark, by its Avro schema. Pure.

Source: Debezium documentation, "PostgreSQL connector", section "Data type mappings": the schema of a field
carries the name of its meaning in `connect.name`.
"""

from __future__ import annotations

from typing import Any

# Spark SQL that turns the transported value into the column's own type. `infinity` is no time of Spark's:
# NULL, where Spark 4 would fail.
_CONVERSIONS = {
    "io.debezium.time.Date": "date_from_unix_date({0})",
    "io.debezium.time.Timestamp": "timestamp_millis({0})",
    "io.debezium.time.MicroTimestamp": "timestamp_micros({0})",
    "io.debezium.time.NanoTimestamp": "timestamp_micros({0} div 1000)",
    "io.debezium.time.ZonedTimestamp": "try_to_timestamp({0})",
}


def field_conversion(schema: Any, value: str) -> str:
    """Return the Spark SQL expression for a field.

    Args:
        schema: the field's Avro schema; a union with null is looked through.
        value: the SQL expression of the transported value.
    """
    if isinstance(schema, list):
        branches = [branch for branch in schema if branch != "null"]
        return field_conversion(branches[0], value) if len(branches) == 1 else value
    if isinstance(schema, dict):
        return _CONVERSIONS.get(str(schema.get("connect.name")), "{0}").format(value)
    return value


def row_fields(envelope: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of the row in a change event's schema: name to Avro schema, in table order.

    Raises:
        ValueError: the schema is no Debezium envelope.
    """
    for field in envelope.get("fields", []):
        if field["name"] == "before":
            for branch in field["type"]:
                if isinstance(branch, dict) and branch.get("type") == "record":
                    return {column["name"]: column["type"] for column in branch["fields"]}
    raise ValueError(
        f"the Avro schema {envelope.get('name')!r} has no field `before` with a row: no change event"
    )


def key_fields(key: dict[str, Any]) -> list[str]:
    """Return the names of the primary key's columns in a key's schema."""
    return [field["name"] for field in key["fields"]]
