"""Hand-computed cases of the gold tables and of the features."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.oracle import Row
from tests.oracle.test_silver import native, table

LEAP_DAY = date(2024, 2, 29)


def one(name: str, *lines: bytes) -> Row:
    (row,) = table(name, *lines)
    return row


def view(event_id: str, time: str, chapter: str | None = "k", **metadata: Any) -> bytes:
    return native(
        event_id, f"2024-02-29T{time}Z", course_id="c", chapter_id=chapter, metadata=metadata
    )


def play(event_id: str, time: str, **metadata: Any) -> bytes:
    return native(
        event_id,
        f"2024-02-29T{time}Z",
        event_type="video_play",
        course_id="c",
        chapter_id="k",
        metadata=metadata,
    )


def answer(event_id: str, time: str, student: str = "ana", **metadata: Any) -> bytes:
    return native(
        event_id,
        f"2024-02-29T{time}Z",
        student_id=student,
        event_type="quiz_attempt",
        question_id="x",
        metadata={"quiz_id": "q", **metadata},
    )


def test_daily_activity__splits_time_at_midnight_and_counts_the_session_once() -> None:
    lines = native("a", "2024-02-28T23:50:00Z"), native("b", "2024-02-29T00:20:00Z")
    first, second = table("gold.student_daily_activity", *lines)
    assert (first["total_sessions"], first["total_time_spent_seconds"]) == (1, 600.0)
    assert (second["total_sessions"], second["total_time_spent_seconds"]) == (0, 1200.0)


def test_daily_activity__counts_by_type() -> None:
    row = one(
        "gold.student_daily_activity",
        view("a", "10:00:00", None),
        answer("b", "10:01:00", correct=True),
        answer("c", "10:02:00", correct=False),
        answer("d", "10:03:00"),
        native("e", "2024-02-29T10:04:00Z", event_type="submit_assignment"),
    )
    counted = ("pages_viewed", "quizzes_attempted", "quizzes_correct", "assignments_submitted")
    assert [row[name] for name in counted] == [1, 3, 1, 1]
    assert (row["events_count"], row["total_time_spent_seconds"]) == (5, 240.0)


def test_daily_activity__videos_count_the_union_per_video_else_the_sum() -> None:
    row = one(
        "gold.student_daily_activity",
        play("a", "10:00:00", video_id="v", intervals=[[0, 30]], watched_seconds=500),
        play("b", "10:01:00", video_id="v", intervals=[[20, 50]]),
        play("c", "10:02:00", video_id="v", watched_seconds=500),
        play("d", "10:03:00", video_id="w", watched_seconds=7.5),
        play("e", "10:04:00", video_id="w", watched_seconds=7.5),
        play("f", "10:05:00", watched_seconds=1),
    )
    assert row["videos_watched_seconds"] == 50 + 15 + 1


def test_chapter_progress__time_goes_to_the_chapter_that_was_left() -> None:
    lines = view("a", "10:00:00", "k1"), view("b", "10:05:00", "k2", duration=30)
    rows = {r["chapter_id"]: r for r in table("gold.student_chapter_progress", *lines)}
    assert [rows[k]["time_spent_seconds"] for k in ("k1", "k2")] == [300.0, 30.0]
    assert [rows[k]["visits_count"] for k in ("k1", "k2")] == [1, 1]
    assert [rows[k]["exit_visits_count"] for k in ("k1", "k2")] == [0, 1]


def test_chapter_progress__an_event_without_chapter_ends_a_visit() -> None:
    lines = view("a", "10:00:00"), view("b", "10:01:00", None), view("c", "10:02:00")
    row = one("gold.student_chapter_progress", *lines)
    assert (row["visits_count"], row["events_count"], row["time_spent_seconds"]) == (2, 2, 60.0)


def test_chapter_progress__the_same_chapter_name_in_another_course_is_another_chapter() -> None:
    lines = (
        native("a", "2024-02-29T10:00:00Z", course_id="c1", chapter_id="k"),
        native("b", "2024-02-29T10:01:00Z", chapter_id="k"),
    )
    rows = table("gold.student_chapter_progress", *lines)
    assert {(r["course_id"], r["visits_count"]) for r in rows} == {("c1", 1), (None, 1)}


@pytest.mark.parametrize(("deepest", "completed"), [(0.899999, False), (0.9, True)])
def test_chapter_progress__scroll_depth_completes_at_nine_tenths(
    deepest: float, completed: bool
) -> None:
    row = one(
        "gold.student_chapter_progress",
        view("a", "10:00:00", scroll_depth=0.1),
        view("b", "10:01:00", scroll_depth=deepest),
        view("c", "10:02:00"),
    )
    assert row["scroll_depth_avg"] == pytest.approx((0.1 + deepest) / 2, abs=1e-12)
    assert (row["scroll_depth_max"], row["scroll_depth_count"]) == (deepest, 2)
    assert row["completion_flag"] is completed


def test_chapter_progress__watch_pct_weighs_videos_by_length_and_caps_each() -> None:
    row = one(
        "gold.student_chapter_progress",
        play("a", "10:00:00", video_id="v", video_length=100, watched_seconds=400),
        play("b", "10:01:00", video_id="w", video_length=300, intervals=[[0, 50]]),
        play("c", "10:02:00", video_id="u", intervals=[[0, 50]]),
    )
    assert row["video_watch_pct"] == 150 / 400
    assert row["completion_flag"] is False


def test_chapter_progress__a_submission_completes() -> None:
    line = native("a", "2024-02-29T10:00:00Z", event_type="submit_assignment", chapter_id="k")
    row = one("gold.student_chapter_progress", line)
    assert row["completion_flag"] is True
    assert (row["scroll_depth_avg"], row["video_watch_pct"]) == (None, None)
    assert row["time_spent_seconds"] == 0.0


def test_chapter_engagement__drops_are_exits_without_completion() -> None:
    def visit(event_id: str, student: str, time: str, **metadata: Any) -> bytes:
        return native(
            event_id,
            f"2024-02-29T{time}Z",
            student_id=student,
            course_id="c",
            chapter_id="k",
            metadata=metadata,
        )

    row = one(
        "gold.chapter_engagement",
        visit("a", "ana", "10:00:00", scroll_depth=1, duration=60),
        visit("b", "bea", "10:00:00", scroll_depth=0.5, duration=30),
        visit("c", "bea", "12:00:00"),
        visit("d", "cleo", "10:00:00"),
    )
    assert (row["unique_students"], row["visits_count"], row["dropoff_rate"]) == (3, 4, 0.75)
    assert (row["total_time_spent"], row["avg_time_per_visit"]) == (90.0, 22.5)
    assert row["avg_scroll_depth"] == 0.75


def test_chapter_engagement__no_visit_ended_on_the_day() -> None:
    rows = table(
        "gold.chapter_engagement",
        native("a", "2024-02-28T23:50:00Z", chapter_id="k"),
        native("b", "2024-02-29T00:10:00Z", chapter_id="k"),
    )
    first, second = sorted(rows, key=lambda row: row["date"])
    assert (first["visits_count"], first["avg_time_per_visit"], first["dropoff_rate"]) == (
        0,
        None,
        None,
    )
    assert (first["total_time_spent"], second["visits_count"]) == (1200.0, 1)


def test_question_attempts__first_result_is_the_first_that_was_reported() -> None:
    row = one(
        "gold.student_question_attempts",
        answer("a", "10:00:00", time_spent=10),
        answer("c", "10:01:00", correct=True),
        answer("b", "10:01:00", correct=False, time_spent=5.5),
    )
    assert (row["attempts_count"], row["correct_count"]) == (3, 1)
    assert (row["time_per_question"], row["timed_attempts_count"]) == (7.75, 2)
    assert row["is_correct_first"] is False


def test_question_attempts_summary__difficulty_is_over_first_results() -> None:
    row = one(
        "gold.question_attempts_summary",
        answer("a", "10:00:00", "ana", correct=False),
        answer("b", "10:01:00", "ana", correct=True),
        answer("c", "10:00:00", "bea", correct=True, time_spent=4),
        answer("d", "10:00:00", "cleo"),
    )
    assert (row["attempts_count"], row["correct_count"], row["avg_time_spent"]) == (4, 2, 4.0)
    assert row["difficulty_estimate"] == 1 - 2 / 4
    assert (
        one("gold.question_attempts_summary", answer("d", "10:00:00"))["difficulty_estimate"] == 0.5
    )


def test_features__run_from_the_first_active_day_to_the_horizon() -> None:
    rows = table(
        "features.student_features",
        native("a", "2024-01-31T10:00:00Z"),
        native("b", "2024-04-09T10:00:00Z", student_id="bea"),
    )
    days = sorted(r["as_of_date"] for r in rows)
    assert (days[0], days[-2], days[-1]) == (
        date(2024, 1, 31),
        date(2024, 3, 1),
        date(2024, 4, 9),
    )
    assert len(days) == 32
    assert {r["last_login_days_ago"] for r in rows} == set(range(31))


def test_features__time_sessions_accuracy_and_trend() -> None:
    lines = (
        native("a", "2024-02-22T10:00:00Z"),
        native("b", "2024-02-22T10:10:00Z"),
        answer("c", "10:00:00", correct=True),
        answer("d", "10:30:00", correct=False),
    )
    rows = {r["as_of_date"]: r for r in table("features.student_features", *lines)}
    eve, day = rows[date(2024, 2, 28)], rows[LEAP_DAY]
    assert (eve["rolling_7d_time_spent"], eve["rolling_7d_sessions"]) == (600.0, 1)
    assert (eve["engagement_trend"], eve["avg_quiz_accuracy_30d"]) == (1.0, None)
    assert (day["rolling_7d_time_spent"], day["rolling_7d_sessions"]) == (1800.0, 1)
    assert day["engagement_trend"] == 0.5
    assert (day["avg_quiz_accuracy_30d"], day["last_login_days_ago"]) == (0.5, 0)


def test_features__do_not_know_the_next_day() -> None:
    # The ten minutes before midnight become time in a session only through the event after it.
    lines = native("a", "2024-02-28T23:50:00Z"), native("b", "2024-02-29T00:10:00Z")
    rows = {r["as_of_date"]: r for r in table("features.student_features", *lines)}
    assert rows[date(2024, 2, 28)]["rolling_7d_time_spent"] == 0.0
    assert rows[LEAP_DAY]["rolling_7d_time_spent"] == 1200.0
    assert rows[LEAP_DAY]["rolling_7d_sessions"] == 1
