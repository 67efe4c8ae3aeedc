"""What follows from silver.events: sessions, gold and features, day by day."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.transforms.activity import (
    chapter_engagement,
    chapter_progress,
    daily_activity,
    question_attempts,
    question_summary,
    video_views,
)
from lake.transforms.features import HORIZON_DAYS, student_features
from lake.transforms.sessions import sessions_of
from schemas.tables import TABLES

if TYPE_CHECKING:
    from lake.gates import Gate
    from lake.pipelines.build import Lake
    from lake.pipelines.journal import Touched


def publish_days(lake: Lake, gate: Gate, name: str, rows: DataFrame, dates: Iterable[date]) -> None:
    """Put rows in place of the table's given days, behind the gate."""
    days = sorted(dates)
    lake.check_lease()
    gate.publish(
        TABLES[name],
        rows,
        days,
        lambda checked: lake.tables.replace_dates(name, checked, days, gate.build_id),
    )


# What sessions and gold follow from, of a row of silver.events.
SOURCE_COLUMNS = (
    "date", "student_hash", "event_id", "event_type", "ts", "course_id", "chapter_id", "quiz_id",
    "question_id", "metadata", "device_type", "session_start", "gap_before_seconds",
    "gap_after_seconds", "is_visit_end", "page_dwell_seconds",
)  # fmt: skip


def publish_sessions(lake: Lake, gate: Gate, events: DataFrame, dates: frozenset[date]) -> None:
    """silver.sessions of the days, from complete sessions that start on them."""
    publish_days(lake, gate, "silver.sessions", sessions_of(events), dates)


def publish_gold(lake: Lake, gate: Gate, events: DataFrame, dates: frozenset[date]) -> None:
    """Gold tables of the days, from all their events."""
    with ExitStack() as caches:
        videos = cached(video_views(events), caches)
        progress = cached(chapter_progress(events, videos), caches)
        attempts = cached(question_attempts(events), caches)
        rows = {
            "gold.student_daily_activity": daily_activity(events, videos),
            "gold.student_chapter_progress": progress,
            "gold.chapter_engagement": chapter_engagement(progress),
            "gold.student_question_attempts": attempts,
            "gold.question_attempts_summary": question_summary(attempts),
        }
        for name, table_rows in rows.items():
            publish_days(lake, gate, name, table_rows, dates)


def stored_events(lake: Lake, touched: Touched) -> DataFrame:
    """Events of the touched days, and of the sessions that start on the touched days of sessions.

    Two scans, each with a condition that the table's file statistics can answer.
    """
    stored = lake.tables.read("silver.events")
    on_dates = F.col("date").isin(sorted(touched.dates))
    if not touched.session_dates:
        return stored.where(on_dates).select(*SOURCE_COLUMNS)
    of_sessions = stored.where(
        (F.col("date") >= F.lit(min(touched.session_dates))) & starts_on(touched.session_dates)
    )
    return stored.where(on_dates).unionByName(of_sessions.where(~on_dates)).select(*SOURCE_COLUMNS)


def starts_on(dates: Iterable[date]) -> Column:
    """Whether session_start lies on one of the days; a range for each run of days."""
    runs: list[list[date]] = []
    for day in sorted(dates):
        if runs and day == runs[-1][-1] + timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    started = F.col("session_start")
    found = F.lit(False)
    for run in runs:
        until = F.lit(run[-1] + timedelta(days=1)).cast("timestamp")
        found = found | ((started >= F.lit(run[0]).cast("timestamp")) & (started < until))
    return found


def feature_dates(touched: Iterable[date], newest: date, newest_before: date | None) -> set[date]:
    """Days whose features follow from the touched days, or lie past the newest day before."""
    days = {
        day + timedelta(days=shift)
        for day in touched
        for shift in range(HORIZON_DAYS + 1)
        if day + timedelta(days=shift) <= newest
    }
    if newest_before is not None and newest_before < newest:
        # Later days than HORIZON_DAYS after the old newest one hold no row of its students.
        until = min(newest, newest_before + timedelta(days=HORIZON_DAYS))
        days |= {
            newest_before + timedelta(days=shift)
            for shift in range(1, (until - newest_before).days + 1)
        }
    return days


def publish_features(lake: Lake, gate: Gate, touched: Touched) -> None:
    """features.student_features of every day that the touched days reach."""
    active_days = lake.tables.days("gold.student_daily_activity")
    if not active_days:
        return
    newest = active_days[-1]
    known_days = lake.tables.days("features.student_features")
    days = feature_dates(touched.dates, newest, known_days[-1] if known_days else None)
    if not days:
        return
    window = lake.tables.read("gold.student_daily_activity").where(
        F.col("date").between(min(days) - timedelta(days=HORIZON_DAYS), max(days))
    )
    rows = student_features(window, sorted(days), newest)
    publish_days(lake, gate, "features.student_features", rows, days)


def publish_derived(lake: Lake, gate: Gate, touched: Touched, events: DataFrame | None) -> None:
    """Publish everything that follows from silver.events for the touched days.

    `events` are all events of the days where the caller has them at hand, and None to read them.
    """
    with ExitStack() as caches:
        of_sessions = of_days = events
        if of_sessions is None or of_days is None:
            stored = cached(stored_events(lake, touched), caches)
            of_sessions = stored.where(starts_on(touched.session_dates))
            of_days = stored.where(F.col("date").isin(sorted(touched.dates)))
        if touched.session_dates:
            publish_sessions(lake, gate, of_sessions, touched.session_dates)
        if touched.dates:
            publish_gold(lake, gate, of_days, touched.dates)
            publish_features(lake, gate, touched)
