"""The values of a change event as Python's own, by their type. Pure.

Source: Debezium documentation, "Debezium connector for PostgreSQL", section "Data type mappings": the schema
of a field carries its meaning in its name. Bytes are bytes in Avro and base64 in JSON; both are read.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
import struct
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

from lakebed.cdc import event_times
from lakebed.cdc.events import UNAVAILABLE

# `unavailable.value.placeholder` of the connector, unless it is configured.
PLACEHOLDER = "__debezium_unavailable_value"

# A context that rounds nothing: numeric has up to 131,072 digits before the point.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)

# Bytes that Debezium itself writes as text; its schema calls them `string`.
BASE64_BYTES, BASE64_URL_BYTES, HEX_BYTES = "base64 bytes", "base64-url-safe bytes", "hex bytes"
TEXTS_OF_BYTES = frozenset({BASE64_BYTES, BASE64_URL_BYTES, HEX_BYTES})


@dataclass(frozen=True)
class FieldType:
    """What a field is.

    Attributes:
        name: of its meaning ("io.debezium.time.Date"), or, without one, of its plain type ("int32", "array").
        scale: digits after the point, of a decimal.
        length: in bits, of a bit string; None if it is not limited.
        items: of an array or of a map's values.
        fields: of a struct.
    """

    name: str
    scale: int = 0
    length: int | None = None
    items: FieldType | None = None
    fields: Mapping[str, FieldType] = field(default_factory=dict, hash=False)


Decode = Callable[[Any], Any]


def as_bytes(value: bytes | str) -> bytes:
    """Return the bytes of a bytes field, which JSON carries as base64."""
    if not isinstance(value, (bytes, str)):
        raise TypeError(f"no bytes but {type(value).__name__}")
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


def as_decimal(value: Any, scale: int) -> Decimal:
    """Return the number whose unscaled value is a big-endian integer in two's complement."""
    unscaled = int.from_bytes(as_bytes(value), "big", signed=True)
    return Decimal(unscaled).scaleb(-scale, _EXACT)


def as_bits(value: Any, length: int | None) -> str:
    """Return "10101" for a bit string; Debezium sends the lowest byte first, and no length.

    So a `bit varying` gets zeros in front up to its greatest length, or none if that is not limited.
    """
    number = int.from_bytes(as_bytes(value), "little")
    return format(number, "b").zfill(length or 0)


def as_float32(value: Any) -> float:
    """Return the shortest number that is the same in four bytes: 1.1, as PostgreSQL shows it."""
    number = float(value)
    if number == 0 or not math.isfinite(number):
        return number
    (bits,) = struct.unpack("<I", struct.pack("<f", number))
    # Java's text of it, in JSON, may be another one.
    number = _float32(bits)
    if number == 0:
        # Smaller than four bytes can say.
        return number
    inner, outer = _float32(bits - 1), _float32(bits + 1)
    if math.isinf(outer):
        outer = 2 * number - inner
    # Exactly in the middle of two numbers PostgreSQL takes neither for the shorter form of the other.
    least, most = sorted(((number + inner) / 2, (number + outer) / 2))
    for digits in range(1, 9):
        short = float(f"{number:.{digits}g}")
        if least < short < most:
            return short
    return float(f"{number:.9g}")


def _float32(bits: int) -> float:
    (number,) = struct.unpack("<f", struct.pack("<I", bits))
    return float(number)


def _struct(kind: FieldType) -> Decode:
    decoders = {name: decoder(item) for name, item in kind.fields.items()}
    return lambda value: {
        name: item if item is None or name not in decoders else decoders[name](item)
        for name, item in value.items()
    }


def _items(kind: FieldType) -> Decode:
    assert kind.items is not None
    decode = decoder(kind.items)
    return lambda value: [None if item is None else decode(item) for item in value]


def _map(kind: FieldType) -> Decode:
    assert kind.items is not None
    decode = decoder(kind.items)
    return lambda value: {key: None if item is None else decode(item) for key, item in value.items()}


def _same(value: Any) -> Any:
    return value


_DECODERS: dict[str, Callable[[FieldType], Decode]] = {
    "array": _items,
    "map": _map,
    "struct": _struct,
    "bytes": lambda kind: as_bytes,
    "float": lambda kind: as_float32,
    "double": lambda kind: float,
    BASE64_BYTES: lambda kind: base64.b64decode,
    BASE64_URL_BYTES: lambda kind: lambda text: base64.urlsafe_b64decode(f"{text}==="),
    HEX_BYTES: lambda kind: bytes.fromhex,
    "org.apache.kafka.connect.data.Decimal": lambda kind: functools.partial(as_decimal, scale=kind.scale),
    "io.debezium.data.VariableScaleDecimal": lambda kind: (
        lambda value: as_decimal(value["value"], value["scale"])
    ),
    "io.debezium.data.Bits": lambda kind: functools.partial(as_bits, length=kind.length),
    "io.debezium.data.Json": lambda kind: json.loads,
    "io.debezium.data.Uuid": lambda kind: uuid.UUID,
    "io.debezium.data.geometry.Point": lambda kind: lambda value: (value["x"], value["y"]),
    "io.debezium.time.Date": lambda kind: event_times.date_of,
    "io.debezium.time.Time": lambda kind: lambda value: event_times.time_of(value * 1000),
    "io.debezium.time.MicroTime": lambda kind: event_times.time_of,
    "io.debezium.time.NanoTime": lambda kind: lambda value: event_times.time_of(value // 1000),
    "io.debezium.time.Timestamp": lambda kind: lambda value: event_times.timestamp_of(value * 1000),
    "io.debezium.time.MicroTimestamp": lambda kind: event_times.timestamp_of,
    "io.debezium.time.NanoTimestamp": lambda kind: event_times.nanosecond_timestamp_of,
    "io.debezium.time.ZonedTimestamp": lambda kind: event_times.instant_of,
    "io.debezium.time.ZonedTime": lambda kind: event_times.zoned_time,
    "io.debezium.time.IsoDate": lambda kind: event_times.iso_date,
    "io.debezium.time.IsoTime": lambda kind: event_times.iso_time,
    "io.debezium.time.IsoTimestamp": lambda kind: event_times.iso_timestamp,
    "io.debezium.time.MicroDuration": lambda kind: lambda value: timedelta(microseconds=value),
    "org.apache.kafka.connect.data.Date": lambda kind: event_times.date_of,
    "org.apache.kafka.connect.data.Time": lambda kind: lambda value: event_times.time_of(value * 1000),
    "org.apache.kafka.connect.data.Timestamp": lambda kind: (
        lambda value: event_times.timestamp_of(value * 1000)
    ),
}


def decoder(kind: FieldType) -> Decode:
    """Return what turns a transported value, never None, of this type into Python's.

    A type that is not known here, such as text, is handed on as it is; a struct by its fields.
    """
    make = _DECODERS.get(kind.name) or (_struct if kind.fields else None)
    return make(kind) if make is not None else _same


class Unavailable:
    """Recognizes the values that Debezium puts for what PostgreSQL did not log.

    Args:
        placeholder: `unavailable.value.placeholder` of the connector.
    """

    def __init__(self, placeholder: str = PLACEHOLDER) -> None:
        content = placeholder.encode()
        pair = {placeholder: placeholder}
        self._texts = {
            placeholder,
            *(encode(content).decode() for encode in (base64.b64encode, base64.urlsafe_b64encode)),
            content.hex(),
            # hstore as JSON
            json.dumps(pair, separators=(",", ":")),
        }
        self._others = [content, pair]
        # An array has one item, or, of numbers, one for each byte (Debezium, `PostgresValueConverter`).
        named = uuid.UUID(bytes=hashlib.md5(content, usedforsecurity=False).digest(), version=3)
        self._lists = [list(content), [str(named)], [content], *([text] for text in self._texts)]

    def __call__(self, value: Any) -> bool:
        """Tell whether a transported value stands for one that is unavailable."""
        if isinstance(value, str):
            return value in self._texts
        if isinstance(value, list):
            return value in self._lists
        return isinstance(value, (bytes, dict)) and value in self._others


def row_decoder(
    columns: Mapping[str, FieldType], unavailable: Unavailable
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return what decodes the columns of a row; one whose type is not known is handed on as it is.

    Raises, when called:
        ValueError: a value does not fit its column's type; the error names both.
    """
    decoders = {name: decoder(kind) for name, kind in columns.items()}

    def decode(row: Mapping[str, Any]) -> dict[str, Any]:
        decoded: dict[str, Any] = {}
        for name, value in row.items():
            if value is None:
                decoded[name] = None
            elif unavailable(value):
                decoded[name] = UNAVAILABLE
            else:
                try:
                    decoded[name] = decoders.get(name, _same)(value)
                except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
                    kind = columns[name].name
                    raise ValueError(
                        f"column {name!r} of type {kind} holds {value!r:.80}: {error}"
                    ) from error
        return decoded

    return decode
