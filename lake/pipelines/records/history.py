"""A student's versions as ranges of time, and what holds on a day: pure functions of frames."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

HISTORY = ("class_id", "grade_level", "enrollment_status")


def student_history(versions: DataFrame) -> DataFrame:
    """SCD type 2: half-open ranges, the last one without an end; equal neighbours are one row.

    In: all versions of the students, columns of silver.student_versions. Out: those of
    silver.dim_students; flags and lineage are those of the version that begins the range.
    """
    in_time = Window.partitionBy("student_hash").orderBy("updated_at")
    is_same = F.lit(True)
    for name in HISTORY:
        is_same = is_same & F.col(name).eqNullSafe(F.lag(name).over(in_time))
    is_first = F.row_number().over(in_time) == 1
    begins = versions.withColumn("begins", is_first | ~is_same).where("begins").drop("begins")
    ranges = begins.withColumnRenamed("updated_at", "valid_from")
    of_student = Window.partitionBy("student_hash").orderBy("valid_from")
    ranges = ranges.withColumn("valid_to", F.lead("valid_from").over(of_student))
    return ranges.withColumn("is_current", F.col("valid_to").isNull())


def with_register(
    facts: DataFrame, students: DataFrame, day: str, names: Sequence[str] = ("class_id",)
) -> DataFrame:
    """Adds what the register says of the student at the end of the UTC day in the column `day`.

    students: rows of silver.dim_students; names: columns of it. Days before the first row get
    that one's values, rows without a day none.
    """
    begun = F.struct("valid_from", *names)
    of_student = students.groupBy("student_hash").agg(
        F.array_sort(F.collect_list(begun)).alias("history")
    )
    joined = facts.join(F.broadcast(of_student), "student_hash", "left")
    at_end = joined.withColumn("at_end", _row_at_end_of(F.col(day)))
    return at_end.withColumns({name: F.col("at_end")[name] for name in names}).drop(
        "history", "at_end"
    )


def _row_at_end_of(day: Column) -> Column:
    end = F.date_add(day, 1).cast("timestamp")
    history = F.col("history")
    begun = F.filter(history, lambda row: row["valid_from"] < end)
    row = F.coalesce(F.get(begun, F.size(begun) - 1), F.get(history, F.lit(0)))
    return F.when(day.isNotNull(), row)


def history_changes(new: DataFrame, old: DataFrame) -> DataFrame:
    """Where the history of a student changed: student_hash, valid_from, is_known, is_first.

    new, old: all rows of the same students of silver.dim_students. What the register says of a
    student is another thing from the smallest valid_from on; before it, too, where that one
    is_first. is_known: the student was among the old ones.
    """
    columns = ("student_hash", "valid_from", *HISTORY)
    both = new.select(*columns, F.lit(1).alias("side")).unionByName(
        old.select(*columns, F.lit(-1).alias("side"))
    )
    of_student = Window.partitionBy("student_hash")
    known = both.withColumns(
        {
            "is_known": F.min("side").over(of_student) < 0,
            "is_first": F.min("valid_from").over(of_student) == F.col("valid_from"),
        }
    )
    summed = known.groupBy(*columns, "is_known", "is_first").agg(F.sum("side").alias("side"))
    return summed.where("side != 0").select("student_hash", "valid_from", "is_known", "is_first")
