"""Rows of silver.events on their way: which columns are given, which follow from neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.pipelines.received import RawObject, object_rows
from lake.timestamps import from_microseconds
from schemas.tables import TABLES

if TYPE_CHECKING:
    from lake.pipelines.build import Lake

EVENTS = TABLES["silver.events"]
IDENTITY = ("date", "event_id")
LINEAGE = ("_topic", "_raw_path", "_ingested_at")
# What sessionising and the metrics of an event decide anew when its neighbours change.
PLACEMENT = (
    "session_id",
    "session_start",
    "gap_before_seconds",
    "gap_after_seconds",
    "is_visit_end",
    "page_dwell_seconds",
)
PLACED_LATER = {*PLACEMENT, "video_watch_pct", *LINEAGE}
BASE = tuple(name for name in EVENTS.column_names if name not in PLACED_LATER)
# Columns that a producer can get wrong; the others are ours, and a fault in them must stop a build.
RECEIVED = frozenset({"event_id", "event_type", "ts", "date"})
STORAGE = StorageLevel.MEMORY_AND_DISK


@dataclass
class SilverChange:
    """What a set of raw objects changes in silver.events; all frames are cached.

    events: complete rows, new and old, of every session that the objects touch, with is_new and
    old_<placement> columns. losers: rows of conflicting duplicates. duplicate_count: rows of
    events beyond the first of their identity, as counted.
    """

    events: DataFrame
    losers: DataFrame | None
    has_history: bool
    received_count: int
    row_count: int
    duplicate_count: int
    rejected: DataFrame | None


def cached(frame: DataFrame, caches: ExitStack) -> DataFrame:
    """The frame, cached until `caches` is closed.

    None may be left behind: Spark computes every cached frame anew when a table that it was read
    from is written to, which would make each build of a session slower than the one before.
    """
    frame = frame.persist(STORAGE)
    caches.callback(frame.unpersist)
    return frame


def with_lineage(lake: Lake, rows: DataFrame, objects: Sequence[RawObject]) -> DataFrame:
    """Resolve object_index to the LINEAGE columns; rows of silver keep theirs."""
    names = F.broadcast(object_rows(lake.spark, objects))
    named = rows.join(names, "object_index", "left")
    kept = {
        name: F.coalesce(name, f"old_{name}") for name in LINEAGE if f"old_{name}" in rows.columns
    }
    return named.withColumns(kept) if kept else named


def is_moved() -> Column:
    """Whether a row of silver has another place now than it had."""
    same = [F.col(name).eqNullSafe(F.col(f"old_{name}")) for name in PLACEMENT]
    unchanged = same[0]
    for column in same[1:]:
        unchanged = unchanged & column
    return ~F.col("is_new") & ~unchanged


def span_of(column: str) -> tuple[Column, Column]:
    """Aggregates for `time_span`: smallest and largest time as numbers.

    A collected timestamp would be naive local time of this machine.
    """
    return F.unix_micros(F.min(column)), F.unix_micros(F.max(column))


def time_span(first_us: int | None, last_us: int | None) -> tuple[datetime, datetime] | None:
    """What `span_of` found, aware and in UTC; None where there is no time."""
    if first_us is None or last_us is None:
        return None
    return from_microseconds(first_us), from_microseconds(last_us)
