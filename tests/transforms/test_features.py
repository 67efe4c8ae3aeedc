"""Features at the end of a day, over days without events, up to the horizon."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lake.transforms.features import HORIZON_DAYS, student_features
from schemas.tables import TABLES
from tests.transforms.frames import dicts

FIRST = date(2024, 2, 27)
ACTIVITY = (
    "student_hash string, date date, total_time_spent_seconds double, total_sessions bigint, "
    "quizzes_attempted bigint, quizzes_correct bigint, carried_over_seconds double"
)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def featured(
    spark: SparkSession, activity: list[tuple[Any, ...]], wanted: range, newest: int
) -> dict[tuple[str, int], dict[str, Any]]:
    """Features by (student, day number); activity without a last value carries nothing over."""
    rows = [(student, day(number), *rest, 0.0)[:7] for student, number, *rest in activity]
    frame = student_features(
        spark.createDataFrame(rows, ACTIVITY), [day(n) for n in wanted], day(newest)
    )
    assert frame.columns == list(TABLES["features.student_features"].column_names)
    found = dicts(frame, "student_hash", "as_of_date")
    by_key = {(r["student_hash"], (r["as_of_date"] - FIRST).days): r for r in found}
    assert len(by_key) == len(found)
    return by_key


def test_student_features__rows_from_the_first_day_to_the_horizon(spark: SparkSession) -> None:
    activity = [
        ("leaves", 0, 1.0, 1, 0, 0),
        ("returns", 0, 1.0, 1, 0, 0),
        ("returns", 40, 1.0, 1, 0, 0),
        ("stays", 3, 1.0, 1, 0, 0),
        ("stays", 20, 1.0, 1, 0, 0),
        ("new", 50, 1.0, 1, 0, 0),
    ]
    found = featured(spark, activity, range(61), newest=50)
    days = {name: [n for s, n in found if s == name] for name in {s for s, _ in found}}
    assert days == {
        "leaves": [*range(HORIZON_DAYS + 1)],
        "returns": [*range(HORIZON_DAYS + 1), *range(40, 51)],
        "stays": [*range(3, 51)],
        "new": [50],
    }
    assert found["returns", 30]["last_login_days_ago"] == 30
    assert found["returns", 40]["last_login_days_ago"] == 0
    assert found["stays", 19]["last_login_days_ago"] == 16
    assert found["stays", 50]["last_login_days_ago"] == 30


def test_student_features__windows_range_over_calendar_days(spark: SparkSession) -> None:
    activity = [
        ("s1", 0, 100.0, 1, 4, 1),
        ("s1", 6, 10.5, 2, 0, 0),
        ("s1", 7, 0.25, 1, 0, 0),
        ("s1", 29, 0.0, 1, 1, 1),
    ]
    found = featured(spark, activity, range(60), newest=59)

    def column(name: str, *days: int) -> list[Any]:
        return [found["s1", n][name] for n in days]

    assert column("rolling_7d_time_spent", 0, 5, 6, 7, 12, 13, 14, 29) == [
        100.0, 100.0, 110.5, 10.75, 10.75, 0.25, 0.0, 0.0,
    ]  # fmt: skip
    assert column("rolling_7d_sessions", 0, 6, 7, 13, 14, 29, 35, 36) == [1, 3, 3, 1, 0, 1, 1, 0]
    assert column("avg_quiz_accuracy_30d", 0, 28, 29, 30, 58) == [0.25, 0.25, 0.4, 1.0, 1.0]
    # thirty days end with the day itself: those of day 29 are gone on day 59
    assert column("avg_quiz_accuracy_30d", 59) == [None]


def test_student_features__trend_is_week_over_week(spark: SparkSession) -> None:
    activity = [("s1", 0, 30.0, 1, 0, 0), ("s1", 7, 10.0, 1, 0, 0), ("s2", 0, 0.0, 1, 0, 0)]
    found = featured(spark, activity, range(22), newest=21)
    trend = {n: found["s1", n]["engagement_trend"] for n in (0, 6, 7, 13, 14, 20, 21)}
    assert trend == pytest.approx({0: 1.0, 6: 1.0, 7: -0.5, 13: -0.5, 14: -1.0, 20: -1.0, 21: 0.0})
    assert {found["s2", n]["engagement_trend"] for n in range(22)} == {0.0}


def test_student_features__a_day_does_not_know_what_the_next_one_tells(spark: SparkSession) -> None:
    # 60 s, 20 of which only an event after midnight tells of
    activity = [("s1", 0, 60.0, 1, 0, 0, 20.0), ("s1", 1, 5.0, 0, 0, 0)]
    found = featured(spark, activity, range(15), newest=14)
    spent = {n: found["s1", n]["rolling_7d_time_spent"] for n in (0, 1, 6, 7)}
    assert spent == {0: 40.0, 1: 65.0, 6: 65.0, 7: 5.0}
    # the week before ended on day 0, and knew as little
    assert found["s1", 7]["engagement_trend"] == pytest.approx((5 - 40) / 45)
    assert found["s1", 8]["engagement_trend"] == -1.0


def test_student_features__asked_dates_only_and_the_same_values(spark: SparkSession) -> None:
    activity = [("s1", 0, 30.0, 1, 2, 1), ("s1", 12, 10.0, 2, 0, 0)]
    everything = featured(spark, activity, range(20), newest=19)
    some = featured(spark, activity, range(5, 14, 4), newest=19)
    assert some == {key: everything[key] for key in [("s1", 5), ("s1", 9), ("s1", 13)]}
