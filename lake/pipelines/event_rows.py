"""Rows of silver.events on their way: which columns are given, which follow from neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.pipelines.received import RawObject, object_rows
from schemas.expectations import Expectation
from schemas.tables import TABLES

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake

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
# What Spark's own pages call the rows of `cached`.
KEPT = "rows kept by lmslake"


@dataclass
class SilverChange:
    """What a set of raw objects changes in silver.events; all frames are cached.

    events: complete rows, new and old, of every session that the objects touch, with is_new and
    old_<placement> columns. losers: rows of conflicting duplicates. duplicate_count: rows of
    events beyond the first of their identity, as counted. rejected: received rows that broke an
    expectation, with `violation`; violations: how many broke which.
    """

    events: DataFrame
    losers: DataFrame | None
    has_history: bool
    received_count: int
    row_count: int
    duplicate_count: int
    rejected: DataFrame | None
    violations: Mapping[str, int] = field(default_factory=dict)


def volume(change: SilverChange) -> tuple[Expectation, float]:
    """Events against the records that they came from: some, and without history no more."""
    records = change.received_count - sum(change.violations.values())
    losers = change.losers.count() if change.losers is not None else 0
    name = "events_of_records"
    meaning = "valid records become events, and no more events than they are"
    most = None if change.has_history else records
    return Expectation(name, meaning, name, min(records, 1), most), change.row_count + losers


def cached(frame: DataFrame, caches: ExitStack, *, at_once: bool = False) -> DataFrame:
    """The frame's rows, kept until `caches` is closed, behind a plan of one node.

    They are computed by the first job that reads them, or `at_once`. Not by `persist`: its frames
    carry the whole plan that made them, which Spark goes through again at each step from there,
    and it computes them anew whenever a table is written to that they were read from.
    """
    kept = frame.localCheckpoint(eager=at_once, storageLevel=STORAGE)
    rows = kept._jdf.queryExecution().analyzed().rdd().setName(KEPT)
    caches.callback(lambda: rows.unpersist(False))
    return kept


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
