"""New rows of the ledger as a query of Spark's, and the checkpoint that says where it goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from lake.pipelines.received import RawObject
from schemas.tables.bronze import RAW_OBJECTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

    from lake.pipelines.opened import Lake

CHECKPOINT = "_stream/checkpoint"
OBJECT_FIELDS = tuple(field.name for field in dataclasses.fields(RawObject))


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How often the query looks for new objects, and how many flushes it takes at once."""

    interval_seconds: float = 10.0
    flushes_per_batch: int = 200
    once: bool = False


def started_query(
    lake: Lake, options: StreamOptions, process: Callable[[DataFrame, int], None]
) -> StreamingQuery:
    """A running query that hands OBJECT_FIELDS of new raw objects to `process`, batch by batch."""
    lake.ledger.rows(dates=[])  # makes the table where there is none
    objects = (
        lake.spark.readStream.format("delta")
        .option("maxFilesPerTrigger", options.flushes_per_batch)
        .load(lake.store.uri(RAW_OBJECTS.path))
        .where(~F.col("is_quarantine"))
        .select(*OBJECT_FIELDS)
    )
    writer = objects.writeStream.foreachBatch(process).option(
        "checkpointLocation", lake.store.uri(CHECKPOINT)
    )
    if options.once:
        writer = writer.trigger(availableNow=True)
    else:
        writer = writer.trigger(processingTime=f"{options.interval_seconds} seconds")
    return writer.queryName("lmslake").start()


def drop_checkpoint(lake: Lake) -> None:
    """Remove the checkpoint with its hidden files, which the object store does not list."""
    spark: Any = lake.spark
    path = spark._jvm.org.apache.hadoop.fs.Path(lake.store.uri(CHECKPOINT))
    path.getFileSystem(spark._jsc.hadoopConfiguration()).delete(path, True)
