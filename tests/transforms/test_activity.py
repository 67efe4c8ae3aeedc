"""Days, chapters and questions of students."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lake.transforms.activity import (
    chapter_engagement,
    chapter_progress,
    daily_activity,
    question_attempts,
    question_summary,
    time_on_day_us,
    video_views,
)
from schemas.tables import TABLES
from tests.transforms.frames import NOON, dicts, each, events

MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MICRO = timedelta(microseconds=1)
DAY = date(2024, 2, 29)


def test_time_on_day_us__is_cut_at_midnight(spark: SparkSession) -> None:
    cases: list[tuple[tuple[datetime, float | None, float | None], int]] = [
        ((NOON, None, None), 0),
        ((NOON, None, 60.0), 60_000_000),
        ((NOON, 60.0, None), 0),
        ((NOON, 60.0, 0.000001), 1),
        # to midnight of its own day only; the rest is the next event's
        ((MIDNIGHT - 10 * SECOND, None, 30.0), 10_000_000),
        ((MIDNIGHT + 20 * SECOND, 30.0, None), 20_000_000),
        ((MIDNIGHT + 20 * SECOND, 30.0, 5.0), 25_000_000),
        ((MIDNIGHT - 10 * SECOND, None, 10.0), 10_000_000),
        ((MIDNIGHT, 10.0, None), 0),
        ((MIDNIGHT, 10.0, 7.5), 7_500_000),
        ((MIDNIGHT - MICRO, None, 0.000002), 1),
        ((MIDNIGHT + MICRO, 0.000002, None), 1),
        ((datetime(1969, 12, 31, 23, 59, 50, tzinfo=UTC), None, 30.0), 10_000_000),
    ]
    found = each(
        spark,
        "ts timestamp, gap_before_seconds double, gap_after_seconds double",
        [case for case, _ in cases],
        time_on_day_us(),
    )
    assert found == [wanted for _, wanted in cases]


def play(video: str | None = "v1", **more: Any) -> dict[str, Any]:
    own = {"video_id": video, **more.pop("metadata", {})}
    return {"event_type": "video_play", **more, "metadata": own}


def test_video_views__union_of_the_day_else_sum_of_seconds(spark: SparkSession) -> None:
    rows = [
        # positions anywhere in the group make reported seconds count for nothing
        play(metadata={"intervals": [[0.0, 10.0]], "video_length": 40.0}),
        play(metadata={"intervals": [[5.0, 20.0]], "watched_seconds": 99.0}),
        play(metadata={"watched_seconds": 99.0, "video_length": 41.0}),
        # seconds only, and more of them than the video is long
        play("v2", metadata={"watched_seconds": 30.0, "video_length": 40.0}),
        play("v2", metadata={"watched_seconds": 30.0, "video_length": 0.0}),
        # no name is a video of its own; nothing is known of it
        play(None),
        play(None, metadata={"video_length": 0.0}),
        # another chapter, no chapter
        play(chapter_id="k2", metadata={"intervals": []}),
        play(chapter_id=None, metadata={"watched_seconds": 1.5}),
        {"event_type": "page_view", "metadata": {"video_id": "v1", "watched_seconds": 9.0}},
    ]
    found = dicts(video_views(events(spark, rows)), "chapter_id", "video_id")
    assert [(r["chapter_id"], r["video_id"], r["watched_ms"], r["length_ms"]) for r in found] == [
        (None, "v1", 1_500, None),
        ("k1", None, 0, None),
        ("k1", "v1", 20_000, 41_000),
        ("k1", "v2", 60_000, 40_000),
        ("k2", "v1", 0, None),
    ]


def test_daily_activity__whole_row(spark: SparkSession) -> None:
    frame = events(
        spark,
        [
            {"gap_after_seconds": 60.0},
            {
                "gap_before_seconds": 60.0,
                "event_type": "quiz_attempt",
                "metadata": {"correct": True},
            },
            {
                "event_type": "quiz_attempt",
                "metadata": {"correct": False},
                "gap_after_seconds": 0.5,
            },
            {"event_type": "quiz_attempt", "gap_before_seconds": 0.5},
            {"event_type": "page_view", "metadata": {"correct": True}, "gap_before_seconds": 1.0},
            play(gap_before_seconds=1.0, metadata={"watched_seconds": 1.0}),
            play("v2", chapter_id=None, gap_before_seconds=1.0, metadata={"watched_seconds": 2.0}),
            {"event_type": "submit_assignment", "gap_before_seconds": 1.0},
            {"student_hash": "s2"},
        ],
    )
    found = dicts(daily_activity(frame, video_views(frame)), "student_hash")
    assert found[0] == {
        "date": DAY,
        "student_hash": "s1",
        "total_sessions": 2,
        "total_time_spent_seconds": 60.5,
        "carried_over_seconds": 0.0,
        "pages_viewed": 2,
        "quizzes_attempted": 3,
        "quizzes_correct": 1,
        "videos_watched_seconds": 3.0,
        "assignments_submitted": 1,
        "events_count": 8,
    }
    assert found[1]["videos_watched_seconds"] == 0.0
    assert found[1]["quizzes_correct"] == 0


def test_daily_activity__time_until_midnight_is_carried_over(spark: SparkSession) -> None:
    last = MIDNIGHT - 10 * SECOND
    frame = events(
        spark,
        [
            {"ts": last, "gap_after_seconds": 30.0},
            {"ts": last - 5 * SECOND, "gap_after_seconds": 5.0},
            {"student_hash": "s2", "ts": last, "gap_after_seconds": 9.0},
            # midnight itself is the next day's
            {"student_hash": "s3", "ts": last, "gap_after_seconds": 10.0},
            {"student_hash": "s4", "ts": last},
        ],
    )
    found = dicts(daily_activity(frame, video_views(frame)), "student_hash")
    assert [r["carried_over_seconds"] for r in found] == [10.0, 0.0, 10.0, 0.0]
    assert [r["total_time_spent_seconds"] for r in found] == [15.0, 9.0, 10.0, 0.0]


def progress(spark: SparkSession, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    frame = events(spark, rows)
    found = dicts(chapter_progress(frame, video_views(frame)), "course_id", "chapter_id")
    assert set(found[0]) == set(TABLES["gold.student_chapter_progress"].column_names)
    return found


def test_chapter_progress__time_depth_and_visits(spark: SparkSession) -> None:
    (row,) = progress(
        spark,
        {"gap_after_seconds": 60.0, "page_dwell_seconds": 60.0, "metadata": {"scroll_depth": 0.3}},
        {"page_dwell_seconds": 12.5, "metadata": {"scroll_depth": 0.5}, "is_visit_end": True},
        {"gap_after_seconds": 1.0, "event_type": "quiz_attempt", "is_visit_end": True},
        {"event_type": "quiz_attempt", "is_visit_end": True},
        {"chapter_id": None, "gap_after_seconds": 9.0, "is_visit_end": None},
    )
    assert row == {
        "date": DAY,
        "student_hash": "s1",
        "course_id": "c1",
        "chapter_id": "k1",
        "time_spent_seconds": 73.5,
        "page_dwell_seconds": 72.5,
        "scroll_depth_avg": 0.4,
        "scroll_depth_max": 0.5,
        "video_watch_pct": None,
        "completion_flag": False,
        "visits_count": 3,
        "exit_visits_count": 2,
        "events_count": 4,
        "scroll_depth_count": 2,
    }


def test_chapter_progress__videos_by_chapter_also_without_a_course(spark: SparkSession) -> None:
    half = {"watched_seconds": 20.0, "video_length": 40.0}
    whole = {"watched_seconds": 999.0, "video_length": 40.0}
    found = progress(
        spark,
        play("v1", metadata=half),
        play("v2", metadata=whole),
        play("v3", metadata={"watched_seconds": 5.0}),
        play("v1", course_id=None, metadata=whole),
        play("v1", chapter_id="k2", metadata={"watched_seconds": 5.0}),
    )
    assert [(r["course_id"], r["chapter_id"], r["video_watch_pct"]) for r in found] == [
        (None, "k1", 1.0),
        ("c1", "k1", 0.75),
        ("c1", "k2", None),
    ]


def test_chapter_progress__completion_has_three_ways(spark: SparkSession) -> None:
    chapters: dict[str, tuple[dict[str, Any], bool]] = {
        "a": ({"metadata": {"scroll_depth": 0.9}}, True),
        "b": ({"metadata": {"scroll_depth": 0.899999}}, False),
        "c": (play(metadata={"watched_seconds": 36.0, "video_length": 40.0}), True),
        "d": (play(metadata={"watched_seconds": 35.9, "video_length": 40.0}), False),
        "e": ({"event_type": "submit_assignment"}, True),
        "f": ({"event_type": "submit_assignment", "metadata": {"scroll_depth": 0.1}}, True),
        "g": ({}, False),
    }
    found = progress(spark, *({**row, "chapter_id": name} for name, (row, _) in chapters.items()))
    assert {r["chapter_id"]: r["completion_flag"] for r in found} == {
        name: wanted for name, (_, wanted) in chapters.items()
    }


def test_chapter_engagement__weighs_students_by_what_they_report(spark: SparkSession) -> None:
    frame = events(
        spark,
        [
            {"gap_after_seconds": 60.0, "metadata": {"scroll_depth": 0.1}, "is_visit_end": True},
            {"metadata": {"scroll_depth": 0.2}, "is_visit_end": True},
            {"student_hash": "s2", "metadata": {"scroll_depth": 0.9}, "is_visit_end": True},
            {"student_hash": "s3", "chapter_id": "k2"},
        ],
    )
    rows = dicts(chapter_engagement(chapter_progress(frame, video_views(frame))), "chapter_id")
    assert rows[0] == {
        "date": DAY,
        "course_id": "c1",
        "chapter_id": "k1",
        "total_time_spent": 60.0,
        "avg_time_per_visit": 20.0,
        "unique_students": 2,
        "visits_count": 3,
        "avg_scroll_depth": pytest.approx(0.4, abs=1e-12),
        # s1 left one of three visits uncompleted; s2 left too, but had completed
        "dropoff_rate": pytest.approx(1 / 3),
    }
    assert (rows[1]["avg_time_per_visit"], rows[1]["avg_scroll_depth"]) == (None, None)
    assert rows[1]["dropoff_rate"] is None


def attempt(question: str | None, **metadata: Any) -> dict[str, Any]:
    return {"event_type": "quiz_attempt", "question_id": question, "metadata": metadata}


def test_question_attempts__first_answer_and_mean_time(spark: SparkSession) -> None:
    frame = events(
        spark,
        [
            {**attempt("x1", correct=True, time_spent=1.0), "ts": NOON + SECOND},
            {**attempt("x1", time_spent=2.001), "ts": NOON},
            {**attempt("x1", correct=False), "event_id": "b"},
            {**attempt("x1", correct=True), "event_id": "c"},
            {**attempt("x1", correct=True), "quiz_id": "q1"},
            attempt("x2"),
            attempt(None, correct=True),
            {**attempt("x1", correct=True), "event_type": "page_view"},
        ],
    )
    found = dicts(question_attempts(frame), "question_id", "quiz_id")
    assert [
        (r["quiz_id"], r["question_id"], r["attempts_count"], r["correct_count"],
         r["time_per_question"], r["timed_attempts_count"], r["is_correct_first"])
        for r in found
    ] == [
        (None, "x1", 4, 2, 1.5005, 2, False),
        ("q1", "x1", 1, 1, None, 0, True),
        (None, "x2", 1, 0, None, 0, None),
    ]  # fmt: skip


def test_question_summary__difficulty_over_first_answers(spark: SparkSession) -> None:
    rows = [
        {**attempt("x1", correct=n < 1, time_spent=float(n)), "student_hash": f"s{n}"}
        for n in range(4)
    ]
    again = {**attempt("x1", correct=True), "ts": NOON + SECOND, "student_hash": "s3"}
    frame = events(spark, [*rows, again, {**attempt("x2"), "student_hash": "s1"}])
    found = dicts(question_summary(question_attempts(frame)), "question_id")
    assert [
        (r["question_id"], r["attempts_count"], r["correct_count"], r["avg_time_spent"])
        for r in found
    ] == [("x1", 5, 2, 1.5), ("x2", 1, 0, None)]
    # one of four first answers was right; nobody has answered x2
    assert [r["difficulty_estimate"] for r in found] == [pytest.approx(1 - 2 / 6), 0.5]
