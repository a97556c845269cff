"""What a column of a change event is in Spark."""

from __future__ import annotations

from typing import Any

import pytest

from lakebed.cdc.avro_types import field_conversion, key_fields, row_fields

_COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "type": "int"},
    {"name": "day", "type": ["null", {"type": "int", "connect.name": "io.debezium.time.Date"}]},
]
_ENVELOPE: dict[str, Any] = {
    "type": "record",
    "name": "Envelope",
    "fields": [
        {"name": "before", "type": ["null", {"type": "record", "name": "Value", "fields": _COLUMNS}]},
        {"name": "after", "type": ["null", "Value"]},
        {"name": "op", "type": "string"},
    ],
}


@pytest.mark.parametrize(
    ("meaning", "expression"),
    [
        ("io.debezium.time.Date", "date_from_unix_date(v)"),
        ("io.debezium.time.Timestamp", "timestamp_millis(v)"),
        ("io.debezium.time.MicroTimestamp", "timestamp_micros(v)"),
        ("io.debezium.time.NanoTimestamp", "timestamp_micros(v div 1000)"),
        ("io.debezium.time.ZonedTimestamp", "try_to_timestamp(v)"),
        ("io.debezium.data.Json", "v"),
    ],
)
def test_a_value_is_converted_by_its_meaning(meaning: str, expression: str) -> None:
    schema = {"type": "long", "connect.name": meaning}
    assert field_conversion(schema, "v") == expression
    assert field_conversion(["null", schema], "v") == expression


@pytest.mark.parametrize("schema", ["int", {"type": "long"}, ["null", "string"], ["int", "string"], ["null"]])
def test_a_value_without_meaning_stays(schema: object) -> None:
    assert field_conversion(schema, "v") == "v"


def test_the_columns_are_those_of_the_row_in_table_order() -> None:
    assert row_fields(_ENVELOPE) == {"id": "int", "day": _COLUMNS[1]["type"]}
    assert list(row_fields(_ENVELOPE)) == ["id", "day"]


@pytest.mark.parametrize(
    "schema", [{"name": "Other", "fields": []}, {"name": "Other"}, {"name": "Other", "fields": _COLUMNS}]
)
def test_a_schema_that_is_no_envelope_is_refused_by_name(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'Other' has no field `before`"):
        row_fields(schema)


def test_the_key_is_all_columns_of_the_primary_key() -> None:
    assert key_fields({"fields": [{"name": "year"}, {"name": "id"}]}) == ["year", "id"]
