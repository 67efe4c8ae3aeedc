"""Days of school: what the facts say of a student on a day, and of a class on it and before."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lake.transforms.metrics import whole
from schemas.tables.records_gold import SCORE_UNITS

# Of a share, not of a per cent.
UNITS_OF_SHARE = 100 * SCORE_UNITS
NEWEST_SCORES = 3


def student_days(attendance: DataFrame, assessments: DataFrame) -> DataFrame:
    """One row for each student and day with attendance or assessments, by student.

    In: rows of silver.fact_attendance and silver.fact_assessments. Out: student_hash, date,
    class_id, is_present (whether any record says so; null without attendance), assessments,
    score_sum, min_units and max_units (null without assessments), and last_units (the sum of the
    last three assessments of `assessments`, by day and assessment_id, up to this day's last one).
    Scores are whole numbers, SCORE_UNITS to a per cent.
    """
    nothing = F.lit(None).cast("bigint")
    present = attendance.select(
        "student_hash",
        F.col("attendance_date").alias("date"),
        "class_id",
        "is_present",
        F.lit(None).cast("string").alias("assessment_id"),
        nothing.alias("units"),
        nothing.alias("last_units"),
    )
    marked = assessments.select(
        "student_hash",
        F.col("assessment_date").alias("date"),
        "class_id",
        F.lit(None).cast("boolean").alias("is_present"),
        "assessment_id",
        whole(F.col("score_pct"), UNITS_OF_SHARE).alias("units"),
    )
    in_order = Window.partitionBy("student_hash").orderBy("date", "assessment_id")
    last = F.sum("units").over(in_order.rowsBetween(1 - NEWEST_SCORES, 0))
    # One shuffle for this and for all that looks back over a student's days.
    facts = present.unionByName(marked.withColumn("last_units", last)).repartition("student_hash")
    return facts.groupBy("student_hash", "date").agg(
        F.max("class_id").alias("class_id"),
        F.bool_or("is_present").alias("is_present"),
        F.count("units").alias("assessments"),
        F.coalesce(F.sum("units"), F.lit(0)).alias("score_sum"),
        F.min("units").alias("min_units"),
        F.max("units").alias("max_units"),
        F.max_by("last_units", "assessment_id").alias("last_units"),
    )


def percent(units: Column, count: Column | None = None) -> Column:
    """Mean of `count` scores whose sum is `units`, in per cent; null where there is none."""
    divisor = F.lit(SCORE_UNITS) if count is None else count * F.lit(SCORE_UNITS)
    return F.when(divisor > 0, units / divisor)


def share(part: Column, whole_count: Column) -> Column:
    """part / whole_count; null where that is zero."""
    return F.when(whole_count > 0, part / whole_count)


def class_days(days: DataFrame, students: DataFrame) -> DataFrame:
    """gold.class_daily_performance, from all `student_days` of its days and silver.dim_students."""
    counted = days.groupBy("date", "class_id").agg(
        F.count("is_present").alias("students_with_attendance"),
        F.count_if(F.col("is_present")).alias("present_count"),
        F.count_if(F.col("assessments") > 0).alias("students_with_assessment"),
        F.sum("assessments").alias("assessment_count"),
        F.sum("score_sum").alias("score_sum"),
    )
    attended, present = F.col("students_with_attendance"), F.col("present_count")
    return with_total_students(counted, students).select(
        "date",
        "class_id",
        "total_students",
        "students_with_attendance",
        "present_count",
        (attended - present).alias("absent_count"),
        share(present, attended).alias("attendance_rate"),
        "students_with_assessment",
        "assessment_count",
        "score_sum",
        percent(F.col("score_sum"), F.col("assessment_count")).alias("avg_score"),
    )


def with_total_students(rows: DataFrame, students: DataFrame) -> DataFrame:
    """Adds total_students: the active ones of the class at the end of the UTC day.

    rows: date and class_id, each pair once. students: silver.dim_students.
    """
    active = students.where(F.col("enrollment_status") == "active")
    # Who comes at any time of a day is there at its end; who goes is not.
    come = active.select("class_id", F.to_date("valid_from").alias("date"), F.lit(1).alias("step"))
    gone = active.where(F.col("valid_to").isNotNull()).select(
        "class_id", F.to_date("valid_to").alias("date"), F.lit(-1).alias("step")
    )
    steps = come.unionByName(gone).withColumn("is_row", F.lit(False))
    asked = rows.withColumns({"step": F.lit(0), "is_row": F.lit(True)})
    until_then = Window.partitionBy("class_id").orderBy("date")
    counted = asked.unionByName(steps, allowMissingColumns=True).withColumn(
        "total_students", F.sum("step").over(until_then)
    )
    return counted.where("is_row").drop("step", "is_row")


def rolling_classes(classes: DataFrame) -> DataFrame:
    """gold.class_rolling_performance of rows of gold.class_daily_performance.

    A row is right where the 29 days before it are among the rows.
    """
    day = F.unix_date("date")

    def over(name: str, length: int) -> Column:
        window = Window.partitionBy("class_id").orderBy(day).rangeBetween(1 - length, 0)
        return F.sum(name).over(window)

    def rate(length: int) -> Column:
        present = over("present_count", length)
        return share(present, over("students_with_attendance", length))

    scored = percent(over("score_sum", 30), over("assessment_count", 30))
    return classes.select(
        "date",
        "class_id",
        rate(7).alias("rolling_7d_attendance_rate"),
        rate(30).alias("rolling_30d_attendance_rate"),
        scored.alias("rolling_30d_avg_score"),
    )
