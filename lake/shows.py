"""What schools ask of the tables, ready to use: pandas DataFrames, with no Spark.

from lake.shows import show_class_statistics
show_class_statistics()

Each function reads the lake of the environment (LMSLAKE_…), or that of `settings`; days are UTC.
Each raises LakeError where there is no lake, or where a table is not written yet: the error names
the command that writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from lake.query import connect, readable_errors
from lake.settings import Settings

if TYPE_CHECKING:
    import duckdb
    import pandas

CLASS_DAYS = 20

CLASS_DAILY_PERFORMANCE = """
    SELECT * EXCLUDE (score_sum) FROM gold.class_daily_performance
    ORDER BY date DESC, class_id LIMIT $limit
"""
STUDENT_PERFORMANCE_SUMMARY = """
    SELECT * FROM gold.student_performance_summary
    WHERE $class_id IS NULL OR class_id = $class_id
    ORDER BY class_id, avg_score DESC NULLS LAST, student_hash
"""
# Days count by their facts: a mean of daily means would weigh a day of one test like one of thirty.
CLASS_STATISTICS = """
    WITH of_days AS (
        SELECT
            class_id,
            count(*) AS days,
            sum(present_count) / nullif(sum(students_with_attendance), 0) AS attendance_rate,
            CAST(sum(assessment_count) AS BIGINT) AS assessments,
            sum(score_sum) / nullif(sum(assessment_count), 0) / $score_units AS avg_score,
            arg_max(date, (attendance_rate, date)) FILTER (attendance_rate IS NOT NULL) AS best_day,
            max(attendance_rate) AS best_attendance_rate,
            arg_min(date, (attendance_rate, -epoch(date)))
                FILTER (attendance_rate IS NOT NULL) AS worst_day,
            min(attendance_rate) AS worst_attendance_rate
        FROM gold.class_daily_performance GROUP BY class_id
    ),
    of_register AS (
        SELECT class_id, count(*) AS active_students FROM silver.dim_students
        WHERE is_current AND enrollment_status = 'active' GROUP BY class_id
    )
    SELECT
        class_id,
        coalesce(active_students, 0) AS active_students,
        coalesce(days, 0) AS days,
        attendance_rate,
        coalesce(assessments, 0) AS assessments,
        avg_score,
        best_day, best_attendance_rate, worst_day, worst_attendance_rate
    FROM of_days FULL JOIN of_register USING (class_id)
    ORDER BY class_id
"""
STUDENTS_AT_RISK = """
    WITH facts AS (
        SELECT student_hash, attendance_date AS day FROM silver.fact_attendance
        UNION ALL SELECT student_hash, assessment_date FROM silver.fact_assessments
    ),
    newest AS (SELECT student_hash, max(day) AS as_of_date FROM facts GROUP BY student_hash)
    SELECT as_of_date, student_hash, class_id, rule, since, value, threshold, observations
    FROM newest JOIN gold.student_risk_monitor USING (student_hash, as_of_date)
    ORDER BY as_of_date DESC, class_id, student_hash, rule LIMIT $limit
"""
GRADE_LEVEL_TRENDS = "SELECT * FROM gold.grade_level_trends ORDER BY month DESC, grade_level"
# Of one student all pictures; of everybody those of one day.
STUDENT_360 = """
    SELECT * EXCLUDE (_derived_at, _inputs) FROM gold.student_360
    WHERE ($student_hash IS NULL OR student_hash = $student_hash)
      AND as_of_date = coalesce(
          $as_of,
          CASE WHEN $student_hash IS NULL THEN (SELECT max(as_of_date) FROM gold.student_360) END,
          as_of_date
      )
    ORDER BY as_of_date DESC, class_id, student_hash
"""


@dataclass(frozen=True)
class Question:
    """A SELECT over the tables, and its parameters by name."""

    sql: str
    given: Mapping[str, object] = field(default_factory=dict)

    def answer(self, settings: Settings | None = None) -> duckdb.DuckDBPyRelation:
        """The rows; they are computed when they are taken: within `lake.query.readable_errors`."""
        connection = connect(settings or Settings.from_env())
        with readable_errors():
            return connection.sql(self.sql, params=dict(self.given) or None)

    def frame(self, settings: Settings | None = None) -> pandas.DataFrame:
        answer = self.answer(settings)
        with readable_errors():
            return answer.df()


def class_daily_performance(limit: int | None = CLASS_DAYS) -> Question:
    return Question(CLASS_DAILY_PERFORMANCE, {"limit": limit})


def student_performance_summary(class_id: str | None = None) -> Question:
    return Question(STUDENT_PERFORMANCE_SUMMARY, {"class_id": class_id})


def class_statistics() -> Question:
    from schemas.tables.records_gold import SCORE_UNITS

    return Question(CLASS_STATISTICS, {"score_units": SCORE_UNITS})


def students_at_risk(limit: int | None = None) -> Question:
    return Question(STUDENTS_AT_RISK, {"limit": limit})


def grade_level_trends() -> Question:
    return Question(GRADE_LEVEL_TRENDS)


def student_360(student_hash: str | None = None, as_of: date | None = None) -> Question:
    return Question(STUDENT_360, {"student_hash": student_hash, "as_of": as_of})


def show_class_daily_performance(
    limit: int | None = CLASS_DAYS, settings: Settings | None = None
) -> pandas.DataFrame:
    """The newest days of each class: who was there, what the tests showed.

    At most `limit` rows (None: all) of gold.class_daily_performance, newest day first.
    """
    return class_daily_performance(limit).frame(settings)


def show_student_performance_summary(
    class_id: str | None = None, settings: Settings | None = None
) -> pandas.DataFrame:
    """Attendance and scores of each student over all time, best mean first in each class.

    Columns of gold.student_performance_summary; with `class_id` the students of that class only.
    """
    return student_performance_summary(class_id).frame(settings)


def show_class_statistics(settings: Settings | None = None) -> pandas.DataFrame:
    """One row per class over all days.

    active_students are those whom the register has as active in the class now. attendance_rate
    (0-1) and avg_score (%) weigh every record alike. best_day and worst_day are the days of the
    highest and the lowest attendance_rate, the newest where several have it.
    """
    return class_statistics().frame(settings)


def show_students_at_risk(
    limit: int | None = None, settings: Settings | None = None
) -> pandas.DataFrame:
    """Rules that fire on the newest day on which a student was judged, newest day first.

    One row per student and rule, columns of gold.student_risk_monitor: since when, what was
    measured, the limit, and how many facts are behind it. At most `limit` rows (None: all).
    """
    return students_at_risk(limit).frame(settings)


def show_grade_level_trends(settings: Settings | None = None) -> pandas.DataFrame:
    """Attendance and scores of each grade by month, newest first, against the month before."""
    return grade_level_trends().frame(settings)


def show_student_360(
    student_hash: str | None = None, as_of: date | None = None, settings: Settings | None = None
) -> pandas.DataFrame:
    """Behaviour, attendance, scores, courses, tickets and risk of students, as of a day.

    Without arguments everybody's picture of the newest day that has one; with `as_of` of that
    day; with `student_hash` all pictures of that student, newest first. Days without a picture
    have no rows: `lmslake picture build --as-of D` makes one.
    """
    return student_360(student_hash, as_of).frame(settings)
