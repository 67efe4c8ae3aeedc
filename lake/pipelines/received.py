"""Raw objects of the ledger as a DataFrame of events."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lake.errors import LakeError

if TYPE_CHECKING:
    from lake.storage import ObjectStore

# A shuffle partition should hold about this much of compressed raw data: ~100,000 events.
PARTITION_BYTES = 8 * 1024 * 1024
READ_CHUNK = 1 << 20
OBJECT_ROW = pa.schema(
    {
        "object_index": pa.int32(),
        "object_date": pa.date32(),
        "_raw_path": pa.string(),
        "_topic": pa.string(),
        "_ingested_at": pa.timestamp("us", "UTC"),
    }
)
# Spark's error conditions for a file that is damaged or not there, and the object they name.
UNREADABLE = re.compile(
    r"(?:FAILED_READ_FILE|PATH_NOT_FOUND).*?(events/raw/[^\s\"]+\.jsonl\.gz)", re.S
)


class RawObjectFault(LakeError):  # noqa: N818 - what was found, not a fault of the program
    """Raw objects are not what the ledger says. `path`: the one at fault, where it is known."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class RawObject:
    """What a build needs to know of one raw object: a row of the ledger."""

    path: str
    topic: str
    date: date
    record_count: int
    bytes: int
    ingested_at: datetime
    # Time of its newest event.
    max_ts: datetime


def partitions_for(objects: Sequence[RawObject], at_least: int) -> int:
    """Shuffle partitions for these objects."""
    return max(at_least, -(-sum(item.bytes for item in objects) // PARTITION_BYTES))


def object_rows(spark: SparkSession, objects: Sequence[RawObject]) -> DataFrame:
    """object_index, object_date, _raw_path, _topic, _ingested_at of the objects."""
    rows = [
        {
            "object_index": index,
            "object_date": item.date,
            "_raw_path": item.path,
            "_topic": item.topic,
            "_ingested_at": item.ingested_at,
        }
        for index, item in enumerate(objects)
    ]
    # As Arrow: Spark would start Python workers to read a Python list.
    return spark.createDataFrame(pa.Table.from_pylist(rows, OBJECT_ROW))


def read_lines(spark: SparkSession, store: ObjectStore, objects: Sequence[RawObject]) -> DataFrame:
    """value (a canonical line) and object_index of every record of the objects.

    Lines carry the index and not the path: the path would be copied per row through the shuffle.
    """
    index_of = {item.path.rsplit("/", 1)[-1]: index for index, item in enumerate(objects)}
    if len(index_of) != len(objects):
        # Names hold source, offsets and a digest of the content: only one content in two topics
        # could share one, and then a row's lineage would be a guess.
        raise LakeError("Two raw objects of one build have the same name; build their dates apart.")
    indexes = pa.array(index_of.values(), pa.int32())
    names = spark.createDataFrame(
        pa.table({"object_name": list(index_of), "object_index": indexes})
    )
    lines = spark.read.option("recursiveFileLookup", "true").text(
        [store.uri(item.path) for item in objects]
    )
    # The name is a constant of each file; cutting it out of the path would cost per row.
    return (
        lines.select("value", F.col("_metadata.file_name").alias("object_name"))
        .join(F.broadcast(names), "object_name")
        .select("value", "object_index")
    )


@contextmanager
def readable_objects() -> Iterator[None]:
    """Raises LakeError in place of Spark's error where a raw object is damaged or missing."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        found = UNREADABLE.search(str(error))
        if found is None:
            raise
        raise RawObjectFault(
            f"A raw object is damaged or missing: {found[1]}\n"
            "  Run `lmslake audit` to see which objects differ from the ledger.",
            found[1],
        ) from error


def is_readable(store: ObjectStore, path: str) -> bool:
    """Whether the object is there and whole. A store that does not answer raises its own error."""
    if not store.exists(path):
        return False
    try:
        with store.open(path) as body, gzip.open(body) as lines:
            while lines.read(READ_CHUNK):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    return True
