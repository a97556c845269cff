"""Comparing two tables row for row and column for column."""

from __future__ import annotations

import math
import pickle
import tempfile
from collections import Counter
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from lakebed.cdc.comparison import assert_same_rows, differences
from lakebed.cdc.difference import DifferingRow, RepeatedRow
from lakebed.errors import NotComparable, RowsDiffer

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
    assert not differences(table(ROWS), target, ["id"])
    assert_same_rows(table(ROWS), target, ["id"], ("source", "Delta"))


def test_empty_tables_are_the_same() -> None:
    assert not differences(table(ROWS).slice(0, 0), table(ROWS).slice(0, 0), ["id"])


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
    found = differences(table(ROWS), changed(position, **values), ["id"])
    ((name, value),) = values.items()
    assert found.lines() == ["1 rows differ", f"column {name}: 1 rows differ"]
    assert found.first_differing == (
        DifferingRow({"id": ROWS[position]["id"]}, {name: (ROWS[position][name], value)}),
    )
    assert found.diff()[1:] == [
        f"? {{'id': {ROWS[position]['id']}}}",
        f"-   {name}: {ROWS[position][name]!r}",
        f"+   {name}: {value!r}",
    ]


@pytest.mark.parametrize(("source", "target"), [(float("nan"), None), (None, float("nan"))])
def test_not_a_number_is_not_the_same_as_nothing(source: float | None, target: float | None) -> None:
    kind = pa.schema({"id": pa.int64(), "x": pa.float64()})
    left, right = (pa.Table.from_pylist([{"id": 1, "x": value}], kind) for value in (source, target))
    assert differences(left, right, ["id"]).differing_by_column == {"x": 1}


def test_missing_and_extra_rows_are_counted_and_shown() -> None:
    extra = {"id": 4, "name": "four", "price": 4.0}
    found = differences(table(ROWS), table([*ROWS[1:], extra]), ["id"])
    assert found.lines() == ["1 rows missing", "1 rows extra"]
    assert found.first_missing == (RepeatedRow(ROWS[0], 1),)
    assert found.first_extra == (RepeatedRow(extra, 1),)
    assert found.diff() == [
        "  missing, all 1:",
        "- {'id': 1, 'name': 'one', 'price': 1.5}",
        "  extra, all 1:",
        "+ {'id': 4, 'name': 'four', 'price': 4.0}",
    ]


def test_a_row_that_stands_there_twice_is_found() -> None:
    found = differences(table(ROWS), table([*ROWS, ROWS[0]]), ["id"], ("PostgreSQL", "Delta"))
    assert found.lines() == ["3 rows against 4", "1 keys more than once in Delta"]
    assert found.first_repeated_in_target == (RepeatedRow({"id": 1}, 2),)
    assert "? {'id': 1}  2 times" in str(found)


def test_a_key_that_is_there_twice_in_both_is_no_key() -> None:
    rows = table([*ROWS, ROWS[0], {**ROWS[1], "name": "changed"}])
    found = differences(rows, rows, ["id"])
    assert (found.repeated_in_source, found.repeated_in_target) == (2, 2)
    assert not differences(rows, rows)


def test_other_columns_are_found_by_name() -> None:
    target = table(ROWS).rename_columns(["id", "name", "cost"])
    found = differences(table(ROWS), target, ["id"])
    assert found.lines() == ["columns missing: ['price'], extra: ['cost']"]
    assert (found.missing_columns, found.extra_columns) == (("price",), ("cost",))


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
        assert not differences(source, target, ["id"])
    later = pa.table({"id": [1], "at": pa.array([instant.replace(second=6)], kinds[0])})
    assert differences(source, later, ["id"]).differing_by_column == {"at": 1}


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
    assert not differences(source, target, ["id"])


def test_a_value_that_does_not_fit_the_type_of_the_source_is_a_difference() -> None:
    source = pa.table({"id": pa.array([1], pa.int32()), "n": pa.array([1], pa.int32())})
    target = pa.table({"id": pa.array([1], pa.int32()), "n": pa.array([2**40], pa.int64())})
    assert differences(source, target, ["id"]).differing_by_column == {"n": 1}


def test_a_key_of_several_columns() -> None:
    source = pa.table({"year": [1, 1, 2], "id": [1, 2, 1], "v": ["a", "b", "c"]})
    target = pa.table({"year": [2, 1, 1], "id": [1, 2, 1], "v": ["c", "b", "x"]})
    found = differences(source, target, ["year", "id"])
    assert found.first_differing == (DifferingRow({"year": 1, "id": 1}, {"v": ("a", "x")}),)


def test_only_the_first_rows_are_shown_but_all_are_counted() -> None:
    source = pa.table({"id": range(100), "v": ["a"] * 100})
    target = pa.table({"id": range(100), "v": ["b"] * 100})
    found = differences(source, target, ["id"])
    assert "column v: 100 rows differ" in found.lines()
    assert [row.key["id"] for row in found.first_differing] == [0, 1, 2, 3, 4]
    assert str(found).count("+   v: 'b'") == 5
    assert "  differing, 5 of 100:" in found.diff()
    assert len(differences(source, target, ["id"], shown_rows=7).first_differing) == 7


def test_the_error_names_both_tables_and_says_what_differs() -> None:
    with pytest.raises(RowsDiffer) as caught:
        assert_same_rows(table(ROWS), table(ROWS[1:]), ["id"], ("PostgreSQL", "Iceberg"))
    assert "PostgreSQL" in caught.value.attempted
    assert "Iceberg" in caught.value.attempted
    assert "1 rows missing" in caught.value.seen
    assert isinstance(caught.value, AssertionError)
    assert caught.value.differences is not None
    assert caught.value.differences.missing == 1
    # As a worker of pytest-xdist would hand it on.
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.differences) == (str(caught.value), caught.value.differences)


def test_of_every_column_that_differs_a_row_is_shown() -> None:
    source = pa.table({"id": range(100), "v": ["a"] * 100, "w": ["a"] * 100})
    target = pa.table({"id": range(100), "v": ["b"] * 100, "w": ["a"] * 99 + ["b"]})
    found = differences(source, target, "id")
    assert found.differing_by_column == {"v": 100, "w": 1}
    assert found.first_differing[-1] == DifferingRow({"id": 99}, {"v": ("a", "b"), "w": ("a", "b")})


def test_without_key_whole_rows_are_counted() -> None:
    rows: list[dict[str, Any]] = [{"n": 1, "s": None}, {"n": 1, "s": None}, {"n": None, "s": "x"}]
    assert not differences(rows, list(reversed(rows)))
    found = differences(rows, [rows[0], rows[2], rows[2], rows[2]])
    assert (found.missing, found.extra) == (1, 2)
    assert found.first_missing == (RepeatedRow(rows[0], 1),)
    assert found.first_extra == (RepeatedRow(rows[2], 2),)
    assert "+ {'n': None, 's': 'x'}  2 times" in found.diff()


def test_null_in_a_key_belongs_to_null() -> None:
    rows = [{"a": None, "b": 1, "v": 1}, {"a": 1, "b": None, "v": 2}, {"a": None, "b": None, "v": 3}]
    assert not differences(rows, list(reversed(rows)), ["a", "b"])
    found = differences(rows, [*rows[:2], {"a": None, "b": None, "v": 4}], ["a", "b"])
    assert found.first_differing == (DifferingRow({"a": None, "b": None}, {"v": (3, 4)}),)


def test_columns_and_ignore_choose_what_is_compared() -> None:
    target = changed(0, name="uno")
    assert not differences(table(ROWS), target, "id", ignore=["name"])
    assert not differences(table(ROWS), target, "id", columns=["price"])
    assert differences(table(ROWS), target, "id", columns=["name"]).differing_by_column == {"name": 1}
    # A column that only one of them has may be ignored, too.
    assert not differences(table(ROWS), table(ROWS).drop_columns("name"), "id", ignore=["name"])


def test_floating_point_numbers_may_differ_by_the_tolerance_and_nothing_else_may() -> None:
    target = changed(0, price=1.5000001)
    assert differences(table(ROWS), target, "id", tolerance=1e-8)
    assert not differences(table(ROWS), target, "id", tolerance=1e-6)
    for value in (None, float("nan"), float("inf")):
        assert differences(table(ROWS), changed(0, price=value), "id", tolerance=1e9)
    assert differences([{"id": 1, "n": 1}], [{"id": 1, "n": 2}], "id", tolerance=5)


@pytest.mark.parametrize(
    ("key", "options", "seen"),
    [
        ("no", {}, "neither has 'no'; columns: id, name, price"),
        ("id", {"columns": ["nam"]}, "neither has 'nam'"),
        ("id", {"ignore": ["nam"]}, "neither has 'nam'"),
        ("id", {"ignore": "name"}, "are text"),
        ("id", {"ignore": ["id"]}, "the key's id is to be ignored"),
        (None, {"ignore": ["id", "name", "price"]}, "no column is left"),
        (None, {"tolerance": 0.1}, "no key"),
        ("id", {"tolerance": -1.0}, "tolerance=-1.0"),
        ("id", {"tolerance": float("nan")}, "tolerance=nan"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_a_row_is_read(
    key: str | None, options: dict[str, Any], seen: str
) -> None:
    with pytest.raises(NotComparable) as caught:
        differences(table(ROWS), table(ROWS), key, **options)
    assert seen in caught.value.seen


def test_columns_of_one_name_are_refused() -> None:
    twice = pa.table([[1], [2]], names=["id", "id"])
    with pytest.raises(NotComparable, match="columns of one name: id"):
        differences(twice, twice, "id")


def test_names_that_differ_only_in_case_are_two_columns() -> None:
    source = pa.table({"id": [1], "Id": [2], "order by": [3]})
    assert not differences(source, source, "id")
    assert differences(source, source.set_column(1, "Id", [[5]]), "id").differing_by_column == {"Id": 1}


def test_long_values_are_cut_around_their_first_difference() -> None:
    text = "x" * 1000
    source, target = [{"id": 1, "v": text + "a" + text}], [{"id": 1, "v": text + "b" + text}]
    lines = differences(source, target, "id").diff()
    assert all(len(line) < 120 for line in lines)
    assert "xxxa" in lines[2]
    assert "xxxb" in lines[3]


def test_nothing_of_a_comparison_stays_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert differences(table(ROWS), changed(0, name="x"), "id")
    with pytest.raises(NotComparable):
        differences([{"id": 1}, {"id": "x"}], [], "id")
    assert list(tmp_path.iterdir()) == []


ODD_VALUES: dict[str, list[Any]] = {
    "i": [None, 0, 1, -1, 2**63 - 1, -(2**63)],
    "f": [None, 0.0, -0.0, 0.1, float("nan"), float("inf"), -float("inf"), 1e300],
    "s": [None, "", "a", "A", "a ", "ä", "a\x00b", "'"],
    "b": [None, b"", b"a", b"\x00\xff"],
    "d": [None, Decimal("0.00"), Decimal("1.20"), Decimal("-99999999.99")],
    "l": [None, [], [None], [1, None], [1, 2]],
    "r": [None, {"x": None, "y": "a"}, {"x": 1, "y": None}, {"x": 1, "y": "a"}],
}
ODD_SCHEMA = pa.schema(
    {
        "k": pa.int32(),
        "i": pa.int64(),
        "f": pa.float64(),
        "s": pa.string(),
        "b": pa.binary(),
        "d": pa.decimal128(10, 2),
        "l": pa.list_(pa.int32()),
        "r": pa.struct({"x": pa.int32(), "y": pa.string()}),
    }
)


def plain(value: Any) -> Any:
    """What the oracle compares: NaN as itself, and no -0.0."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    return value


def random_rows(random: Random, keys: list[int]) -> list[dict[str, Any]]:
    return [
        {"k": key, **{name: random.choice(values) for name, values in ODD_VALUES.items()}} for key in keys
    ]


@pytest.mark.parametrize("seed", range(25))
def test_random_tables_against_plain_python(seed: int) -> None:
    random = Random(seed)
    source = random_rows(random, random.sample(range(40), 25))
    target = [dict(row) for row in source if random.random() < 0.8]
    for row in target:
        if random.random() < 0.4:
            name = random.choice(list(ODD_VALUES))
            row[name] = random.choice(ODD_VALUES[name])
    target += random_rows(random, random.sample(range(40, 60), random.randrange(4)))
    random.shuffle(target)
    left, right = ({row["k"]: row for row in rows} for rows in (source, target))
    tables = [pa.Table.from_pylist(rows, ODD_SCHEMA) for rows in (source, target)]

    found = differences(tables[0], tables[1], "k", shown_rows=1000)

    assert {row.row["k"] for row in found.first_missing} == left.keys() - right.keys()
    assert {row.row["k"] for row in found.first_extra} == right.keys() - left.keys()
    expected = {
        key: {name for name in ODD_VALUES if plain(left[key][name]) != plain(right[key][name])}
        for key in left.keys() & right.keys()
    }
    expected = {key: names for key, names in expected.items() if names}
    assert {row.key["k"]: set(row.values) for row in found.first_differing} == expected
    by_column = Counter(name for names in expected.values() for name in names)
    assert found.differing_by_column == by_column
    assert found.differing == len(expected)
    for differing in found.first_differing:
        rows = left[differing.key["k"]], right[differing.key["k"]]
        for name, shown in differing.values.items():
            assert [plain(value) for value in shown] == [plain(row[name]) for row in rows]


@pytest.mark.parametrize("seed", range(15))
def test_random_rows_without_key_against_plain_python(seed: int) -> None:
    random = Random(seed)
    kinds = random_rows(random, [1] * 6)
    tables = [random.choices(kinds, k=30) for _ in range(2)]

    def counted(rows: list[dict[str, Any]]) -> Counter[str]:
        return Counter(repr([plain(value) for value in row.values()]) for row in rows)

    left, right = map(counted, tables)
    found = differences(*(pa.Table.from_pylist(rows, ODD_SCHEMA) for rows in tables), shown_rows=100)
    assert found.missing == (left - right).total()
    assert found.extra == (right - left).total()
    for shown, expected in ((found.first_missing, left - right), (found.first_extra, right - left)):
        told = Counter(
            {repr([plain(v) for v in repeated.row.values()]): repeated.times for repeated in shown}
        )
        assert told == expected
