"""PostgreSQL's types in change events, compared with what PostgreSQL itself says of the same rows."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from lakebed.cdc.event_catalog import HandlingModes
from lakebed.cdc.events import ABSENT, Row
from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.connectors import DebeziumConnectors
from lakebed.pytest_plugin.events import ChangeEvents

CONTRACT = HandlingModes(time_precision_mode="adaptive_time_microseconds")
MODES = {
    "contract": CONTRACT,
    "adaptive, double": HandlingModes(
        decimal_handling_mode="double",
        binary_handling_mode="base64",
        interval_handling_mode="string",
        hstore_handling_mode="map",
    ),
    "connect, string": HandlingModes(
        time_precision_mode="connect", decimal_handling_mode="string", binary_handling_mode="hex"
    ),
    "isostring": HandlingModes(
        time_precision_mode="isostring", binary_handling_mode="base64-url-safe", money_fraction_digits=3
    ),
    "microseconds": HandlingModes(time_precision_mode="microseconds"),
    "nanoseconds": HandlingModes(time_precision_mode="nanoseconds"),
}
FORMS: dict[str, dict[str, Any]] = {
    "JSON": {},
    "JSON with schemas": {"value_converter_schemas_enable": True, "key_converter_schemas_enable": True},
    "Avro": {"avro": True},
}

# Columns whose values psycopg returns as the decoder does.
NATURAL = {
    "small": ("smallint", "-32768", "32767", "0"),
    "whole": ("int", "-2147483648", "2147483647"),
    "large": ("bigint", "-9223372036854775808", "9223372036854775807"),
    "oids": ("oid", "4294967295", "0"),
    "single": (
        "real",
        "1.1",
        "'NaN'",
        "'Infinity'",
        "'-Infinity'",
        "3.4028235e38",
        "1e-45",
        "0.1",
        "16777217",
    ),
    "twice": ("double precision", "1.1", "'NaN'", "'-Infinity'", "1.7976931348623157e308", "5e-324", "-0.0"),
    "yes": ("boolean", "true", "false"),
    "text": ("text", "''", "'tœxt 𝄞 \"quoted\" \\'", "'NULL'", "E'a\\nb\\tc'"),
    "short": ("varchar(9)", "'vé'", "''", "'123456789'"),
    "padded": ("char(5)", "'ab'", "''"),
    "days": (
        "date",
        "'2024-02-29'",
        "'0001-01-01'",
        "'9999-12-31'",
        "'1969-12-31'",
        "'1582-10-04'",
        "'1582-10-15'",
    ),
    "instant": (
        "timestamptz",
        "'2024-03-31 02:30:00.123456+01'",
        "'2024-10-27 02:30:00+02'",
        "'0001-01-01 00:00:00+00'",
        "'9999-12-31 23:59:59.999999+00'",
        "'1969-12-31 23:59:59.5+00'",
    ),
    "identity": ("uuid", "'6f1c2c9e-0b1a-4b7e-8a37-1d9d5c3d1111'", "'00000000-0000-0000-0000-000000000000'"),
    "document": ("json", '\'{"a": [1, null, "é"], "a b": 1.50}\'', "'[]'", "'\"text\"'", "'12'"),
    "binary_document": ("jsonb", '\'{"b": {"c": []}}\'', "'true'", "'1e3'"),
    "mood": ("mood", "'glad'", "'very, \"sad\"'"),
    "bits": ("bit(5)", "B'10101'", "B'00001'", "B'00000'"),
    "many_bits": ("bit(70)", "repeat('10', 35)::bit(70)", "repeat('01', 35)::bit(70)"),
    "wholes": ("int[]", "'{1,NULL,-3}'", "'{}'"),
    "larges": ("bigint[]", "'{9223372036854775807,NULL}'", "'{}'"),
    "twices": ("double precision[]", "'{1.5,NaN,-Infinity,NULL}'"),
    "singles": ("real[]", "'{1.1,0.1}'"),
    "texts": ("text[]", '\'{a,NULL,"b,c","","NULL"}\'', "'{}'"),
    "flags": ("boolean[]", "'{t,f,NULL}'"),
    "dates": ("date[]", "'{2024-01-01,NULL,1969-12-31}'"),
    "instants": ("timestamptz[]", "'{2024-01-01 10:00:00.123456+00}'"),
    "identities": ("uuid[]", "'{6f1c2c9e-0b1a-4b7e-8a37-1d9d5c3d1111,NULL}'"),
    "documents": ("jsonb[]", "ARRAY['{\"a\": 1}', NULL]::jsonb[]"),
    "bytes": ("bytea", r"'\x00ff10'", r"'\x'", r"'\xfbefff'"),
    "some_bytes": ("bytea[]", r"ARRAY['\x00ff', '\xfb', NULL]::bytea[]"),
    "padded_list": ("char(3)[]", "'{abc,de}'"),
}

# Columns that stay text: PostgreSQL's own text of them.
TEXT = {
    "address": ("inet", "'10.0.0.1/8'", "'::1'", "'192.168.0.1'"),
    "network": ("cidr", "'10.0.0.0/8'"),
    "hardware": ("macaddr", "'08:00:2b:01:02:03'"),
    "long_hardware": ("macaddr8", "'08:00:2b:01:02:03:04:05'"),
    "whole_range": ("int4range", "'[1,5)'", "'empty'", "'(,5)'"),
    "number_range": ("numrange", "'(1.5,)'"),
    "date_range": ("daterange", "'[2024-01-01,2024-02-01)'"),
    "time_range": ("tsrange", "'[2024-01-01 10:00, 2024-01-02 11:00)'"),
    "markup": ("xml", "'<a>é</a>'"),
    "words": ("tsvector", "'a b'"),
    "ignoring_case": ("citext", "'MiXed'"),
}
TEXT_ARRAYS = {
    "moods": ("mood[]", "'{sad,glad}'", "'{}'"),
    "addresses": ("inet[]", "'{10.0.0.1/8}'"),
    "ranges": ("int4range[]", "'{\"[1,5)\"}'"),
}
NUMBERS = {
    "price": ("numeric(10,2)", "12345.67", "-99999999.99", "0"),
    "exact": ("numeric(38,10)", "-1234567890.0123456789", "9999999999999999999999999999.9999999999"),
    "hundreds": ("numeric(5,-2)", "123400", "-100"),
    "free": ("numeric", "1.5", "1e20", "-1e-30", "0", "123456789012345678901234567890.1234567890"),
    "positive": ("positive", "3.5"),
    "prices": ("numeric(10,2)[]", "'{1.5,NULL,-0.01}'"),
    "frees": ("numeric[]", "'{1.5,2.25,NULL}'"),
}
TIMES = {
    "clock": ("time", "'23:59:59.123456'", "'00:00:00'", "'00:00:00.000001'"),
    "clock_3": ("time(3)", "'10:11:12.123'"),
    "clock_0": ("time(0)", "'10:11:12'"),
    "stamp": (
        "timestamp",
        "'2024-03-31 02:30:00.123456'",
        "'1969-12-31 23:59:59.123456'",
        "'1900-01-01 00:00:00'",
        "'2200-01-01 12:00:00.000001'",
    ),
    "stamp_3": ("timestamp(3)", "'2024-03-31 02:30:00.123'", "'1969-12-31 23:59:59.999'"),
    "stamp_0": ("timestamp(0)", "'2024-03-31 02:30:00'"),
    "stamps": ("timestamp[]", "'{2024-01-01 10:00:00.123456,NULL}'"),
    # Debezium cuts the times in an array after milliseconds, and those with a zone after seconds.
    "clocks": ("time[]", "'{10:11:12.123,NULL}'"),
}
ZONED = {"zoned": ("timetz", "'10:11:12.123456+02'", "'01:00:00+02'", "'23:30:00-05'")}
OTHERS = {
    "money": ("money", "12.34", "-0.01"),
    "place": ("point", "'(1.5,-2)'"),
    "pairs": ("hstore", '\'a=>1,b=>NULL,"c d"=>""\'', "''"),
    "span": ("interval", "'3 days 04:05:06.789'", "'-00:00:00.000001'", "'-2 days'"),
}
ALL: dict[str, tuple[str, ...]] = {
    **NATURAL,
    **TEXT,
    **TEXT_ARRAYS,
    **NUMBERS,
    **TIMES,
    **ZONED,
    **OTHERS,
}
ROWS = max(len(values) for _, *values in ALL.values())


def expected_columns(modes: HandlingModes) -> dict[str, str]:
    """Return, for each column, the SQL whose result psycopg reads as the value an event must have."""
    columns = {name: f'"{name}"' for name in NATURAL}
    # A cast to text writes the network of an address also where its own output does not.
    columns |= {name: f'CASE WHEN "{name}" IS NOT NULL THEN format(\'%s\', "{name}") END' for name in TEXT}
    columns |= {name: f'"{name}"::text[]' for name in TEXT_ARRAYS}
    columns |= {name: f"timezone('UTC', \"{name}\")" for name in ZONED}
    number = {"precise": "numeric", "double": "float8", "string": "text"}[modes.decimal_handling_mode]
    for name, (kind, *_) in NUMBERS.items():
        columns[name] = f'"{name}"::{number}{"[]" if kind.endswith("[]") else ""}'
    # Debezium takes a negative scale for 2046 digits behind the point, and so many zeros stand in the text.
    if modes.decimal_handling_mode == "string":
        columns["hundreds"] = "hundreds::numeric(1000,2)::text || repeat('0', 2044)"
    for name, (kind, *_) in TIMES.items():
        cut = f"::{kind.split('(')[0].split('[')[0]}(3){'[]' if kind.endswith('[]') else ''}"
        columns[name] = f'"{name}"{cut if modes.time_precision_mode == "connect" else ""}'
    columns["money"] = f"money::numeric::{number}"
    columns["place"] = "CASE WHEN place IS NOT NULL THEN ARRAY[place[0], place[1]] END"
    columns["pairs"] = "hstore_to_json(pairs)"
    columns["span"] = "span"
    return columns


def as_settings(modes: HandlingModes) -> dict[str, Any]:
    """Return the fields of a connector's configuration for these modes."""
    given = dataclasses.asdict(modes)
    fields = {name: given.pop(name) for name in ("decimal_handling_mode", "time_precision_mode")}
    return {**fields, "extra_config": {name.replace("_", "."): str(value) for name, value in given.items()}}


def make_types(database: psycopg.Connection[Any]) -> None:
    """Make the types that the tables below need."""
    database.execute("CREATE EXTENSION hstore")
    database.execute("CREATE EXTENSION citext")
    database.execute("CREATE TYPE mood AS ENUM ('sad', 'glad', 'very, \"sad\"')")
    database.execute("CREATE DOMAIN positive AS numeric(6,2) CHECK (value > 0)")


def make_table(database: psycopg.Connection[Any], columns: Mapping[str, tuple[str, ...]]) -> None:
    definitions = ", ".join(f'"{name}" {kind}' for name, (kind, *_) in columns.items())
    database.execute(f"CREATE TABLE wide (id int PRIMARY KEY, {definitions})".encode())


def insert(database: psycopg.Connection[Any], columns: Mapping[str, tuple[str, ...]], first: int) -> None:
    """Insert each value of each column, and a row of nothing."""
    for row in range(ROWS):
        values = ", ".join(choices[row % len(choices)] for _, *choices in columns.values())
        database.execute(f"INSERT INTO wide VALUES ({first + row}, {values})".encode())
    database.execute(f"INSERT INTO wide (id) VALUES ({first + ROWS})".encode())


def rows_of(database: psycopg.Connection[Any], columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the table's rows as PostgreSQL and psycopg have them."""
    database.execute("SET timezone = 'UTC'")
    expressions = ", ".join(f'{expression} AS "{name}"' for name, expression in columns.items())
    with database.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(f"SELECT id, {expressions} FROM wide ORDER BY id".encode()).fetchall()


def comparable(value: Any) -> Any:
    """Return a value that equals itself, also NaN, and of which 1 and True and 1.0 are different."""
    if isinstance(value, (list, tuple)):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items()}
    if isinstance(value, float):
        return ("float", repr(value))
    return (type(value).__name__, value)


def assert_equal_rows(form: str, events: list[Row], expected: list[dict[str, Any]]) -> None:
    assert [row["id"] for row in events] == [row["id"] for row in expected]
    for row, should in zip(events, expected, strict=True):
        for name, value in should.items():
            if name == "place" and value is not None:
                assert isinstance(row[name], tuple)
            where = f"{form}: column {name} of row {row['id']}"
            assert comparable(row[name]) == comparable(value), where


def rows_after(change_events: ChangeEvents, connector: Connector) -> list[Row]:
    return [
        event.after for event in change_events(connector.topic("wide"), connector=connector) if event.after
    ]


@pytest.mark.lakebed("schema-registry")
@pytest.mark.parametrize("modes", MODES.values(), ids=MODES)
def test_every_type_in_every_mode_and_form(
    modes: HandlingModes,
    postgres_connection: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    columns = dict(ALL)
    if modes.interval_handling_mode == "string":
        del columns["span"]
    make_types(postgres_connection)
    make_table(postgres_connection, columns)
    # The first rows come from a snapshot, the others from the log: two ways through Debezium.
    insert(postgres_connection, columns, 0)
    settings = as_settings(modes)
    connectors = {form: debezium_connectors(**settings, **more) for form, more in FORMS.items()}
    insert(postgres_connection, columns, 100)
    wanted = {name: sql for name, sql in expected_columns(modes).items() if name in columns}
    expected = rows_of(postgres_connection, wanted)
    for form, connector in connectors.items():
        assert_equal_rows(form, rows_after(change_events, connector), expected)


# What Python has no value for.
STRANGE_TIMES = {
    "day": ("date", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'5874897-12-31'", "'4713-01-01 BC'"),
    "instant": (
        "timestamptz",
        "'infinity'",
        "'-infinity'",
        "'0044-03-15 12:00:00.123456+00 BC'",
        "'294276-12-31 23:59:59.999999+00'",
        "'10000-01-01 00:00:00+00'",
    ),
    "stamp": (
        "timestamp",
        "'infinity'",
        "'-infinity'",
        "'0044-03-15 12:00:00.123 BC'",
        "'10000-01-01'",
        "'0001-12-31 23:59:59.5 BC'",
    ),
    "stamp_3": ("timestamp(3)", "'infinity'", "'-infinity'", "'0044-03-15 12:00:00.12 BC'"),
}
MIDNIGHT = {"end_of_day": ("time", "'24:00'")}


@pytest.mark.lakebed("schema-registry")
@pytest.mark.parametrize(
    "mode", ["adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds"]
)
def test_what_python_has_no_value_for_is_the_text_of_postgresql(
    mode: str,
    postgres_connection: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    # In ISO 8601 Debezium writes the end of a day as its beginning.
    columns = STRANGE_TIMES if mode == "isostring" else {**STRANGE_TIMES, **MIDNIGHT}
    make_table(postgres_connection, columns)
    # A snapshot, unlike the log, has dates before Christ as if they were after.
    days = [value for value in columns["day"][1:] if "BC" not in value]
    insert(postgres_connection, {**columns, "day": ("date", *days)}, 0)
    connectors = {form: debezium_connectors(time_precision_mode=mode, **more) for form, more in FORMS.items()}
    insert(postgres_connection, columns, 100)
    expected = rows_of(postgres_connection, {name: f'"{name}"::text' for name in columns})
    for form, connector in connectors.items():
        assert_equal_rows(form, rows_after(change_events, connector), expected)


@pytest.mark.lakebed("schema-registry")
@pytest.mark.parametrize(("mode", "kept"), [("precise", False), ("double", True)])
def test_numbers_that_are_none_are_lost_by_precise_decimals(
    mode: str,
    kept: bool,
    postgres_connection: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    columns = {"free": ("numeric", "'NaN'", "'Infinity'", "'-Infinity'"), "price": ("numeric(9,2)", "'NaN'")}
    make_table(postgres_connection, columns)
    connectors = {
        form: debezium_connectors(decimal_handling_mode=mode, **more) for form, more in FORMS.items()
    }
    insert(postgres_connection, columns, 0)
    sql = "{}::float8" if kept else "NULLIF({0}, {0})"
    expected = rows_of(postgres_connection, {name: sql.format(name) for name in columns})
    for form, connector in connectors.items():
        assert_equal_rows(form, rows_after(change_events, connector), expected)


@pytest.mark.lakebed("schema-registry")
def test_an_interval_of_months_has_the_days_of_an_average_month(
    postgres_connection: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE wide (id int PRIMARY KEY, span interval)")
    connectors = {form: debezium_connectors(**more) for form, more in FORMS.items()}
    as_text = debezium_connectors(extra_config={"interval.handling.mode": "string"})
    postgres_connection.execute("INSERT INTO wide VALUES (1, '1 year 2 months 3 days 04:05:06.789')")
    months = "extract(year FROM span) * 12 + extract(month FROM span)"
    rest = "make_interval(days => extract(day FROM span)::int, secs => extract(epoch FROM span::time))"
    average = f"make_interval(hours => (({months}) * 30.4375 * 24)::int) + {rest}"
    row = postgres_connection.execute(f"SELECT {average} FROM wide".encode()).fetchone()
    assert row is not None
    for connector in connectors.values():
        (after,) = rows_after(change_events, connector)
        assert isinstance(after["span"], timedelta)
        assert after["span"] == row[0]
    (after,) = rows_after(change_events, as_text)
    postgres_connection.execute("INSERT INTO wide VALUES (2, %s)", [after["span"]])
    (spans,) = postgres_connection.execute("SELECT count(DISTINCT span) FROM wide").fetchall()
    assert spans == (1,)


@pytest.mark.lakebed("schema-registry")
def test_what_debezium_does_not_capture_is_absent_and_null_is_none(
    postgres_connection: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE wide (id int PRIMARY KEY, nothing text, path line)")
    connectors = [debezium_connectors(**more) for more in FORMS.values()]
    postgres_connection.execute("INSERT INTO wide VALUES (1, NULL, '{1,2,3}')")
    for connector in connectors:
        (after,) = rows_after(change_events, connector)
        assert (after["nothing"], after["path"]) == (None, ABSENT)
        assert set(after) == {"id", "nothing"}


@pytest.mark.lakebed("schema-registry")
def test_a_bit_varying_has_the_zeros_up_to_its_limit(
    postgres_connection: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE wide (id int PRIMARY KEY, limited varbit(9), unlimited varbit)")
    connectors = [debezium_connectors(**more) for more in FORMS.values()]
    postgres_connection.execute("INSERT INTO wide VALUES (1, B'101', B'00101')")
    row = postgres_connection.execute(
        "SELECT 1, lpad(limited::text, 9, '0'), ltrim(unlimited::text, '0') FROM wide"
    ).fetchone()
    for connector in connectors:
        (after,) = rows_after(change_events, connector)
        assert tuple(after.values()) == row


@pytest.mark.lakebed("schema-registry")
def test_keys_have_their_types_too_also_those_of_tombstones(
    postgres_connection: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute(
        "CREATE TABLE wide (account uuid, price numeric(9,2), at timestamp, day date, content bytea,"
        " PRIMARY KEY (account, price, at, day, content))"
    )
    connectors = [debezium_connectors(**more) for more in FORMS.values()]
    postgres_connection.execute(
        "INSERT INTO wide VALUES"
        " (gen_random_uuid(), 1.50, '2024-03-31 02:30:00.123456', '2024-02-29', '\\x00ff')"
    )
    expected = postgres_connection.execute("SELECT * FROM wide").fetchone()
    postgres_connection.execute("DELETE FROM wide")
    for connector in connectors:
        events = list(change_events(connector.topic("wide"), connector=connector))
        assert [tuple(event.key.values()) for event in events if event.key] == [expected] * 3


def test_random_rows_are_those_of_postgresql(
    postgres_connection: psycopg.Connection[Any],
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    """Rows that nobody thought of; the seed stands in the assertion, to see the same ones again."""
    seed = random.randrange(2**32)
    chosen = random.Random(seed)
    postgres_connection.execute(
        "CREATE TABLE wide (id int PRIMARY KEY, free numeric, price numeric(30,7), day date, stamp timestamp,"
        " instant timestamptz, single real, twice float8, content bytea, text text, frees numeric[])"
    )
    connectors = {form: debezium_connectors(**more) for form, more in FORMS.items() if not more.get("avro")}
    rows = [(number, *_random_values(chosen)) for number in range(200)]
    with postgres_connection.cursor() as cursor:
        cursor.executemany("INSERT INTO wide VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", rows)
    columns = ("free", "price", "day", "stamp", "instant", "single", "twice", "content", "text", "frees")
    expected = rows_of(postgres_connection, {name: name for name in columns})
    for form, connector in connectors.items():
        assert_equal_rows(f"seed {seed}, {form}", rows_after(change_events, connector), expected)


def _random_values(chosen: random.Random) -> list[Any]:
    def number(digits: int, scale: int) -> Decimal:
        return Decimal(chosen.randint(-(10**digits), 10**digits)).scaleb(-scale)

    def moment() -> datetime:
        # Before 1582 another calendar rules in a part of pgjdbc.
        first = datetime(1583, 1, 1)
        span = (datetime(9999, 12, 31) - first).days
        return first + timedelta(days=chosen.randint(0, span), microseconds=chosen.randint(0, 86_399_999_999))

    letters = [chr(code) for code in range(1, 0x2FFF) if not 0xD800 <= code < 0xE000]
    return [
        number(27, chosen.randint(0, 40)),
        number(20, chosen.randint(0, 7)),
        date.fromordinal(moment().toordinal()),
        moment(),
        moment().replace(tzinfo=timezone.utc),
        chosen.uniform(-1e10, 1e10) * 10 ** chosen.randint(-20, 20),
        chosen.uniform(-1e300, 1e300),
        chosen.randbytes(chosen.randint(0, 50)),
        "".join(chosen.choices(letters, k=chosen.randint(0, 50))),
        [None if chosen.random() < 0.2 else number(10, 3) for _ in range(chosen.randint(0, 5))],
    ]
