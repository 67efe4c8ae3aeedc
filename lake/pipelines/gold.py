"""What follows from silver.events: sessions, gold and features, day by day."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake import limits
from lake.pipelines.event_rows import cached
from lake.pipelines.publication import BY_STUDENT, Publication
from lake.table_reading import Students
from lake.time_spans import TimeSpans
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

if TYPE_CHECKING:
    from lake.gates import Gate
    from lake.pipelines.journal import Touched
    from lake.pipelines.opened import Lake

# What sessions and gold follow from, of a row of silver.events.
SOURCE_COLUMNS = (
    "date", "student_hash", "event_id", "event_type", "ts", "course_id", "chapter_id", "quiz_id",
    "question_id", "metadata", "device_type", "session_start", "gap_before_seconds",
    "gap_after_seconds", "is_visit_end", "page_dwell_seconds",
)  # fmt: skip


def publish_gold(publication: Publication, events: DataFrame, dates: frozenset[date]) -> None:
    """Gold tables of the days, from all events of those whose rows are derived."""
    with ExitStack() as caches:
        videos = cached(video_views(events), caches)
        made_progress, made_attempts = chapter_progress(events, videos), question_attempts(events)
        progress, attempts = cached(made_progress, caches), cached(made_attempts, caches)
        publication.replace("gold.student_daily_activity", daily_activity(events, videos), dates)
        chapters = publication.complete("gold.student_chapter_progress", progress, dates)
        publication.replace_summary("gold.chapter_engagement", chapter_engagement(chapters), dates)
        publication.replace("gold.student_chapter_progress", progress, dates, made=made_progress)
        questions = publication.complete("gold.student_question_attempts", attempts, dates)
        publication.replace_summary(
            "gold.question_attempts_summary", question_summary(questions), dates
        )
        publication.replace("gold.student_question_attempts", attempts, dates, made=made_attempts)


def stored_events(lake: Lake, touched: Touched, of: Students | None = None) -> DataFrame:
    """Events of the touched days, and of the sessions that start on the touched days of sessions.

    With `of` those of these students. Two scans, each with a condition that the table's file
    statistics can answer.
    """
    tables = lake.tables
    on_dates = tables.read_days("silver.events", touched.dates, of, SOURCE_COLUMNS)
    if not touched.session_dates:
        return on_dates
    others = [
        day
        for day in tables.days("silver.events")
        if day >= min(touched.session_dates) and day not in touched.dates
    ]
    starts = _starts_on(touched.session_dates)
    of_sessions = tables.read_days("silver.events", others, of, SOURCE_COLUMNS, starts)
    return on_dates.unionByName(of_sessions)


def _starts_on(dates: Iterable[date]) -> TimeSpans:
    """Of sessions that start on one of the days."""
    return TimeSpans.of_days("session_start", dates)


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


def publish_features(publication: Publication, touched: Touched) -> None:
    """features.student_features of every day that the touched days reach."""
    name, activity = "features.student_features", "gold.student_daily_activity"
    tables, students = publication.lake.tables, publication.students
    active_days = tables.days(activity)
    if not active_days:
        return
    newest = active_days[-1]
    known_days = tables.days(name)
    days = feature_dates(touched.dates, newest, known_days[-1] if known_days else None)
    if not days:
        return
    first = min(days) - timedelta(days=HORIZON_DAYS)
    window = [day for day in active_days if first <= day <= max(days)]
    if known_days[-1:] != [newest]:
        # A day that is new to the table has rows of everybody who was active before.
        students = None
        publication = replace(publication, students=None)
    active = tables.read_days(activity, window, students)
    rows = student_features(active, sorted(days), newest)
    # A student has one row per day, and is active on one day at least.
    known = tables.rows_at_most(activity, window) if students is None else len(students.hashes)
    publication.replace(name, rows, days, known * len(days))


def publish_derived(
    lake: Lake,
    gate: Gate,
    touched: Touched,
    events: DataFrame | None,
    students: DataFrame | None = None,
    event_count: int | None = None,
) -> None:
    """Publish everything that follows from silver.events for the touched days.

    `events` are all events of the days where the caller has them at hand, `event_count` so many,
    and None to read them.
    `students` (student_hash) are those whose events or sessions changed, where the tables are
    right for all others; None to derive everybody's rows.
    """
    publication = Publication(lake, gate, events_of=_events_of(event_count, event_count))
    with ExitStack() as caches:
        of_sessions = of_days = events
        if of_sessions is None or of_days is None:
            if students is not None and is_worth_by_student(lake, touched):
                few = Students.collected(cached(students.select("student_hash").distinct(), caches))
                stored = cached(stored_events(lake, touched, few), caches)
                publication = Publication(lake, gate, few, *_counted(stored, touched))
            else:
                stored = cached(stored_events(lake, touched), caches)
                days = touched.dates | touched.session_dates
                if lake.tables.rows_at_most("silver.events", days) <= limits.COLLECTED_ROWS:
                    publication = Publication(lake, gate, None, *_counted(stored, touched))
            of_sessions = stored.where(_starts_on(touched.session_dates).condition)
            of_days = stored.where(F.col("date").isin(sorted(touched.dates)))
        if touched.session_dates:
            publication.replace("silver.sessions", sessions_of(of_sessions), touched.session_dates)
        if touched.dates:
            publish_gold(publication, of_days, touched.dates)
            publish_features(publication, touched)


def _counted(events: DataFrame, touched: Touched) -> tuple[int, dict[str, int]]:
    """How many events there are, and how many of them sessions and days follow from."""
    of_sessions = F.count_if(_starts_on(touched.session_dates).condition)
    of_days = F.count_if(F.col("date").isin(sorted(touched.dates)))
    every, *counts = events.agg(F.count(F.lit(1)), of_sessions, of_days).collect()[0]
    return every, _events_of(*counts)


def _events_of(of_sessions: int | None, of_days: int | None) -> dict[str, int]:
    counts = {"silver.sessions": of_sessions, "gold.student_daily_activity": of_days}
    return {name: count for name, count in counts.items() if count is not None}


def is_worth_by_student(lake: Lake, touched: Touched) -> bool:
    """Whether the touched days hold so much that deriving the touched students alone is cheaper."""
    days = touched.dates | touched.session_dates
    return lake.tables.rows_at_most("silver.events", days) > limits.WHOLE_DAY_ROWS and all(
        lake.tables.has_declared_columns(name) for name in BY_STUDENT
    )
