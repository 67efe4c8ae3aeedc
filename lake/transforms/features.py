"""Point-in-time features of students."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lake.transforms.metrics import whole
from lake.transforms.sessionise import MICROS

HORIZON_DAYS = 30
WEEK_DAYS = 7
DAILY_TOTALS = (
    "time_us",
    "carried_over_us",
    "total_sessions",
    "quizzes_attempted",
    "quizzes_correct",
)


def _rolling(total: str, first: int, last: int) -> Column:
    """Sum of a column over the calendar days as_of-first … as_of-last of the student."""
    days = Window.partitionBy("student_hash").orderBy("day").rangeBetween(-first, -last)
    return F.coalesce(F.sum(total).over(days), F.lit(0).cast("bigint"))


def _known_time(days_ago: int) -> Column:
    """Time of the week that ends `days_ago` days before, as it was known at that week's end."""
    week = _rolling("time_us", days_ago + WEEK_DAYS - 1, days_ago)
    return week - _rolling("carried_over_us", days_ago, days_ago)


def student_features(activity: DataFrame, dates: Sequence[date], newest: date) -> DataFrame:
    """features.student_features of the given as_of dates.

    In: gold.student_daily_activity with every day from min(dates) - HORIZON_DAYS through
    max(dates); `newest` is the newest day of the lake. Out: features.student_features.
    A student has a row from the first active day through HORIZON_DAYS after the last one; days
    in between that have no activity count as zeros, because windows range over calendar days.
    """
    active = activity.select(
        "student_hash",
        F.unix_date("date").alias("day"),
        whole(F.col("total_time_spent_seconds"), MICROS).alias("time_us"),
        whole(F.col("carried_over_seconds"), MICROS).alias("carried_over_us"),
        "total_sessions",
        "quizzes_attempted",
        "quizzes_correct",
        F.unix_date("date").alias("active_day"),
    )
    newest_day = F.unix_date(F.lit(newest))
    following = F.lead("day").over(Window.partitionBy("student_hash").orderBy("day"))
    last_row = F.least(
        F.coalesce(F.col("following") - 1, newest_day), F.col("day") + HORIZON_DAYS, newest_day
    )
    spread = active.withColumn("following", following).withColumn(
        "row_day", F.explode(F.sequence(F.col("day"), last_row))
    )
    is_active = F.col("row_day") == F.col("day")
    calendar = spread.select(
        "student_hash",
        F.col("row_day").alias("day"),
        "active_day",
        *(F.when(is_active, F.col(name)).alias(name) for name in DAILY_TOTALS),
    )
    this_week = F.col("this_week_us")
    previous_week = F.col("previous_week_us")
    both = this_week + previous_week
    rolled = calendar.withColumns(
        {
            "this_week_us": _known_time(0),
            "previous_week_us": _known_time(WEEK_DAYS),
            "rolling_7d_sessions": _rolling("total_sessions", WEEK_DAYS - 1, 0),
            "attempts": _rolling("quizzes_attempted", HORIZON_DAYS - 1, 0),
            "correct": _rolling("quizzes_correct", HORIZON_DAYS - 1, 0),
        }
    )
    wanted = F.date_from_unix_date("day").isin(list(dates))
    return rolled.where(wanted).select(
        "student_hash",
        F.date_from_unix_date("day").alias("as_of_date"),
        (this_week / MICROS).alias("rolling_7d_time_spent"),
        "rolling_7d_sessions",
        F.when(F.col("attempts") > 0, F.col("correct") / F.col("attempts")).alias(
            "avg_quiz_accuracy_30d"
        ),
        (F.col("day") - F.col("active_day")).cast("int").alias("last_login_days_ago"),
        F.when(both > 0, (this_week - previous_week) / both)
        .otherwise(F.lit(0.0))
        .alias("engagement_trend"),
    )
