"""Gold of school records: how classes, students and grades do, and who needs a look."""

from dataclasses import replace

from schemas import columns as c
from schemas.table import Column, Table, between, ordered
from schemas.tables.records_columns import (
    ANALYSTS,
    CLASS_ID,
    CLASS_THEN,
    FACT_RETENTION_DAYS,
    GRADE_LEVEL,
    GRADES,
    IS_STUDENT,
)

RISK_RULES = ("low_attendance", "absent_in_a_row", "low_scores", "falling_scores")
# Scores are summed as whole numbers: law 2. So many of them are one per cent.
SCORE_UNITS = 100_000_000
NO_ATTENDANCE = "nobody has a record of attendance there"
NO_ASSESSMENT = "there is no assessment"

DAY = c.DATE.with_(doc="Day that the facts are of (attendance_date, assessment_date).")
MONTH = Column("month", "date", "First day of the calendar month that the facts are of.")
IN_CLASS = CLASS_ID.with_(
    doc="Class of the students at the end of each day, as the facts of silver say it."
)
ATTENDANCE_RATE = Column(
    "attendance_rate",
    "double",
    "Share of the days with attendance on which the student was there.",
    NO_ATTENDANCE,
    "0-1",
)
SCORE_SUM = Column(
    "score_sum",
    "bigint",
    "Sum of the assessments' scores in whole units, so that it is exact.",
    unit="10^-8 %",
    formula="sum of round(score_pct * 10^10), halves up",
)
AVG_SCORE = Column(
    "avg_score",
    "double",
    "Mean score of the assessments.",
    NO_ASSESSMENT,
    "%",
    "score_sum / (number of assessments * 10^8), where score_sum is the sum of "
    "round(score_pct * 10^10), halves up",
)
MIN_SCORE, MAX_SCORE = (
    Column(
        name,
        "double",
        f"{what} score of the assessments.",
        NO_ASSESSMENT,
        "%",
        "round(score_pct * 10^10) / 10^8, halves up",
    )
    for name, what in (("min_score", "Smallest"), ("max_score", "Greatest"))
)
SCORES = (
    between("min_score", 0),
    between("max_score", None, 100),
    ordered("min_score", "max_score"),
)

CLASS_DAILY_PERFORMANCE = Table(
    name="gold.class_daily_performance",
    doc="Who of a class was there on a day, and what its tests of the day showed.",
    grain="one class on one day with attendance or assessments of its students",
    columns=(
        DAY,
        IN_CLASS,
        Column(
            "total_students",
            "bigint",
            "Active students of the class at the end of the UTC day, as the register says.",
            formula="rows of silver.dim_students with the class, status active, "
            "valid_from < date + 1 and valid_to null or >= date + 1",
        ),
        Column(
            "students_with_attendance",
            "bigint",
            "Students with any record of attendance of the day.",
        ),
        Column("present_count", "bigint", "Those of them with any record that they were there."),
        Column("absent_count", "bigint", "The others of them."),
        ATTENDANCE_RATE.with_(
            doc="Share of the students with attendance who were there.",
            formula="present_count / students_with_attendance",
        ),
        Column("students_with_assessment", "bigint", "Students with an assessment of the day."),
        Column("assessment_count", "bigint", "Assessments of the day."),
        SCORE_SUM,
        AVG_SCORE,
    ),
    keys=("date", "class_id"),
    partition_by="date",
    checks=(
        between("total_students", 0),
        between("absent_count", 0),
        ordered("present_count", "students_with_attendance"),
        ordered("students_with_assessment", "assessment_count"),
        between("attendance_rate", 0, 1),
        between("avg_score", 0, 100),
    ),
    readers=ANALYSTS,
)


def _rolling_rate(days: int) -> Column:
    return ATTENDANCE_RATE.with_(
        doc=f"Share of records of the {days} days that end with the date on which the student "
        "was there.",
        formula="sum of present_count / sum of students_with_attendance of "
        f"gold.class_daily_performance over [date - {days - 1}, date]",
    )


CLASS_ROLLING_PERFORMANCE = Table(
    name="gold.class_rolling_performance",
    doc="How a class did in the days up to a day.",
    grain="one row of gold.class_daily_performance",
    columns=(
        DAY,
        IN_CLASS,
        *(
            replace(_rolling_rate(days), name=f"rolling_{days}d_attendance_rate")
            for days in (7, 30)
        ),
        replace(
            AVG_SCORE,
            name="rolling_30d_avg_score",
            doc="Mean score of all assessments of the 30 days that end with the date.",
            formula="sum of score_sum / (sum of assessment_count * 10^8) of "
            "gold.class_daily_performance over [date - 29, date]",
        ),
    ),
    keys=("date", "class_id"),
    partition_by="date",
    checks=(
        between("rolling_7d_attendance_rate", 0, 1),
        between("rolling_30d_attendance_rate", 0, 1),
        between("rolling_30d_avg_score", 0, 100),
    ),
    readers=ANALYSTS,
)

STUDENT_MONTH_PERFORMANCE = Table(
    name="gold.student_month_performance",
    doc="A student's attendance and scores of a month: sums from which those of any longer time "
    "follow.",
    grain="one student in one class and grade in one calendar month with any fact",
    columns=(
        MONTH,
        c.STUDENT_HASH,
        CLASS_THEN,
        GRADE_LEVEL.with_(
            doc="Grade of the student at the end of the day; on days before the register knows "
            "the student, the first grade that it knows.",
            formula="grade_level of the last row of silver.dim_students with valid_from < day + 1",
        ),
        Column("attendance_days", "bigint", "Days with a record of attendance.", unit="days"),
        Column(
            "present_days",
            "bigint",
            "Those of them with any record that the student was there.",
            unit="days",
        ),
        Column("assessments", "bigint", "Assessments."),
        SCORE_SUM,
        MIN_SCORE,
        MAX_SCORE,
    ),
    keys=("month", "student_hash", "class_id", "grade_level"),
    partition_by="month",
    checks=(
        IS_STUDENT,
        GRADES,
        ordered("present_days", "attendance_days"),
        between("attendance_days", 0, 31),
        between("assessments", 0),
        *SCORES,
    ),
    retention_days=FACT_RETENTION_DAYS,
    readers=ANALYSTS,
)

STUDENT_PERFORMANCE_SUMMARY = Table(
    name="gold.student_performance_summary",
    doc="A student's attendance and scores in a class, over all time.",
    grain="one student in one class in which any fact is of the student",
    columns=(
        c.STUDENT_HASH,
        IN_CLASS.with_(doc="Class of the student at the end of the days that the facts are of."),
        Column("total_attendance_days", "bigint", "Days with a record of attendance.", unit="days"),
        Column(
            "present_days",
            "bigint",
            "Those of them with any record that the student was there.",
            unit="days",
        ),
        ATTENDANCE_RATE.with_(
            nulls="no day has a record of attendance",
            formula="present_days / total_attendance_days",
        ),
        Column("total_assessments", "bigint", "Assessments."),
        AVG_SCORE,
        MIN_SCORE,
        MAX_SCORE,
    ),
    keys=("student_hash", "class_id"),
    checks=(
        IS_STUDENT,
        ordered("present_days", "total_attendance_days"),
        between("attendance_rate", 0, 1),
        ordered("min_score", "avg_score"),
        ordered("avg_score", "max_score"),
        *SCORES,
    ),
    retention_days=FACT_RETENTION_DAYS,
    readers=ANALYSTS,
)

BEFORE = "the calendar month before has no row, or one of the two has none"
GRADE_LEVEL_TRENDS = Table(
    name="gold.grade_level_trends",
    doc="How a grade did in a month, and how that differs from the month before.",
    grain="one grade in one calendar month with any fact of its students",
    columns=(
        MONTH,
        GRADE_LEVEL.with_(doc="Grade of the students at the end of the days of their facts."),
        Column("students", "bigint", "Students with any fact of the month."),
        ATTENDANCE_RATE.with_(formula="sum of present_days / sum of attendance_days"),
        AVG_SCORE,
        Column("assessment_count", "bigint", "Assessments."),
        Column(
            "attendance_rate_change",
            "double",
            "Difference to the attendance_rate of the calendar month before.",
            BEFORE,
            "-1 to 1",
            "attendance_rate - attendance_rate of the month before",
        ),
        Column(
            "avg_score_change",
            "double",
            "Difference to the avg_score of the calendar month before.",
            BEFORE,
            "percentage points",
            "avg_score - avg_score of the month before",
        ),
    ),
    keys=("month", "grade_level"),
    partition_by="month",
    checks=(
        GRADES,
        between("students", 1),
        between("attendance_rate", 0, 1),
        between("avg_score", 0, 100),
        between("attendance_rate_change", -1, 1),
        between("avg_score_change", -100, 100),
    ),
    readers=ANALYSTS,
)

STUDENT_RISK_MONITOR = Table(
    name="gold.student_risk_monitor",
    doc="Which rules of risk fired for a student on a day, since when, and the numbers behind "
    "it. A student is judged on each day with attendance or an assessment of his, by what is of "
    "that day and before.",
    grain="one rule that fired for one student on one judged day",
    columns=(
        Column("as_of_date", "date", "The judged day; facts of later days are not looked at."),
        c.STUDENT_HASH,
        Column(
            "rule",
            "string",
            "The rule that fired: low_attendance, the share of days present of the last 30 days; "
            "absent_in_a_row, the newest days with attendance are absences; low_scores, the mean "
            "of the assessments of the last 90 days; falling_scores, the last three of them "
            "against those before.",
            values=RISK_RULES,
        ),
        CLASS_THEN,
        Column(
            "since",
            "date",
            "First of the student's judged days in the unbroken run on which the rule fired, up "
            "to as_of_date; more than 90 days without a judged day break the run.",
        ),
        Column(
            "value",
            "double",
            "What was measured. low_attendance: present days / days with attendance; "
            "absent_in_a_row: days; low_scores: mean score (%); falling_scores: percentage "
            "points, negative.",
            formula="scores: round(score_pct * 10^10) / 10^8, halves up",
        ),
        Column(
            "threshold",
            "double",
            "Limit of the rule, in the unit of the value. low_attendance and low_scores fire "
            "below it, absent_in_a_row at it and above, falling_scores at it and below.",
        ),
        Column(
            "observations",
            "bigint",
            "Facts behind the value: days with attendance, absences, or assessments.",
        ),
    ),
    keys=("as_of_date", "student_hash", "rule"),
    partition_by="as_of_date",
    checks=(IS_STUDENT, ordered("since", "as_of_date"), between("observations", 1)),
    retention_days=FACT_RETENTION_DAYS,
    readers=ANALYSTS,
)

RECORDS_GOLD = (
    CLASS_DAILY_PERFORMANCE,
    CLASS_ROLLING_PERFORMANCE,
    STUDENT_MONTH_PERFORMANCE,
    STUDENT_PERFORMANCE_SUMMARY,
    GRADE_LEVEL_TRENDS,
    STUDENT_RISK_MONITOR,
)
