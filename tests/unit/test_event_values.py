"""Transported values as Python's own, by their type."""

from __future__ import annotations

import base64
import math
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lakebed.cdc.event_values import (
    BASE64_URL_BYTES,
    HEX_BYTES,
    FieldType,
    Unavailable,
    as_bits,
    as_decimal,
    as_float32,
    decoder,
    row_decoder,
)
from lakebed.cdc.events import UNAVAILABLE

DECIMAL = "org.apache.kafka.connect.data.Decimal"

NUMBERS = [0, 1, -1, 127, 128, -128, -129, 10**40, -(10**131072)]


def unscaled(number: int) -> bytes:
    """Return the bytes as Java's `BigInteger.toByteArray` makes them."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


@pytest.mark.parametrize(
    "number", [0, 1, -1, 127, 128, -128, -129, 10**40, -(10**131072)], ids=int.bit_length
)
@pytest.mark.parametrize("scale", [0, 2, 16383, -3])
def test_a_decimal_is_exact_however_long(number: int, scale: int) -> None:
    found = as_decimal(base64.b64encode(unscaled(number)).decode(), scale)
    sign, digits, exponent = found.as_tuple()
    assert exponent == -scale
    assert sign == (number < 0)
    # Python refuses to write numbers that long as text.
    expected = Decimal(number).as_tuple()
    assert digits == expected.digits


@pytest.mark.parametrize(
    ("value", "length", "bits"),
    [(b"\x15", 5, "10101"), (b"\x01\x02", 10, "1000000001"), (b"\x00", 3, "000"), (b"\x05", None, "101")],
)
def test_bits_begin_with_the_lowest_byte(value: bytes, length: int | None, bits: str) -> None:
    assert as_bits(value, length) == bits


@pytest.mark.parametrize(
    ("number", "short"),
    [
        (1.100000023841858, 1.1),
        (16777216.0, 16777216.0),
        (3.4028234663852886e38, 3.4028235e38),
        (1.401298464324817e-45, 1e-45),
        (-0.0, -0.0),
        # Java writes one between two numbers, PostgreSQL does not.
        (52685250.0, 52685248.0),
        ("Infinity", math.inf),
    ],
)
def test_a_number_of_four_bytes_is_as_short_as_in_postgresql(number: Any, short: float) -> None:
    assert repr(as_float32(number)) == repr(short)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (FieldType("double"), "NaN", "nan"),
        (FieldType(HEX_BYTES), "00ff10", b"\x00\xff\x10"),
        (FieldType(BASE64_URL_BYTES), "-_8", b"\xfb\xff"),
        (FieldType("io.debezium.data.Json"), '{"a": [1.50, null]}', {"a": [1.5, None]}),
        (FieldType("io.debezium.time.MicroDuration"), -1, timedelta(microseconds=-1)),
        (FieldType("io.debezium.time.Interval"), "P1Y2M", "P1Y2M"),
        (FieldType("map", items=FieldType("string")), {"a": None}, {"a": None}),
        (FieldType("array", items=FieldType(DECIMAL, scale=2)), ["AJY=", None], [Decimal("1.50"), None]),
        (FieldType("geometry", fields={"wkb": FieldType("bytes")}), {"wkb": "AP8=", "srid": None}, None),
        (FieldType("something.new"), {"as": "sent"}, {"as": "sent"}),
    ],
)
def test_values(kind: FieldType, value: Any, expected: Any) -> None:
    found = decoder(kind)(value)
    if kind.name == "double":
        assert math.isnan(found)
    elif kind.fields:
        assert found == {"wkb": b"\x00\xff", "srid": None}
    else:
        assert (type(found), found) == (type(expected), expected)


PLACEHOLDER = "not here"
CONTENT = PLACEHOLDER.encode()


@pytest.mark.parametrize(
    "value",
    [
        PLACEHOLDER,
        CONTENT,
        base64.b64encode(CONTENT).decode(),
        CONTENT.hex(),
        '{"not here":"not here"}',
        {PLACEHOLDER: PLACEHOLDER},
        [PLACEHOLDER],
        [CONTENT],
        [base64.b64encode(CONTENT).decode()],
        list(CONTENT),
    ],
)
def test_every_form_of_the_placeholder_is_known(value: Any) -> None:
    assert Unavailable(PLACEHOLDER)(value)
    assert not Unavailable()(value)


def test_the_placeholder_of_uuids_is_that_which_debezium_sends() -> None:
    # Seen in an event of Debezium 3.6.3.
    assert Unavailable()(["b68a35a7-17ad-35b3-af2a-ae46edb4545a"])


@pytest.mark.parametrize("value", [[], {}, "", 0, None, [PLACEHOLDER, PLACEHOLDER], True, 1.5])
def test_other_values_are_available(value: Any) -> None:
    assert not Unavailable(PLACEHOLDER)(value)


def test_a_row_keeps_null_unknown_columns_and_order() -> None:
    decode = row_decoder({"id": FieldType("int32"), "key": FieldType("io.debezium.data.Uuid")}, Unavailable())
    key = uuid.UUID(int=7)
    row = {"new": "x", "key": str(key), "id": None, "big": "__debezium_unavailable_value"}
    assert list(decode(row).items()) == [("new", "x"), ("key", key), ("id", None), ("big", UNAVAILABLE)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FieldType("io.debezium.data.Uuid"), "no uuid"),
        (FieldType(DECIMAL), 5),
        (FieldType("bytes"), "not base64!"),
        (FieldType("io.debezium.time.Date"), "2024-02-29"),
        (FieldType("io.debezium.data.VariableScaleDecimal"), {"scale": 1}),
        (FieldType("io.debezium.data.Json"), "{"),
        (FieldType("array", items=FieldType("int32")), 5),
    ],
)
def test_a_value_that_is_not_of_its_type_is_named(kind: FieldType, value: Any) -> None:
    decode = row_decoder({"price": kind}, Unavailable())
    with pytest.raises(ValueError, match=f"column 'price' of type {kind.name} holds"):
        decode({"price": value})
