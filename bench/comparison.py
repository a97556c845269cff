"""How long it takes, and how much memory, to prove that a Delta table holds the rows of PostgreSQL's.

Each way runs in a process of its own, whose peak of resident memory is measured: imports and all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from rich.table import Table

from bench.report import new_table, ratio
from bench.stacks import running
from lakebed.cdc.comparison import assert_same_rows
from lakebed.cdc.lake_rows import open_delta
from lakebed.cdc.rows import delta_rows, postgres_rows
from lakebed.config.settings import load_settings
from lakebed.services import postgres, s3
from lakebed.services.s3 import storage_options
from lakebed.stack.addresses import Addresses

ROWS = 1_000_000
PATH = f"s3://{s3.DELTA_BUCKET}/bench/comparison"
TABLE = f"""
    CREATE TABLE comparison AS SELECT
        id, 'customer ' || id AS name, md5(id::text) AS code, (id % 1000)::numeric(10, 2) + 0.25 AS price,
        id * 0.5::float8 AS weight, id % 2 = 0 AS paid, (id % 7)::smallint AS line,
        timestamptz '2026-01-01 00:00:00+00' + id * interval '1 second' AS at
    FROM generate_series(1, {ROWS}) AS id;
    ALTER TABLE comparison ADD PRIMARY KEY (id);
    ANALYZE comparison"""


def _streamed(port: int, endpoint: str) -> None:
    with postgres.connect(port, postgres.DATABASE) as connection:
        assert_same_rows(postgres_rows(connection, "comparison"), delta_rows(endpoint, PATH))


def _with_arrow(port: int, endpoint: str) -> None:
    """Both tables in memory as Arrow, cast, sorted and compared column for column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    target = pa.table(open_delta(endpoint, PATH).to_pyarrow_table()).sort_by("id")
    with postgres.connect(port, postgres.DATABASE) as connection:
        source = postgres_rows(connection, "comparison").table().sort_by("id")
    assert source.num_rows == target.num_rows
    for name in target.column_names:
        values = source[name]
        if isinstance(values.type, pa.BaseExtensionType):
            values = pa.chunked_array([chunk.storage for chunk in values.chunks])
        assert pc.all(pc.equal(values.cast(target[name].type), target[name])).as_py()


def _with_pandas(port: int, endpoint: str) -> None:
    """Both tables as pandas frames, as one writes it by hand."""
    import pandas

    target = open_delta(endpoint, PATH).to_pandas()
    with postgres.connect(port, postgres.DATABASE) as connection:
        cursor = connection.execute("SELECT * FROM comparison")
        assert cursor.description is not None
        source = pandas.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])
    frames = [frame.sort_values("id", ignore_index=True)[list(source)] for frame in (source, target)]
    pandas.testing.assert_frame_equal(*frames, check_dtype=False)


WAYS: Mapping[str, tuple[str, Callable[[int, str], None]]] = {
    "streamed": ("assert_same_rows", _streamed),
    "arrow": ("both in memory, PyArrow", _with_arrow),
    "pandas": ("both in memory, pandas", _with_pandas),
}


def _fill(port: int, endpoint: str) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    with postgres.connect(port, postgres.DATABASE) as connection:
        connection.execute(TABLE.encode())
        rows = postgres_rows(connection, "SELECT *, price::text AS exact FROM comparison").table()
    prices = pa.compute.cast(rows["exact"], pa.decimal128(10, 2))
    rows = rows.drop_columns("exact").set_column(rows.schema.get_field_index("price"), "price", prices)
    write_deltalake(PATH, rows, storage_options=storage_options(endpoint), target_file_size=16 * 2**20)


def _measured(way: str, port: int, endpoint: str) -> tuple[float, float]:
    """Return the seconds of a comparison and its process's peak memory in MB."""
    command = [sys.executable, "-m", "bench.comparison", way, str(port), endpoint]
    answer: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answer["seconds"], answer["megabytes"]


def _measure_here(way: str, port: int, endpoint: str) -> dict[str, Any]:
    started = time.monotonic()
    WAYS[way][1](port, endpoint)
    seconds = time.monotonic() - started
    # Not `ru_maxrss`, which a child has from its parent when that is bigger (Linux manual, getrusage(2)).
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return {"seconds": seconds, "megabytes": peak / 1024}


def run(rounds: int) -> Table:
    """Measure."""
    table = new_table(
        f"{ROWS:,} rows, Delta against PostgreSQL",
        f"8 columns, equal; each in a process of its own, imports included (median of {rounds}, in turns)",
        "way",
        "time",
        "peak memory",
        "time, ratio",
        "memory, ratio",
    )
    with running(["postgres", "s3"], load_settings({"stack": "own"})) as connection:
        addresses = Addresses(connection.status()["ports"])
        where = addresses.postgres_port, addresses.s3_endpoint
        _fill(*where)
        measured = [{way: _measured(way, *where) for way in WAYS} for _ in range(rounds)]
    figures = {way: [median(turn[way][of] for turn in measured) for of in (0, 1)] for way in WAYS}
    base = figures["streamed"]
    for way, (name, _) in WAYS.items():
        seconds, megabytes = figures[way]
        times = ratio(seconds, base[0]), ratio(megabytes, base[1])
        table.add_row(name, f"{seconds:.1f} s", f"{megabytes:.0f} MB", *times)
    return table


if __name__ == "__main__":
    print(json.dumps(_measure_here(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
