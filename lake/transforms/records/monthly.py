"""Months of school: a student's sums, and what follows from them for a class and for a grade."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.transforms.records.daily import percent, share


def student_months(days: DataFrame) -> DataFrame:
    """gold.student_month_performance, from all `student_days` of its months with grade_level."""
    keys = (F.trunc("date", "month").alias("month"), "student_hash", "class_id", "grade_level")
    return days.groupBy(*keys).agg(
        F.count("is_present").alias("attendance_days"),
        F.count_if(F.col("is_present")).alias("present_days"),
        F.sum("assessments").alias("assessments"),
        F.sum("score_sum").alias("score_sum"),
        percent(F.min("min_units")).alias("min_score"),
        percent(F.max("max_units")).alias("max_score"),
    )


def student_summaries(months: DataFrame) -> DataFrame:
    """gold.student_performance_summary of the students, from all their months."""
    summed = months.groupBy("student_hash", "class_id").agg(
        F.sum("attendance_days").alias("total_attendance_days"),
        F.sum("present_days").alias("present_days"),
        F.sum("assessments").alias("total_assessments"),
        F.sum("score_sum").alias("score_sum"),
        F.min("min_score").alias("min_score"),
        F.max("max_score").alias("max_score"),
    )
    return summed.select(
        "student_hash",
        "class_id",
        "total_attendance_days",
        "present_days",
        share(F.col("present_days"), F.col("total_attendance_days")).alias("attendance_rate"),
        "total_assessments",
        percent(F.col("score_sum"), F.col("total_assessments")).alias("avg_score"),
        "min_score",
        "max_score",
    )


def grade_trends(months: DataFrame) -> DataFrame:
    """gold.grade_level_trends, from gold.student_month_performance.

    A row is right where all students' rows of its month and of the one before are given.
    """
    summed = months.groupBy("month", "grade_level").agg(
        F.count_distinct("student_hash").alias("students"),
        F.sum("present_days").alias("present_days"),
        F.sum("attendance_days").alias("attendance_days"),
        F.sum("assessments").alias("assessment_count"),
        F.sum("score_sum").alias("score_sum"),
    )
    rated = summed.select(
        "month",
        "grade_level",
        "students",
        share(F.col("present_days"), F.col("attendance_days")).alias("attendance_rate"),
        percent(F.col("score_sum"), F.col("assessment_count")).alias("avg_score"),
        "assessment_count",
    )
    before = rated.select(
        F.add_months("month", 1).alias("month"),
        "grade_level",
        F.col("attendance_rate").alias("rate_before"),
        F.col("avg_score").alias("score_before"),
    )
    return rated.join(before, ["month", "grade_level"], "left").select(
        *rated.columns,
        (F.col("attendance_rate") - F.col("rate_before")).alias("attendance_rate_change"),
        (F.col("avg_score") - F.col("score_before")).alias("avg_score_change"),
    )
