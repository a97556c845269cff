"""When values of two types are the same: every rule, and that nothing is rounded to be equal."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakebed.cdc.comparison import differences
from lakebed.errors import NotComparable

NUMERIC = pa.opaque(pa.string(), "numeric", "PostgreSQL")
UUID = uuid.UUID("6e1f2a30-0000-4000-8000-00000000abcd")
BERLIN = pa.timestamp("us", "Europe/Berlin")


def column(value: Any, kind: pa.DataType) -> pa.Table:
    if isinstance(kind, pa.BaseExtensionType):
        values = pa.ExtensionArray.from_storage(kind, pa.array([value], kind.storage_type))
    else:
        values = pa.array([value], kind)
    return pa.table({"id": [1], "x": values})


SAME = [
    # numbers, by value
    (1, pa.int8(), 1, pa.uint64()),
    (2**64 - 1, pa.uint64(), Decimal(2**64 - 1), pa.decimal128(20, 0)),
    (1, pa.int32(), Decimal("1.00"), pa.decimal128(5, 2)),
    (1, pa.int64(), 1.0, pa.float64()),
    (2**53, pa.int64(), 2.0**53, pa.float64()),
    (2**63, pa.uint64(), 2.0**63, pa.float64()),
    (1234567890123456768, pa.int64(), 1234567890123456768.0, pa.float64()),
    (2**24, pa.int64(), 2.0**24, pa.float32()),
    (Decimal("0.1"), pa.decimal128(3, 1), 0.1, pa.float64()),
    (0.1, pa.float32(), Decimal("0.10"), pa.decimal128(3, 2)),
    (0.5, pa.float32(), 0.5, pa.float64()),
    (0.5, pa.float16(), 0.5, pa.float64()),
    (1e300, pa.float64(), str(10**300), NUMERIC),
    (1.5e-7, pa.float64(), "0.00000015", NUMERIC),
    (0.0, pa.float64(), -0.0, pa.float64()),
    (-0.0, pa.float64(), 0, pa.int32()),
    ("1.20", NUMERIC, Decimal("1.2"), pa.decimal128(38, 10)),
    ("1.20", NUMERIC, "1.2000", NUMERIC),
    ("-0.50", NUMERIC, Decimal("-0.5"), pa.decimal128(2, 2)),
    ("100", NUMERIC, 100, pa.int64()),
    ("nan", NUMERIC, float("nan"), pa.float64()),
    ("Infinity", NUMERIC, float("inf"), pa.float64()),
    ("-inf", NUMERIC, -float("inf"), pa.float32()),
    (Decimal("1E-10"), pa.decimal256(60, 12), "0.0000000001", NUMERIC),
    (Decimal("1E+20"), pa.decimal256(60, 12), Decimal(10**20), pa.decimal128(38, 0)),
    (Decimal("300"), pa.decimal128(5, -2), 300, pa.int32()),
    # instants, dates, times
    (
        datetime.datetime(2026, 1, 2, 3),
        pa.timestamp("s"),
        datetime.datetime(2026, 1, 2, 3),
        pa.timestamp("ns"),
    ),
    (0, pa.timestamp("us", "UTC"), 0, BERLIN),
    (0, BERLIN, 0, pa.timestamp("s")),
    (2**62, pa.timestamp("us"), 2**62, pa.timestamp("us", "UTC")),
    (datetime.date(2026, 1, 2), pa.date32(), datetime.date(2026, 1, 2), pa.date64()),
    (datetime.time(1, 2, 3), pa.time32("s"), datetime.time(1, 2, 3), pa.time64("ns")),
    (1, pa.duration("s"), 1_000_000_000, pa.duration("ns")),
    # texts, bytes, uuid, json
    ("ä", pa.string(), "ä", pa.large_string()),
    ("x", pa.dictionary(pa.int8(), pa.string()), "x", pa.string_view()),
    (b"\x00", pa.binary(), b"\x00", pa.binary(1)),
    (b"", pa.large_binary(), b"", pa.binary()),
    (UUID.bytes, pa.uuid(), str(UUID).upper(), pa.string()),
    (str(UUID), pa.string(), UUID.bytes, pa.uuid()),
    (UUID.bytes, pa.uuid(), UUID.bytes, pa.binary(16)),
    ('{"a": 1, "b": [1.0, "x"]}', pa.json_(), '{"b":[1,"x"],"a":10e-1}', pa.json_()),
    ('{"a": 1}', pa.json_(), '{"a":1}', pa.string()),
    # nested
    ([1, None], pa.list_(pa.int32()), [1, None], pa.large_list(pa.int64())),
    ([1, 2], pa.list_(pa.int32(), 2), [Decimal("1.0"), Decimal("2.0")], pa.list_(pa.decimal128(5, 1))),
    ([[0.5]], pa.list_(pa.list_(pa.float32())), [[0.5]], pa.list_(pa.list_(pa.float64()))),
    ([float("nan")], pa.list_(pa.float64()), [float("nan")], pa.list_(pa.float64())),
    ([], pa.list_(pa.string()), [], pa.list_(pa.large_string())),
    (
        {"a": 1, "b": datetime.datetime(2026, 1, 1)},
        pa.struct({"a": pa.int32(), "b": pa.timestamp("us")}),
        {"b": datetime.datetime(2026, 1, 1), "a": 1},
        pa.struct({"b": pa.timestamp("ns", "UTC"), "a": pa.int64()}),
    ),
    (
        [("a", 1), ("b", 2)],
        pa.map_(pa.string(), pa.int32()),
        [("b", 2), ("a", 1)],
        pa.map_(pa.string(), pa.int64()),
    ),
    (
        pa.MonthDayNano([1, 2, 3]),
        pa.month_day_nano_interval(),
        pa.MonthDayNano([1, 2, 3]),
        pa.month_day_nano_interval(),
    ),
    # nothing
    (None, pa.null(), None, pa.int32()),
    (None, pa.string(), None, pa.binary()),
    (None, pa.struct({"a": pa.int32()}), None, pa.struct({"b": pa.int32()})),
]

OTHER = [
    (1, pa.int32(), 2**40, pa.int64()),
    (1, pa.int32(), Decimal("1.01"), pa.decimal128(5, 2)),
    (1, pa.int64(), 1.5, pa.float64()),
    (2**53 + 1, pa.int64(), 2.0**53, pa.float64()),
    (2**63 - 1, pa.int64(), float(2**63 - 1), pa.float64()),
    (1234567890123456789, pa.int64(), 1234567890123456768.0, pa.float64()),
    (0, pa.int64(), float("inf"), pa.float64()),
    (0, pa.int64(), float("nan"), pa.float64()),
    (0.1, pa.float32(), 0.1, pa.float64()),
    (0.1, pa.float64(), Decimal("0.10000000000000000001"), pa.decimal128(38, 20)),
    (Decimal("1.20"), pa.decimal128(5, 2), Decimal("1.2001"), pa.decimal128(9, 4)),
    ("1." + "0" * 50 + "1", NUMERIC, Decimal(1), pa.decimal128(38, 0)),
    (float("nan"), pa.float64(), None, pa.float64()),
    ("nan", NUMERIC, None, NUMERIC),
    ("inf", NUMERIC, -float("inf"), pa.float64()),
    (1, pa.int32(), True, pa.bool_()),
    (1, pa.int32(), "1", pa.string()),
    ("1.20", NUMERIC, "1.20", pa.string()),
    ("a", pa.string(), b"a", pa.binary()),
    ("a", pa.string(), "A", pa.string()),
    ("a", pa.string(), "a ", pa.string()),
    ("", pa.string(), None, pa.string()),
    ("\u00e4", pa.string(), "a\u0308", pa.string()),
    (UUID.bytes, pa.uuid(), "no uuid", pa.string()),
    (UUID.bytes, pa.uuid(), None, pa.string()),
    (UUID.bytes, pa.uuid(), b"short", pa.binary()),
    ('{"a": 1}', pa.json_(), '{"a": "1"}', pa.json_()),
    ('{"a": "1e0"}', pa.json_(), '{"a": 1}', pa.json_()),
    ('["number 1e0"]', pa.json_(), "[1]", pa.json_()),
    ("[1, 2]", pa.json_(), "[2, 1]", pa.json_()),
    ("null", pa.json_(), None, pa.json_()),
    ("{", pa.json_(), "{ ", pa.json_()),
    ("123456789012345678901234567890.1", pa.json_(), "123456789012345678901234567890.2", pa.json_()),
    (1, pa.timestamp("ns"), 0, pa.timestamp("us")),
    (0, pa.timestamp("ns", "UTC"), 1, pa.timestamp("ns", "UTC")),
    (2**62, pa.timestamp("s"), 2**62, pa.timestamp("ns")),
    (datetime.date(2026, 1, 1), pa.date32(), datetime.datetime(2026, 1, 1), pa.timestamp("us")),
    (datetime.time(1), pa.time64("us"), 3_600_000_000, pa.int64()),
    ([1], pa.list_(pa.int32()), [1, None], pa.list_(pa.int32())),
    ([1, 2], pa.list_(pa.int32()), [2, 1], pa.list_(pa.int32())),
    (["a"], pa.list_(pa.string()), [b"a"], pa.list_(pa.binary())),
    ([], pa.list_(pa.int32()), None, pa.list_(pa.int32())),
    ({"a": 1}, pa.struct({"a": pa.int32()}), {"b": 1}, pa.struct({"b": pa.int32()})),
    ({"a": None}, pa.struct({"a": pa.int32()}), None, pa.struct({"a": pa.int32()})),
    ([("a", 1)], pa.map_(pa.string(), pa.int32()), [("a", 2)], pa.map_(pa.string(), pa.int32())),
    (
        pa.MonthDayNano([1, 0, 0]),
        pa.month_day_nano_interval(),
        pa.MonthDayNano([0, 30, 0]),
        pa.month_day_nano_interval(),
    ),
    (
        pa.MonthDayNano([0, 0, 1]),
        pa.month_day_nano_interval(),
        pa.MonthDayNano([0, 0, 2]),
        pa.month_day_nano_interval(),
    ),
    (None, pa.null(), 1, pa.int32()),
]


def named(cases: list[tuple[Any, pa.DataType, Any, pa.DataType]]) -> list[Any]:
    return [pytest.param(*case, id=f"{case[0]!r:.30}-{case[1]}-{case[2]!r:.30}-{case[3]}") for case in cases]


@pytest.mark.parametrize(("value", "kind", "other", "other_kind"), named(SAME))
def test_the_same(value: Any, kind: pa.DataType, other: Any, other_kind: pa.DataType) -> None:
    tables = column(value, kind), column(other, other_kind)
    for source, target in (tables, tables[::-1]):
        assert str(differences(source, target, "id")) == ""
        assert str(differences(source, target)) == ""
        assert str(differences(source, target, "x")) == ""


@pytest.mark.parametrize(("value", "kind", "other", "other_kind"), named(OTHER))
def test_not_the_same(value: Any, kind: pa.DataType, other: Any, other_kind: pa.DataType) -> None:
    tables = column(value, kind), column(other, other_kind)
    for source, target in (tables, tables[::-1]):
        assert differences(source, target, "id").differing_by_column == {"x": 1}
        whole = differences(source, target)
        assert (whole.missing, whole.extra) == (1, 1)
        by_it = differences(source, target, "x")
        assert (by_it.missing, by_it.extra) == (1, 1)
    # What is shown is the value as it was.
    ((shown, _),) = [row.values["x"] for row in differences(*tables, "id").first_differing]
    expected = column(value, kind)["x"][0]
    if "beyond" not in str(shown):
        written = str(dict(value)) if pa.types.is_map(kind) else str(value)
        assert str(shown) in (str(expected), str(expected.as_py()), written)


def test_why_two_types_are_never_the_same_is_said() -> None:
    found = differences(column("1", pa.string()), column(1, pa.int64()), "id")
    assert found.lines()[1:] == ["column x: 1 rows differ (string is never the same as int64)"]


def test_an_arrow_type_without_an_order_of_its_values_is_refused_with_its_column() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    table = pa.table({"id": [1], "u": union})
    with pytest.raises(NotComparable, match="column u: values of the Arrow type"):
        differences(table, table, "id")
    assert not differences(table, table, "id", ignore=["u"])
