"""Rows of a Spark DataFrame as Arrow, without a Python object for each. Use `lakebed.cdc.rows.rows_of`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


def read(frame: DataFrame) -> pa.RecordBatchReader:
    """Open a stream of the DataFrame's rows; Spark computes them anew.

    Each batch comes as one row that holds it in Arrow's stream format, so that Spark's own iteration over
    partitions can carry it.
    """
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_schema

    schema = to_arrow_schema(frame.schema)

    def batches() -> Iterator[pa.RecordBatch]:
        for row in frame.mapInArrow(_packed, "batch binary").toLocalIterator():
            with pa.ipc.open_stream(row.batch) as stream:
                for batch in stream:
                    yield batch.cast(schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _packed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Runs in Spark's Python workers."""
    import pyarrow as pa

    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], ["batch"])
