"""Which rows of silver.events newly received events touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake import limits
from lake.pipelines.event_rows import EVENTS, IDENTITY, cached
from lake.time_spans import TimeSpans, day_span, slots_of
from lake.transforms.sessionise import micros, sessionise

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake

ONE_DAY = timedelta(days=1)
# What tells whether an old event is a neighbour, or a rival, of a received one.
NEAR_COLUMNS = (
    "student_hash", "ts", "session_id", "session_start", "date", "event_id", "_body_hash",
)  # fmt: skip


def _days_around(dates: Sequence[date]) -> set[date]:
    return {day + shift for day in dates for shift in (-ONE_DAY, timedelta(0), ONE_DAY)}


def _times_around(dates: Sequence[date], gap: timedelta) -> TimeSpans:
    """The days, and of the days before and after what is near enough to be a neighbour."""
    spans = map(day_span, dates)
    return TimeSpans.covering("ts", ((since - gap, until + gap) for since, until in spans))


def has_history(lake: Lake, dates: Sequence[date]) -> bool:
    """Whether silver.events holds anything that these dates' events could touch."""
    return not _days_around(dates).isdisjoint(lake.tables.days(EVENTS.name))


def _islands(received: DataFrame, gap_us: int) -> DataFrame:
    """Per student the spans in which an old event would be a neighbour of a received one.

    Out: student_hash, from_us, to_us (both inclusive).
    """
    runs = sessionise(
        received.select("student_hash", "ts_us", "event_id", "course_id", "chapter_id"),
        timedelta(microseconds=gap_us),
    )
    return (
        runs.groupBy("student_hash", "session_start")
        .agg((F.min("ts_us") - gap_us).alias("from_us"), (F.max("ts_us") + gap_us).alias("to_us"))
        .drop("session_start")
    )


def _stored(
    lake: Lake,
    days: Iterable[date],
    columns: Sequence[str],
    within: TimeSpans,
    having: DataFrame | None,
) -> DataFrame:
    """Columns of the rows of silver.events within the days and times.

    With `having` those that share a value with it, where they can be looked for without Spark.
    """
    if having is None:
        return lake.tables.read_days(EVENTS.name, days, columns=columns, within=within)
    return lake.tables.read_sharing(EVENTS.name, days, columns, having, within)


def _as_it_is(rows: DataFrame) -> DataFrame:
    return rows


def touched_history(
    lake: Lake,
    received: DataFrame,
    dates: Sequence[date],
    reset: bool,
    caches: ExitStack,
    at_most: int,
) -> DataFrame:
    """Rows of silver.events that belong to sessions which the received events touch.

    A session is touched when one of its events lies within the gap of a received one of the same
    student, or has the id of a received event and another body. With `reset` the dates' own rows
    are not history (they are replaced), but sessions that they shared with other days are. The
    rows are kept until `caches` is closed: what they were before anything is published. `at_most`
    so many events were received: where they are few, the days' rows need no shuffle.
    """
    is_little = at_most <= limits.COLLECTED_ROWS and not reset
    few = F.broadcast if is_little else _as_it_is
    gap_us = micros(lake.settings.session_gap)
    days, on_dates = _days_around(dates), F.col("date").isin(list(dates))
    around = _times_around(dates, lake.settings.session_gap)
    known = received.select("student_hash", "event_id") if is_little else None
    near = _stored(lake, days, NEAR_COLUMNS, around, known)
    keys = near.withColumn("ts_us", F.unix_micros("ts"))
    islands = few(_islands(received, gap_us)).alias("island")
    neighbours = (
        keys.alias("old")
        .join(
            islands,
            (F.col("old.student_hash") == F.col("island.student_hash"))
            & F.col("old.ts_us").between(F.col("island.from_us"), F.col("island.to_us")),
            "left_semi",
        )
        .select("session_id", "session_start")
    )
    rivals = (
        keys.alias("old")
        .join(few(received.select(*IDENTITY, "_body_hash")).alias("new"), list(IDENTITY))
        .where(F.col("old._body_hash") != F.col("new._body_hash"))
        .select("old.session_id", "old.session_start")
    )
    touched = neighbours.union(rivals)
    if reset:
        touched = touched.union(keys.where(on_dates).select("session_id", "session_start"))
    with ExitStack() as passing:
        touched = cached(touched.distinct(), passing)
        (slots,) = touched.agg(slots_of("session_start")).collect()[0]
        if not slots:
            return lake.tables.read_days(EVENTS.name, [])
        starts = TimeSpans.of_slots("session_start", slots)
        first = starts.spans[0][0].date()
        # A session may go on for days; statistics skip files of those that have none of these.
        since = [day for day in lake.tables.days(EVENTS.name) if day >= first]
        of_sessions = touched.select("session_id")
        having = of_sessions if is_little else None
        stored = _stored(lake, since, EVENTS.column_names, starts, having)
        rows = stored.join(of_sessions, "session_id", "left_semi")
        return cached(rows.where(~on_dates) if reset else rows, caches, at_once=True)
