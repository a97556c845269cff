"""The types of fields: from schemas of Connect and Avro, and from PostgreSQL's names."""

from __future__ import annotations

import json
from typing import Any

import fastavro
import pytest

from lakebed.cdc.event_catalog import HandlingModes, column_type
from lakebed.cdc.event_messages import ContentReader
from lakebed.cdc.event_schemas import avro_type, connect_type, without_logical_types
from lakebed.cdc.event_values import FieldType

DECIMAL = "org.apache.kafka.connect.data.Decimal"
VARIABLE = "io.debezium.data.VariableScaleDecimal"

PRICE_AVRO = {
    "type": "bytes",
    "scale": 2,
    "precision": 10,
    "connect.parameters": {"scale": "2", "connect.decimal.precision": "10"},
    "connect.name": DECIMAL,
    "logicalType": "decimal",
}
FREE_AVRO = {
    "type": "record",
    "name": "VariableScaleDecimal",
    "namespace": "io.debezium.data",
    "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
    "connect.name": VARIABLE,
}
ENVELOPE_AVRO: dict[str, Any] = {
    "type": "record",
    "name": "Envelope",
    "namespace": "shop.public.orders",
    "fields": [
        {
            "name": "before",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Value",
                    "fields": [
                        {"name": "id", "type": {"type": "int", "connect.type": "int16"}},
                        {"name": "price", "type": ["null", PRICE_AVRO]},
                        {"name": "free", "type": ["null", FREE_AVRO]},
                        {
                            "name": "frees",
                            "type": [
                                "null",
                                {"type": "array", "items": ["null", f"io.debezium.data.{FREE_AVRO['name']}"]},
                            ],
                        },
                        {"name": "pairs", "type": {"type": "map", "values": ["null", "string"]}},
                        {
                            "name": "bits",
                            "type": {
                                "type": "bytes",
                                "connect.name": "io.debezium.data.Bits",
                                "connect.parameters": {"length": "2147483647"},
                            },
                        },
                    ],
                },
            ],
        },
        {"name": "after", "type": ["null", "Value"]},
    ],
}


def test_avro_names_are_found_again_where_they_stand_twice() -> None:
    envelope = avro_type(ENVELOPE_AVRO)
    columns = envelope.fields["after"].fields
    assert columns == envelope.fields["before"].fields
    assert {name: kind.name for name, kind in columns.items()} == {
        "id": "int32",
        "price": DECIMAL,
        "free": VARIABLE,
        "frees": "array",
        "pairs": "map",
        "bits": "io.debezium.data.Bits",
    }
    assert columns["price"].scale == 2
    assert columns["frees"].items == columns["free"]
    assert columns["pairs"].items == FieldType("string")
    assert columns["bits"].length is None


def test_without_logical_types_avro_reads_what_was_sent() -> None:
    schema = {"type": "int", "logicalType": "date"}
    assert without_logical_types([{"type": "array", "items": schema}]) == [
        {"type": "array", "items": {"type": "int"}}
    ]
    parsed: Any = fastavro.parse_schema(without_logical_types(ENVELOPE_AVRO))
    assert parsed["name"] == "shop.public.orders.Envelope"


def test_connect_schemas() -> None:
    decimal = {"type": "bytes", "name": DECIMAL, "parameters": {"scale": "2"}, "field": "price"}
    row = connect_type(
        {
            "type": "struct",
            "fields": [
                decimal,
                {
                    "type": "array",
                    "items": {"type": "int64", "name": "io.debezium.time.MicroTime"},
                    "field": "times",
                },
                {"type": "map", "keys": {"type": "string"}, "values": {"type": "string"}, "field": "pairs"},
            ],
            "name": "shop.public.orders.Value",
        }
    )
    assert row.fields["price"] == FieldType(DECIMAL, scale=2)
    assert row.fields["times"].items == FieldType("io.debezium.time.MicroTime")
    assert row.fields["pairs"].items == FieldType("string")


def modifier(precision: int, scale: int) -> int:
    """Return a modifier as PostgreSQL's `make_numeric_typmod` makes it."""
    return ((precision << 16) | (scale & 0x7FF)) + 4


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        (("numeric", modifier(10, 2)), {}, FieldType(DECIMAL, scale=2)),
        (("numeric", -1), {}, FieldType(VARIABLE)),
        (("numeric", -1), {"decimal_handling_mode": "string"}, FieldType("string")),
        (("money", -1), {"money_fraction_digits": 3}, FieldType(DECIMAL, scale=3)),
        (("money", -1), {"decimal_handling_mode": "double"}, FieldType("double")),
        (("time", 3), {}, FieldType("io.debezium.time.Time")),
        (("time", -1), {}, FieldType("io.debezium.time.MicroTime")),
        (
            ("time", 0),
            {"time_precision_mode": "adaptive_time_microseconds"},
            FieldType("io.debezium.time.MicroTime"),
        ),
        (("timestamp", 3), {}, FieldType("io.debezium.time.Timestamp")),
        (("timestamp", -1), {}, FieldType("io.debezium.time.MicroTimestamp")),
        (
            ("timestamptz", 3),
            {"time_precision_mode": "connect"},
            FieldType("io.debezium.time.ZonedTimestamp"),
        ),
        (("bit", 1), {}, FieldType("boolean")),
        (("varbit", 1), {}, FieldType("io.debezium.data.Bits", length=1)),
        (("varbit", -1), {}, FieldType("io.debezium.data.Bits")),
        (("hstore", -1), {}, FieldType("io.debezium.data.Json")),
        (("inet", -1), {}, FieldType("string")),
    ],
)
def test_types_of_postgresql(kind: tuple[str, int], changes: dict[str, Any], expected: FieldType) -> None:
    assert column_type(*kind, HandlingModes(**changes)) == expected


def test_modes_of_a_connector() -> None:
    modes = HandlingModes.of({"decimal.handling.mode": "string", "money.fraction.digits": "3", "name": "x"})
    assert modes == HandlingModes(decimal_handling_mode="string", money_fraction_digits=3)


@pytest.mark.parametrize("schema", [{}, [], "text", {"type": "struct"}, {"type": "array"}])
def test_a_broken_schema_is_refused(schema: Any) -> None:
    content = json.dumps({"schema": schema, "payload": {}}).encode()
    with pytest.raises(ValueError, match=r"JSON \(with a broken schema"):
        ContentReader(None).read(content)


def test_a_schema_that_was_seen_is_the_same_type_again() -> None:
    schema = {"type": "struct", "fields": [{"type": "int32", "field": "payload"}]}
    reader = ContentReader(None)
    messages = [
        json.dumps({"schema": schema, "payload": {"payload": n}}, separators=(",", ":")) for n in (1, 2)
    ]
    spaced = json.dumps({"payload": {"payload": 3}, "schema": schema})
    broken = messages[0][:-2]
    first, second, third, fourth = (reader.read(text.encode()) for text in [*messages, spaced, spaced])
    assert [one.payload["payload"] for one in (first, second, third, fourth)] == [1, 2, 3, 3]
    assert first.type is second.type
    assert third.type is fourth.type
    assert first.type == third.type == FieldType("struct", fields={"payload": FieldType("int32")})
    with pytest.raises(ValueError, match="nor JSON"):
        reader.read(broken.encode())
