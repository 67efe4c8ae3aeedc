"""Deduplication within a student, and sessions by inactivity gap."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

MICROS = 1_000_000


def micros(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def session_id(student_hash: Column, session_start_us: Column) -> Column:
    """First 32 hex of sha256(student_hash || session_start in microseconds)."""
    return F.substring(F.sha2(F.concat(student_hash, session_start_us.cast("string")), 256), 1, 32)


def drop_identical_duplicates(events: DataFrame) -> DataFrame:
    """Keep one row of each (student, ts, event, body); a row of silver (is_new false) is kept.

    Wants events hash-partitioned by student_hash and needs no other shuffle: rows with the same
    body have the same student. In and out: student_hash, ts_us, event_id, _body_hash, is_new, ….
    """
    ordered = Window.partitionBy("student_hash").orderBy(
        "ts_us", "event_id", "_body_hash", "is_new"
    )
    same_as_previous = (F.lag("event_id").over(ordered) == F.col("event_id")) & (
        F.lag("_body_hash").over(ordered) == F.col("_body_hash")
    )
    flagged = events.withColumn("is_duplicate", F.coalesce(same_as_previous, F.lit(False)))
    return flagged.where(~F.col("is_duplicate")).drop("is_duplicate")


def sessionise(events: DataFrame, gap: timedelta) -> DataFrame:
    """Open a new session where a student was silent for longer than `gap`.

    In: student_hash, ts_us, event_id, course_id, chapter_id, …
    Out: the same and session_id, session_start, gap_before_us (null: first of its session),
    gap_after_us (null: last of its session), is_visit_end (null: no chapter).
    A silence of exactly `gap` does not open a session.
    """
    gap_us = micros(gap)
    by_time = Window.partitionBy("student_hash").orderBy("ts_us", "event_id")
    so_far = by_time.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    ts_us = F.col("ts_us")
    silence_before = ts_us - F.lag("ts_us").over(by_time)
    silence_after = F.lead("ts_us").over(by_time) - ts_us
    # A lead over a struct would be one buffer read less, but costs an allocation per row.
    stays_in_chapter = F.col("chapter_id").eqNullSafe(F.lead("chapter_id").over(by_time)) & F.col(
        "course_id"
    ).eqNullSafe(F.lead("course_id").over(by_time))
    neighbours = events.withColumns(
        {
            "gap_before_us": F.when(silence_before <= gap_us, silence_before),
            "gap_after_us": F.when(silence_after <= gap_us, silence_after),
            "stays_in_chapter": stays_in_chapter,
        }
    )
    opens = F.col("gap_before_us").isNull()
    starts = neighbours.withColumns(
        {
            "session_start_us": F.last(F.when(opens, ts_us), ignorenulls=True).over(so_far),
            "session_id": F.last(
                F.when(opens, session_id(F.col("student_hash"), ts_us)), ignorenulls=True
            ).over(so_far),
        }
    )
    ends_visit = F.col("gap_after_us").isNull() | ~F.col("stays_in_chapter")
    return starts.withColumns(
        {
            "session_start": F.timestamp_micros("session_start_us"),
            "is_visit_end": F.when(F.col("chapter_id").isNotNull(), ends_visit),
        }
    ).drop("session_start_us", "stays_in_chapter")
