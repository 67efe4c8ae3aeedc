"""What follows from silver.events: sessions, gold and features, day by day."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
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
    gate.publish(
        TABLES[name],
        rows,
        days,
        lambda checked: lake.tables.replace_dates(name, checked, days, gate.build_id),
    )


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


def stored_events(lake: Lake, dates: frozenset[date]) -> DataFrame:
    return lake.tables.read("silver.events").where(F.col("date").isin(sorted(dates)))


def stored_sessions(lake: Lake, dates: frozenset[date]) -> DataFrame:
    """Events of the sessions that start on the dates, on whatever day they lie."""
    first, last = min(dates), max(dates) + timedelta(days=1)
    started = F.col("session_start")
    return lake.tables.read("silver.events").where(
        (F.col("date") >= F.lit(first))
        & (started >= F.lit(first).cast("timestamp"))
        & (started < F.lit(last).cast("timestamp"))
        & F.to_date(started).isin(sorted(dates))
    )


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
    activity = lake.tables.read("gold.student_daily_activity")
    newest = activity.agg(F.max("date")).first()
    if newest is None or newest[0] is None:
        return
    features = lake.tables.read("features.student_features")
    before = features.agg(F.max("as_of_date")).first()
    days = feature_dates(touched.dates, newest[0], before[0] if before else None)
    if not days:
        return
    window = activity.where(
        F.col("date").between(min(days) - timedelta(days=HORIZON_DAYS), max(days))
    )
    rows = student_features(window, sorted(days), newest[0])
    publish_days(lake, gate, "features.student_features", rows, days)


def publish_derived(lake: Lake, gate: Gate, touched: Touched, events: DataFrame | None) -> None:
    """Publish everything that follows from silver.events for the touched days.

    `events` are all events of the days where the caller has them at hand, and None to read them.
    """
    if touched.session_dates:
        rows = stored_sessions(lake, touched.session_dates) if events is None else events
        publish_sessions(lake, gate, rows, touched.session_dates)
    if touched.dates:
        rows = stored_events(lake, touched.dates) if events is None else events
        publish_gold(lake, gate, rows, touched.dates)
        publish_features(lake, gate, touched)
