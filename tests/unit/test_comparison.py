"""Comparing two tables row for row and column for column."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakebed.cdc.comparison import assert_same_rows, differences
from lakebed.errors import RowsDiffer

ROWS: list[dict[str, Any]] = [
    {"id": 1, "name": "one", "price": 1.5},
    {"id": 2, "name": None, "price": float("nan")},
    {"id": 3, "name": "three", "price": None},
]


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows)


def changed(position: int, **values: Any) -> pa.Table:
    rows = [dict(row) for row in ROWS]
    rows[position].update(values)
    return table(rows)


def test_the_same_rows_in_other_order_of_rows_and_columns_are_the_same() -> None:
    target = table(list(reversed(ROWS))).select(["price", "name", "id"])
    assert differences(table(ROWS), target, ["id"]) == []
    assert_same_rows(table(ROWS), target, ["id"], ("source", "Delta"))


def test_empty_tables_are_the_same() -> None:
    assert differences(table(ROWS).slice(0, 0), table(ROWS).slice(0, 0), ["id"]) == []


@pytest.mark.parametrize(
    ("position", "values"),
    [
        (0, {"name": "uno"}),
        (0, {"name": None}),
        (1, {"name": ""}),
        (0, {"price": 1.5000001}),
        (2, {"price": 0.0}),
    ],
)
def test_one_differing_value_is_found_with_its_key_and_both_values(
    position: int, values: dict[str, Any]
) -> None:
    (problem,) = differences(table(ROWS), changed(position, **values), ["id"])
    ((name, value),) = values.items()
    assert problem.startswith(f"column {name}: 1 rows differ")
    assert f"{{'id': {ROWS[position]['id']}}}: {ROWS[position][name]!r} is {value!r}" in problem


@pytest.mark.parametrize(("source", "target"), [(float("nan"), None), (None, float("nan"))])
def test_not_a_number_is_not_the_same_as_nothing(source: float | None, target: float | None) -> None:
    kind = pa.schema({"id": pa.int64(), "x": pa.float64()})
    left, right = (pa.Table.from_pylist([{"id": 1, "x": value}], kind) for value in (source, target))
    assert len(differences(left, right, ["id"])) == 1


def test_missing_and_extra_rows_are_counted_and_shown() -> None:
    extra = {"id": 4, "name": "four", "price": 4.0}
    missing, added = differences(table(ROWS), table([*ROWS[1:], extra]), ["id"])
    assert missing == "1 rows missing, the first: [{'id': 1}]"
    assert added == "1 rows extra, the first: [{'id': 4}]"


def test_a_row_that_stands_there_twice_is_found() -> None:
    assert differences(table(ROWS), table([*ROWS, ROWS[0]]), ["id"]) == [
        "3 rows against 4: a key stands there twice"
    ]


def test_other_columns_are_found_by_name() -> None:
    target = table(ROWS).rename_columns(["id", "name", "cost"])
    assert differences(table(ROWS), target, ["id"]) == ["columns missing: ['price'], extra: ['cost']"]


def test_one_instant_is_the_same_with_and_without_zone_and_in_every_unit() -> None:
    instant = datetime(2026, 1, 2, 3, 4, 5, 678000)
    kinds = [pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.timestamp("ns")]
    aware = instant.replace(tzinfo=timezone.utc)
    values = [instant, aware, instant]
    source, *targets = (
        pa.table({"id": [1], "at": pa.array([value], kind)})
        for value, kind in zip(values, kinds, strict=True)
    )
    for target in targets:
        assert differences(source, target, ["id"]) == []
    later = pa.table({"id": [1], "at": pa.array([instant.replace(second=6)], kinds[0])})
    assert len(differences(source, later, ["id"])) == 1


def test_types_that_stores_choose_differently_are_brought_together() -> None:
    source = pa.table(
        {"id": pa.array([1], pa.int32()), "s": ["x"], "d": pa.array([Decimal("1.20")], pa.decimal128(9, 2))}
    )
    target = pa.table(
        {
            "id": pa.array([1], pa.int64()),
            "s": pa.array(["x"], pa.large_string()),
            "d": pa.array([Decimal("1.2000")], pa.decimal128(18, 4)),
        }
    )
    assert differences(source, target, ["id"]) == []


def test_a_value_that_does_not_fit_the_type_of_the_source_is_a_difference() -> None:
    source = pa.table({"id": pa.array([1], pa.int32()), "n": pa.array([1], pa.int32())})
    target = pa.table({"id": pa.array([1], pa.int32()), "n": pa.array([2**40], pa.int64())})
    assert differences(source, target, ["id"]) != []


def test_a_key_of_several_columns() -> None:
    source = pa.table({"year": [1, 1, 2], "id": [1, 2, 1], "v": ["a", "b", "c"]})
    target = pa.table({"year": [2, 1, 1], "id": [1, 2, 1], "v": ["c", "b", "x"]})
    (problem,) = differences(source, target, ["year", "id"])
    assert "{'year': 1, 'id': 1}: 'a' is 'x'" in problem


def test_only_the_first_rows_are_shown_but_all_are_counted() -> None:
    source = pa.table({"id": range(100), "v": ["a"] * 100})
    target = pa.table({"id": range(100), "v": ["b"] * 100})
    (problem,) = differences(source, target, ["id"])
    assert problem.startswith("column v: 100 rows differ")
    assert problem.count("'a' is 'b'") == 5


def test_the_error_names_both_tables_and_says_what_differs() -> None:
    with pytest.raises(RowsDiffer) as caught:
        assert_same_rows(table(ROWS), table(ROWS[1:]), ["id"], ("PostgreSQL", "Iceberg"))
    assert "PostgreSQL" in caught.value.attempted
    assert "Iceberg" in caught.value.attempted
    assert "1 rows missing" in caught.value.seen
    assert isinstance(caught.value, AssertionError)
