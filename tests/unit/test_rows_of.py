"""Making rows of whatever a test has at hand."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb
import pandas
import pyarrow as pa
import pyarrow.dataset
import pytest

from lakebed.cdc.comparison import assert_same_rows, differences
from lakebed.cdc.difference import shortened
from lakebed.cdc.json_values import canonical_json
from lakebed.cdc.rows import Rows, rows_of
from lakebed.errors import NotComparable, RowsDiffer, RowsUnreadable


@dataclass
class Order:
    id: int
    price: Decimal


class Line(NamedTuple):
    id: int
    price: Decimal


TABLE = pa.table({"id": [1, 2], "price": pa.array([Decimal("1.20"), None], pa.decimal128(5, 2))})
TUPLES = [(1, Decimal("1.20")), (2, None)]
KINDS: dict[str, Any] = {
    "table": TABLE,
    "batch": TABLE.to_batches()[0],
    "dataset": pyarrow.dataset.dataset(TABLE),
    "pandas": pandas.DataFrame({"id": [1, 2], "price": [Decimal("1.20"), None]}),
    "pandas with numpy's numbers": pandas.DataFrame({"id": [1, 2], "price": [1.2, None]}),
    "duckdb": duckdb.from_arrow(TABLE),
    "dicts": [{"id": 1, "price": Decimal("1.20")}, {"id": 2}],
    "dataclasses": [Order(1, Decimal("1.20")), Order(2, None)],  # type: ignore[arg-type]
    "named tuples": [Line(1, Decimal("1.20")), Line(2, None)],  # type: ignore[arg-type]
    "tuples": TUPLES,
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_again_and_again(kind: str) -> None:
    columns = ["id", "price"] if kind == "tuples" else None
    rows = rows_of(KINDS[kind], columns=columns)
    for _ in range(2):
        assert_same_rows(TABLE, rows)
        assert rows.schema.names == ["id", "price"]
    # A list of plain tuples has the columns of the other table.
    assert_same_rows(TABLE, KINDS[kind])
    assert_same_rows(KINDS[kind], TABLE, "id")


def test_rows_are_rows_and_get_another_name() -> None:
    rows = rows_of(TABLE, "orders")
    assert rows_of(rows) is rows
    assert rows_of(rows, "other").name == "other"
    with pytest.raises(RowsDiffer, match="compare orders with the list"):
        assert_same_rows(rows, [{"id": 1, "price": 1}])


def test_a_reader_can_be_read_once_and_then_says_so() -> None:
    rows = rows_of(TABLE.to_reader(), "the reader")
    assert rows.table() == TABLE
    with pytest.raises(RowsUnreadable, match="read the reader again"):
        rows.batches()


def test_an_empty_list_has_no_rows_of_the_other_tables_columns() -> None:
    assert_same_rows(TABLE.slice(0, 0), [])
    assert differences(TABLE, []).missing == 2
    assert differences([], TABLE, "id").extra == 2
    assert_same_rows([], [])


@pytest.mark.parametrize("value", [None, 5, "orders", {"id": 1}, object(), pandas.Series([1])])
def test_another_kind_is_refused_with_the_list_of_those_that_are_accepted(value: Any) -> None:
    with pytest.raises(NotComparable) as caught:
        rows_of(value)
    for kind in (
        "table_rows.postgres",
        "PyArrow",
        "pandas",
        "Spark",
        "deltalake",
        "PyIceberg",
        "dataclasses",
    ):
        assert kind in caught.value.remedy


@pytest.mark.parametrize(
    ("rows", "columns", "seen"),
    [
        ([(1, 2)], None, "which columns"),
        ([(1, 2), (1,)], ["a", "b"], "it has 1 values for the 2 columns a, b"),
        ([{"a": 1}, 5], None, "it is a int"),
        ([{"a": 1}, {"a": "x"}], None, "no common Arrow type"),
        ([{"a": object()}], None, "no common Arrow type"),
    ],
)
def test_a_list_that_is_no_table_is_refused(rows: Any, columns: list[str] | None, seen: str) -> None:
    with pytest.raises(NotComparable) as caught:
        rows_of(rows, columns=columns).table()
    assert seen in caught.value.seen


def test_python_values_come_as_what_they_are() -> None:
    row = {
        "when": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
        "day": datetime.date(2026, 1, 2),
        "code": uuid.UUID(int=1),
        "data": b"x",
        "many": [1, None],
        "both": {"a": 1},
    }
    assert rows_of([row]).table().to_pylist() == [row]


def test_what_a_stream_raises_comes_out_as_it_is() -> None:
    def read() -> pa.RecordBatchReader:
        def batches() -> Any:
            yield from TABLE.to_batches()
            raise RowsUnreadable("read the second half", "the server is gone", "start it")

        return pa.RecordBatchReader.from_batches(TABLE.schema, batches())

    with pytest.raises(RowsUnreadable, match="read the second half"):
        assert_same_rows(TABLE, Rows("half", read))


def test_other_errors_of_a_stream_are_told_with_the_table() -> None:
    def read() -> pa.RecordBatchReader:
        def batches() -> Any:
            yield from ()
            raise OSError("disk on fire")

        return pa.RecordBatchReader.from_batches(TABLE.schema, batches())

    with pytest.raises(RowsUnreadable, match="read half") as caught:
        assert_same_rows(TABLE, Rows("half", read))
    assert "disk on fire" in caught.value.seen


@pytest.mark.parametrize(
    ("left", "right", "shown"),
    [
        ("a", "b", ("a", "b")),
        ("x" * 100, "x" * 100 + "y", ("...(80 more) " + "x" * 20, "...(80 more) " + "x" * 20 + "y")),
        (
            "a" + "x" * 99,
            "b" + "x" * 99,
            ("a" + "x" * 59 + " ...(40 more)", "b" + "x" * 59 + " ...(40 more)"),
        ),
    ],
)
def test_long_values_are_shortened_around_the_first_difference(
    left: str, right: str, shown: tuple[str, str]
) -> None:
    assert shortened(left, right) == shown


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0", True),
        ("100", "1e2", True),
        ("0", "-0.00", True),
        ("1", "-1", False),
        ("12", "120", False),
        ("0.12", "12", False),
        ("1e-400", "0", False),
        ("[true]", "[1]", False),
        ("null", '"null"', False),
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}', True),
        ('"\\u00e4"', '"ä"', True),
        ("nonsense", "nonsense", True),
        ("nonsense", "nonsense ", False),
        ("[" * 100_000, "[", False),
    ],
)
def test_json_texts_say_the_same(one: str, other: str, same: bool) -> None:
    assert (canonical_json(one) == canonical_json(other)) is same
