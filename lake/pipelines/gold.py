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


# Days with no more events than this are computed whole: cheaper than to look for those whom a
# change touches.
WHOLE_DAY_ROWS = 20_000
BY_STUDENT = (
    "silver.sessions", "gold.student_daily_activity", "gold.student_chapter_progress",
    "gold.student_question_attempts", "features.student_features",
)  # fmt: skip


def publish_days(
    lake: Lake, gate: Gate, name: str, rows: DataFrame, dates: Iterable[date], at_most: int
) -> None:
    """Put rows, `at_most` so many, in place of the table's given days, behind the gate."""
    days = sorted(dates)
    lake.check_lease()
    gate.publish(
        TABLES[name],
        rows,
        days,
        lambda checked: lake.tables.replace_dates(name, checked, days, gate.build_id, at_most),
    )


# What sessions and gold follow from, of a row of silver.events.
SOURCE_COLUMNS = (
    "date", "student_hash", "event_id", "event_type", "ts", "course_id", "chapter_id", "quiz_id",
    "question_id", "metadata", "device_type", "session_start", "gap_before_seconds",
    "gap_after_seconds", "is_visit_end", "page_dwell_seconds",
)  # fmt: skip


def with_untouched(
    lake: Lake, name: str, rows: DataFrame, dates: Iterable[date], students: DataFrame | None
) -> DataFrame:
    """Rows of the touched students, and those of all others as the table has them.

    `students` None: the rows are those of all students already.
    """
    if students is None:
        return rows
    table = TABLES[name]
    others = lake.tables.read_days(name, dates).join(
        F.broadcast(students), "student_hash", "left_anti"
    )
    return lake.tables.declared(table, rows).unionByName(lake.tables.declared(table, others))


def publish_sessions(
    lake: Lake,
    gate: Gate,
    events: DataFrame,
    dates: frozenset[date],
    students: DataFrame | None,
) -> None:
    """silver.sessions of the days, from complete sessions that start on them."""
    # Each has its first event on its day.
    at_most = lake.tables.rows_at_most("silver.events", dates)
    name = "silver.sessions"
    rows = with_untouched(lake, name, sessions_of(events), dates, students)
    publish_days(lake, gate, name, rows, dates, at_most)


def publish_gold(
    lake: Lake,
    gate: Gate,
    events: DataFrame,
    dates: frozenset[date],
    students: DataFrame | None,
) -> None:
    """Gold tables of the days, from all their events, or all those of the touched students."""

    def complete(name: str, rows: DataFrame) -> DataFrame:
        return with_untouched(lake, name, rows, dates, students)

    at_most = lake.tables.rows_at_most("silver.events", dates)
    with ExitStack() as caches:
        videos = cached(video_views(events), caches)
        progress = cached(
            complete("gold.student_chapter_progress", chapter_progress(events, videos)), caches
        )
        attempts = cached(
            complete("gold.student_question_attempts", question_attempts(events)), caches
        )
        activity = daily_activity(events, videos)
        rows = {
            "gold.student_daily_activity": complete("gold.student_daily_activity", activity),
            # Before the tables that `progress` and `attempts` are partly read from: a write to one
            # makes Spark compute the cached frame anew.
            "gold.chapter_engagement": chapter_engagement(progress),
            "gold.student_chapter_progress": progress,
            "gold.question_attempts_summary": question_summary(attempts),
            "gold.student_question_attempts": attempts,
        }
        for name, table_rows in rows.items():
            publish_days(lake, gate, name, table_rows, dates, at_most)


def stored_events(lake: Lake, touched: Touched) -> DataFrame:
    """Events of the touched days, and of the sessions that start on the touched days of sessions.

    Two scans, each with a condition that the table's file statistics can answer.
    """
    on_dates = lake.tables.read_days("silver.events", touched.dates)
    if not touched.session_dates:
        return on_dates.select(*SOURCE_COLUMNS)
    others = [
        day
        for day in lake.tables.days("silver.events")
        if day >= min(touched.session_dates) and day not in touched.dates
    ]
    of_sessions = lake.tables.read_days("silver.events", others).where(
        starts_on(touched.session_dates)
    )
    return on_dates.unionByName(of_sessions).select(*SOURCE_COLUMNS)


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


def publish_features(lake: Lake, gate: Gate, touched: Touched, students: DataFrame | None) -> None:
    """features.student_features of every day that the touched days reach."""
    active_days = lake.tables.days("gold.student_daily_activity")
    if not active_days:
        return
    newest = active_days[-1]
    known_days = lake.tables.days("features.student_features")
    days = feature_dates(touched.dates, newest, known_days[-1] if known_days else None)
    if not days:
        return
    first = min(days) - timedelta(days=HORIZON_DAYS)
    activity = "gold.student_daily_activity"
    window = [day for day in active_days if first <= day <= max(days)]
    active = lake.tables.read_days(activity, window)
    if known_days[-1:] != [newest]:
        # A day that is new to the table has rows of everybody who was active before.
        students = None
    if students is not None:
        active = of_students(active, students)
    name = "features.student_features"
    rows = student_features(active, sorted(days), newest)
    rows = with_untouched(lake, name, rows, days, students)
    at_most = lake.tables.rows_at_most(activity, window) * len(days)
    publish_days(lake, gate, name, rows, days, at_most)


def of_students(rows: DataFrame, students: DataFrame) -> DataFrame:
    return rows.join(F.broadcast(students), "student_hash", "left_semi")


def publish_derived(
    lake: Lake,
    gate: Gate,
    touched: Touched,
    events: DataFrame | None,
    students: DataFrame | None = None,
) -> None:
    """Publish everything that follows from silver.events for the touched days.

    `events` are all events of the days where the caller has them at hand, and None to read them.
    `students` (student_hash) are those whose events or sessions changed, where the tables are
    right for all others; None to derive everybody's rows.
    """
    with ExitStack() as caches:
        of_sessions = of_days = events
        if of_sessions is None or of_days is None:
            if not is_worth_by_student(lake, touched):
                students = None
            stored = stored_events(lake, touched)
            if students is not None:
                students = cached(students.select("student_hash").distinct(), caches)
                stored = of_students(stored, students)
            stored = cached(stored, caches)
            of_sessions = stored.where(starts_on(touched.session_dates))
            of_days = stored.where(F.col("date").isin(sorted(touched.dates)))
        if touched.session_dates:
            publish_sessions(lake, gate, of_sessions, touched.session_dates, students)
        if touched.dates:
            publish_gold(lake, gate, of_days, touched.dates, students)
            publish_features(lake, gate, touched, students)


def is_worth_by_student(lake: Lake, touched: Touched) -> bool:
    """Whether the touched days hold so much that deriving the touched students alone is cheaper."""
    days = touched.dates | touched.session_dates
    return lake.tables.rows_at_most("silver.events", days) > WHOLE_DAY_ROWS and all(
        lake.tables.has_declared_columns(name) for name in BY_STUDENT
    )
