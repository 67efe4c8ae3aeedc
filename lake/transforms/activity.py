"""What students did on a day: overall, in a chapter, at a question."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lake.transforms.metrics import MILLIS, interval_spans, whole
from lake.transforms.sessionise import MICROS

DAY_US = 86_400 * MICROS
CHAPTER_KEYS = ("date", "student_hash", "course_id", "chapter_id")
COMPLETE = 0.9


def _count_type(event_type: str) -> Column:
    return F.count_if(F.col("event_type") == event_type)


def _since_midnight_us() -> Column:
    return F.pmod(F.unix_micros("ts"), F.lit(DAY_US))


def time_on_day_us() -> Column:
    """Microseconds of the gaps around an event that fall on the event's own day.

    A gap is counted at its first event; what lies past midnight is counted at its second one.
    Gaps are shorter than a day (settings see to it), so they cross one midnight at most.
    """
    before = whole(F.col("gap_before_seconds"), MICROS)
    after = whole(F.col("gap_after_seconds"), MICROS)
    rest_of_day = F.lit(DAY_US) - _since_midnight_us()
    # least() skips nulls: without the condition a session's last event would last until midnight.
    until_midnight = F.when(after.isNotNull(), F.least(after, rest_of_day))
    past_midnight = F.when(before > _since_midnight_us(), _since_midnight_us())
    return F.coalesce(until_midnight, F.lit(0)) + F.coalesce(past_midnight, F.lit(0))


def carried_over_us() -> Column:
    """Microseconds from an event to midnight where the session's next event lies beyond it."""
    after = whole(F.col("gap_after_seconds"), MICROS)
    rest_of_day = F.lit(DAY_US) - _since_midnight_us()
    return F.coalesce(F.when(after >= rest_of_day, rest_of_day), F.lit(0))


def video_views(events: DataFrame) -> DataFrame:
    """One row per student, day, chapter and video.

    Out: CHAPTER_KEYS, video_id, watched_ms (union of the intervals where any event has them, else
    the sum of watched_seconds), length_ms (largest one given; null if none is positive).
    """
    keys = (*CHAPTER_KEYS, "video_id")
    length_ms = whole(F.col("metadata.video_length"), MILLIS)
    intervals = F.col("metadata.intervals")
    plays = events.where(F.col("event_type") == "video_play").withColumn(
        "video_id", F.col("metadata.video_id")
    )
    reported = plays.select(
        *keys,
        intervals.isNotNull().alias("has_positions"),
        whole(F.col("metadata.watched_seconds"), MILLIS).alias("reported_ms"),
        F.when(length_ms > 0, length_ms).alias("length_ms"),
    )
    # Rows and no lists of spans: an aggregate that collects has no buffer of fixed width.
    spans = plays.where(intervals.isNotNull()).select(
        *keys, F.inline(interval_spans(intervals)).alias("start", "stop")
    )
    earlier = (
        Window.partitionBy(*keys)
        .orderBy("start", "stop")
        .rowsBetween(Window.unboundedPreceding, -1)
    )
    from_ms = F.greatest("start", F.max("stop").over(earlier))
    added = spans.select(*keys, F.greatest(F.col("stop") - from_ms, F.lit(0)).alias("added_ms"))
    views = (
        reported.unionByName(added, allowMissingColumns=True)
        .groupBy(*keys)
        .agg(
            F.bool_or("has_positions").alias("has_positions"),
            F.sum("added_ms").alias("union_ms"),
            F.sum("reported_ms").alias("reported_ms"),
            F.max("length_ms").alias("length_ms"),
        )
    )
    watched = F.when(F.col("has_positions"), F.col("union_ms")).otherwise(F.col("reported_ms"))
    return views.select(*keys, F.coalesce(watched, F.lit(0)).alias("watched_ms"), "length_ms")


def daily_activity(events: DataFrame, videos: DataFrame) -> DataFrame:
    """gold.student_daily_activity of complete student days.

    In: silver.events, and video_views of the same events.
    """
    of_events = events.select(
        "date",
        "student_hash",
        F.col("gap_before_seconds").isNull().alias("opens_session"),
        time_on_day_us().alias("time_us"),
        carried_over_us().alias("carried_over_us"),
        "event_type",
        F.col("metadata.correct").alias("correct"),
    )
    of_videos = videos.select("date", "student_hash", "watched_ms")
    is_attempt = F.col("event_type") == "quiz_attempt"
    return (
        of_events.unionByName(of_videos, allowMissingColumns=True)
        .groupBy("date", "student_hash")
        .agg(
            F.count_if("opens_session").alias("total_sessions"),
            (F.sum("time_us") / MICROS).alias("total_time_spent_seconds"),
            (F.sum("carried_over_us") / MICROS).alias("carried_over_seconds"),
            _count_type("page_view").alias("pages_viewed"),
            F.count_if(is_attempt).alias("quizzes_attempted"),
            F.count_if(is_attempt & F.col("correct")).alias("quizzes_correct"),
            (F.coalesce(F.sum("watched_ms"), F.lit(0)) / MILLIS).alias("videos_watched_seconds"),
            _count_type("submit_assignment").alias("assignments_submitted"),
            F.count("event_type").alias("events_count"),
        )
    )


def chapter_progress(events: DataFrame, videos: DataFrame) -> DataFrame:
    """gold.student_chapter_progress of complete student days.

    In: silver.events, and video_views of the same events. Events without a chapter do not count.
    """
    is_in_chapter = F.col("chapter_id").isNotNull()
    is_exit = F.col("is_visit_end") & F.col("gap_after_seconds").isNull()
    of_events = events.where(is_in_chapter).select(
        *CHAPTER_KEYS,
        whole(F.coalesce("gap_after_seconds", "page_dwell_seconds"), MICROS).alias("time_us"),
        whole(F.col("page_dwell_seconds"), MICROS).alias("dwell_us"),
        F.col("metadata.scroll_depth").alias("scroll_depth"),
        (F.col("event_type") == "submit_assignment").alias("is_submission"),
        "is_visit_end",
        is_exit.alias("is_exit"),
        F.lit(True).alias("is_event"),
    )
    # What more than the whole video was watched counts for no other one.
    of_videos = videos.where(is_in_chapter & F.col("length_ms").isNotNull()).select(
        *CHAPTER_KEYS, F.least("watched_ms", "length_ms").alias("watched_ms"), "length_ms"
    )
    chapters = (
        of_events.unionByName(of_videos, allowMissingColumns=True)
        .groupBy(*CHAPTER_KEYS)
        .agg(
            F.coalesce(F.sum("time_us"), F.lit(0)).alias("time_us"),
            F.coalesce(F.sum("dwell_us"), F.lit(0)).alias("dwell_us"),
            F.sum(whole(F.col("scroll_depth"), MICROS)).alias("depth_micro"),
            F.count("scroll_depth").alias("scroll_depth_count"),
            F.max("scroll_depth").alias("scroll_depth_max"),
            (F.sum("watched_ms") / F.sum("length_ms")).alias("video_watch_pct"),
            F.count_if("is_submission").alias("submitted_count"),
            F.count_if("is_visit_end").alias("visits_count"),
            F.count_if("is_exit").alias("exit_visits_count"),
            F.count("is_event").alias("events_count"),
        )
    )
    is_complete = (
        F.coalesce(F.col("scroll_depth_max") >= COMPLETE, F.lit(False))
        | F.coalesce(F.col("video_watch_pct") >= COMPLETE, F.lit(False))
        | (F.col("submitted_count") > 0)
    )
    depth_avg = F.col("depth_micro") / F.col("scroll_depth_count") / MICROS
    return chapters.select(
        *CHAPTER_KEYS,
        (F.col("time_us") / MICROS).alias("time_spent_seconds"),
        (F.col("dwell_us") / MICROS).alias("page_dwell_seconds"),
        F.when(F.col("scroll_depth_count") > 0, depth_avg).alias("scroll_depth_avg"),
        "scroll_depth_max",
        "video_watch_pct",
        is_complete.alias("completion_flag"),
        "visits_count",
        "exit_visits_count",
        "events_count",
        "scroll_depth_count",
    )


def question_attempts(events: DataFrame) -> DataFrame:
    """gold.student_question_attempts of complete student days. Attempts without a question do
    not count. In: silver.events."""
    attempts = events.where(
        (F.col("event_type") == "quiz_attempt") & F.col("question_id").isNotNull()
    )
    correct = F.col("metadata.correct")
    first = F.min(F.when(correct.isNotNull(), F.struct("ts", "event_id", correct.alias("correct"))))
    time_ms = F.sum(whole(F.col("metadata.time_spent"), MILLIS))
    return attempts.groupBy("date", "student_hash", "quiz_id", "question_id").agg(
        F.count(F.lit(1)).alias("attempts_count"),
        F.count_if(correct).alias("correct_count"),
        F.when(
            F.count("metadata.time_spent") > 0, time_ms / F.count("metadata.time_spent") / MILLIS
        ).alias("time_per_question"),
        F.count("metadata.time_spent").alias("timed_attempts_count"),
        first["correct"].alias("is_correct_first"),
    )


def chapter_engagement(progress: DataFrame) -> DataFrame:
    """gold.chapter_engagement of complete days. In: gold.student_chapter_progress."""
    is_dropoff = ~F.col("completion_flag")
    depth = F.sum(whole(F.col("scroll_depth_avg") * F.col("scroll_depth_count"), MICROS)) / F.sum(
        "scroll_depth_count"
    )
    time_us = F.sum(whole(F.col("time_spent_seconds"), MICROS))
    visits = F.sum("visits_count")
    return progress.groupBy("date", "course_id", "chapter_id").agg(
        (time_us / MICROS).alias("total_time_spent"),
        F.when(visits > 0, time_us / visits / MICROS).alias("avg_time_per_visit"),
        F.count(F.lit(1)).alias("unique_students"),
        visits.alias("visits_count"),
        F.when(F.sum("scroll_depth_count") > 0, depth / MICROS).alias("avg_scroll_depth"),
        F.when(
            visits > 0, F.sum(F.when(is_dropoff, F.col("exit_visits_count")).otherwise(0)) / visits
        ).alias("dropoff_rate"),
    )


def question_summary(attempts: DataFrame) -> DataFrame:
    """gold.question_attempts_summary of complete days. In: gold.student_question_attempts."""
    timed = F.sum("timed_attempts_count")
    time_ms = F.sum(whole(F.col("time_per_question") * F.col("timed_attempts_count"), MILLIS))
    first_attempts = F.count("is_correct_first")
    return attempts.groupBy("date", "quiz_id", "question_id").agg(
        F.sum("attempts_count").alias("attempts_count"),
        F.sum("correct_count").alias("correct_count"),
        F.when(timed > 0, time_ms / timed / MILLIS).alias("avg_time_spent"),
        (1 - (F.count_if("is_correct_first") + 1) / (first_attempts + 2)).alias(
            "difficulty_estimate"
        ),
    )
