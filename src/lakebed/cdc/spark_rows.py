"""Rows of a Spark DataFrame as Arrow, without a Python object for each. Use `lakebed.cdc.rows.rows_of`.

They go through Parquet files in a temporary folder. Spark's own way to Arrow is closed on Java 21: Spark 3.5
has a version of Arrow that does not know its direct buffers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakebed.errors import RowsUnreadable
from lakebed.services.definition import LOOPBACK

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

# Instants as what they are, in UTC, and old dates as they are, not moved into the Julian calendar
# (Spark documentation, "Parquet Files", section "Configuration").
_SETTINGS = {
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
}


def read(frame: DataFrame) -> pa.RecordBatchReader:
    """Open a stream of the DataFrame's rows; Spark computes them anew.

    Raises:
        RowsUnreadable: Spark fails, or its executors are on other machines.
    """
    import pyarrow as pa
    from pyarrow.dataset import dataset
    from pyspark.sql.pandas.types import to_arrow_schema

    session = frame.sparkSession
    master = str(session.sparkContext.master)
    if not _is_of_this_machine(master):
        raise RowsUnreadable(
            "read a Spark DataFrame",
            f"its executors at {master} cannot write into this machine's folders",
            "write it as a Delta table and read that: `table_rows.delta(path)`",
        )
    schema = to_arrow_schema(frame.schema)
    folder = tempfile.TemporaryDirectory(prefix="lakebed-spark-rows-")
    try:
        with _settings(session):
            frame.write.parquet(f"file://{folder.name}/rows")
    except Exception as error:
        folder.cleanup()
        raise RowsUnreadable("read a Spark DataFrame", str(error), "see what Spark says of it") from error

    def batches() -> Iterator[pa.RecordBatch]:
        with folder:
            # The schema of the files has what Parquet can say; Spark's says what the columns are.
            for batch in dataset(f"{folder.name}/rows", format="parquet").to_batches():
                yield batch.cast(schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _is_of_this_machine(master: str) -> bool:
    """Whether the executors have the driver's folders: threads, `local-cluster`, or a cluster on loopback."""
    return master.startswith(("local", f"spark://{LOOPBACK}:", "spark://localhost:"))


@contextmanager
def _settings(session: SparkSession) -> Iterator[None]:
    before = {name: session.conf.get(name, None) for name in _SETTINGS}
    for name, value in _SETTINGS.items():
        session.conf.set(name, value)
    try:
        yield
    finally:
        for name, former in before.items():
            if former is None:
                session.conf.unset(name)
            else:
                session.conf.set(name, former)
