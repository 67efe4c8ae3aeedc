"""Features for models: what was known of a student at the end of a day."""

from schemas import columns as c
from schemas.table import Column, Table, between

STUDENT_FEATURES = Table(
    name="features.student_features",
    doc="What was known of a student at the end of a day. Rows run from the student's first "
    "active day on, through pauses of up to 30 days, to 30 days after the last one, but not past "
    "the newest day of the lake; days without events are rows like any other.",
    grain="one student as of the end of one UTC day",
    columns=(
        c.STUDENT_HASH,
        Column("as_of_date", "date", "Only events before the end of this UTC day count."),
        Column(
            "rolling_7d_time_spent",
            "double",
            "Time in sessions over the 7 days that end with as_of_date.",
            unit="seconds",
            formula="sum of total_time_spent_seconds, less carried_over_seconds of as_of_date: "
            "that share is known from an event of the next day only",
        ),
        Column("rolling_7d_sessions", "bigint", "Sessions started in the same 7 days."),
        Column(
            "avg_quiz_accuracy_30d",
            "double",
            "Correct attempts / attempts over the 30 days that end with as_of_date; an attempt "
            "that reports no result is one that is not correct.",
            "no attempt in the 30 days",
            "0-1",
        ),
        Column(
            "last_login_days_ago",
            "int",
            "Days since the last day with an event; 0 on such a day.",
            unit="days",
        ),
        Column(
            "engagement_trend",
            "double",
            "Direction of the time spent, week over week: -1 stopped, 0 steady, 1 new.",
            unit="-1 to 1",
            formula="(this - previous) / (this + previous), where this is rolling_7d_time_spent "
            "and previous the same of as_of_date - 7; 0 where both are 0",
        ),
    ),
    keys=("student_hash", "as_of_date"),
    partition_by="as_of_date",
    checks=(
        between("rolling_7d_time_spent", 0, 7 * 86_400),
        between("rolling_7d_sessions", 0),
        between("avg_quiz_accuracy_30d", 0, 1),
        between("last_login_days_ago", 0, 30),
        between("engagement_trend", -1, 1),
    ),
    retention_days=800,
    readers=frozenset({"analyst", "engineer"}),
)

FEATURES = (STUDENT_FEATURES,)
