"""The types of an event's fields, from PostgreSQL's catalog: JSON without schemas says nothing of them.

That is what the contract's connector sends. So the types are those that the table has now, in the modes of
the connector. Source: Debezium documentation, "Debezium connector for PostgreSQL", section "Data type
mappings".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebed.cdc.event_values import (
    BASE64_BYTES,
    BASE64_URL_BYTES,
    HEX_BYTES,
    PLACEHOLDER,
    FieldType,
)

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class HandlingModes:
    """How a connector writes values; each field has the name of the setting and Debezium's default."""

    decimal_handling_mode: str = "precise"
    time_precision_mode: str = "adaptive"
    binary_handling_mode: str = "bytes"
    interval_handling_mode: str = "numeric"
    hstore_handling_mode: str = "json"
    money_fraction_digits: int = 2
    unavailable_value_placeholder: str = PLACEHOLDER

    @classmethod
    def of(cls, config: Mapping[str, str]) -> HandlingModes:
        """Return the modes of a connector's configuration, as Connect holds it."""
        given = {name: config.get(name.replace("_", ".")) for name in cls.__dataclass_fields__}
        values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if "money_fraction_digits" in values:
            values["money_fraction_digits"] = int(values["money_fraction_digits"])
        return cls(**values)


# A domain is its base type, with the domain's own length or precision.
_COLUMNS = """
WITH RECURSIVE columns AS (
    SELECT a.attname AS name, a.attnum AS number, a.atttypid AS type, a.atttypmod AS modifier
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT name, number, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE modifier END
    FROM columns JOIN pg_type t ON t.oid = type WHERE t.typtype = 'd'
)
SELECT name, t.typname, t.typtype, modifier, item.typname, item.typtype
FROM columns JOIN pg_type t ON t.oid = type
    LEFT JOIN pg_type item ON item.oid = t.typelem AND t.typcategory = 'A'
WHERE t.typtype <> 'd' ORDER BY number
"""


def table_types(
    postgres: psycopg.Connection[Any], schema: str, table: str, modes: HandlingModes
) -> dict[str, FieldType]:
    """Return the type of each column of a table as it is now; empty if there is no such table."""
    types = {}
    for name, kind, category, modifier, item, item_category in postgres.execute(_COLUMNS, [schema, table]):
        if item is None:
            types[name] = column_type(kind, modifier, modes, is_enum=category == "e")
        else:
            items = column_type(item, modifier, modes, is_enum=item_category == "e")
            types[name] = FieldType("array", items=items)
    return types


def column_type(kind: str, modifier: int, modes: HandlingModes, *, is_enum: bool = False) -> FieldType:
    """Return the type of a column in its change events.

    Args:
        kind: the type's name in `pg_type`: "int4", "timestamptz".
        modifier: `pg_attribute.atttypmod`, -1 if there is none.
        modes: of the connector.
        is_enum: whether the type is an enumeration.
    """
    if is_enum:
        return FieldType("io.debezium.data.Enum")
    if kind == "numeric":
        return _numeric(modifier, modes.decimal_handling_mode)
    if kind == "money":
        precise = FieldType("org.apache.kafka.connect.data.Decimal", scale=modes.money_fraction_digits)
        return {"double": FieldType("double"), "string": FieldType("string")}.get(
            modes.decimal_handling_mode, precise
        )
    if kind in ("bit", "varbit"):
        if (kind, modifier) == ("bit", 1):
            return FieldType("boolean")
        return FieldType("io.debezium.data.Bits", length=modifier if modifier > 0 else None)
    if kind in _BY_MODE:
        return FieldType(_BY_MODE[kind](modes, modifier if modifier >= 0 else _MOST_DIGITS))
    if kind == "hstore" and modes.hstore_handling_mode == "map":
        return FieldType("map", items=FieldType("string"))
    return FieldType(_PLAIN.get(kind, "string"))


def _numeric(modifier: int, mode: str) -> FieldType:
    if mode != "precise":
        return FieldType(mode)
    if modifier < 0:
        return FieldType("io.debezium.data.VariableScaleDecimal")
    # Eleven bits. A negative scale, -2, is 2046 for Debezium, which sends so many zeros.
    return FieldType("org.apache.kafka.connect.data.Decimal", scale=(modifier - 4) & 0x7FF)


_MOST_DIGITS = 6


def _date(modes: HandlingModes, digits: int) -> str:
    by_mode = {"connect": "org.apache.kafka.connect.data.Date", "isostring": "io.debezium.time.IsoDate"}
    return by_mode.get(modes.time_precision_mode, "io.debezium.time.Date")


def _time(modes: HandlingModes, digits: int) -> str:
    mode = modes.time_precision_mode
    if mode == "connect":
        return "org.apache.kafka.connect.data.Time"
    if mode == "adaptive" and digits <= 3:
        return "io.debezium.time.Time"
    by_mode = {"isostring": "io.debezium.time.IsoTime", "nanoseconds": "io.debezium.time.NanoTime"}
    return by_mode.get(mode, "io.debezium.time.MicroTime")


def _timestamp(modes: HandlingModes, digits: int) -> str:
    mode = modes.time_precision_mode
    if mode == "connect":
        return "org.apache.kafka.connect.data.Timestamp"
    if mode.startswith("adaptive") and digits <= 3:
        return "io.debezium.time.Timestamp"
    by_mode = {
        "isostring": "io.debezium.time.IsoTimestamp",
        "nanoseconds": "io.debezium.time.NanoTimestamp",
    }
    return by_mode.get(mode, "io.debezium.time.MicroTimestamp")


def _interval(modes: HandlingModes, digits: int) -> str:
    is_text = modes.interval_handling_mode == "string"
    return "io.debezium.time.Interval" if is_text else "io.debezium.time.MicroDuration"


def _bytea(modes: HandlingModes, digits: int) -> str:
    texts = {"base64": BASE64_BYTES, "base64-url-safe": BASE64_URL_BYTES, "hex": HEX_BYTES}
    return texts.get(modes.binary_handling_mode, "bytes")


_BY_MODE: dict[str, Callable[[HandlingModes, int], str]] = {
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "interval": _interval,
    "bytea": _bytea,
}

_PLAIN = {
    "bool": "boolean",
    "int2": "int16",
    "int4": "int32",
    "int8": "int64",
    "oid": "int64",
    "float4": "float",
    "float8": "double",
    "uuid": "io.debezium.data.Uuid",
    "json": "io.debezium.data.Json",
    "jsonb": "io.debezium.data.Json",
    "hstore": "io.debezium.data.Json",
    "xml": "io.debezium.data.Xml",
    "tsvector": "io.debezium.data.Tsvector",
    "point": "io.debezium.data.geometry.Point",
    "timestamptz": "io.debezium.time.ZonedTimestamp",
    "timetz": "io.debezium.time.ZonedTime",
}
