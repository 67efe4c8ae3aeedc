"""One student's whole picture: behaviour beside school records, as of the end of a day."""

from schemas import columns as c
from schemas.table import Column, Table, between, ordered
from schemas.tables.features import STUDENT_FEATURES
from schemas.tables.records_columns import CLASS_ID, ENROLLMENT_STATUS, GRADE_LEVEL, GRADES
from schemas.tables.records_gold import RISK_RULES

# The last of a student's features is that of 30 days after the last active day.
BEHAVIOUR_DAYS = 31
UNKNOWN = "the register does not know the student yet"
NO_RECORD = "there is none, and the register does not know the student yet"
NO_BEHAVIOUR = "the lake has no event of anybody up to the day"
NO_ATTENDANCE = "no day of them has a record of attendance"
NO_ASSESSMENT = "there is no assessment of the 90 days"
IN_FORCE = "row of silver.dim_students with valid_from < as_of_date + 1 and valid_to null or later"
NOT_JUDGED = "no fact of attendance or assessment lies in the 90 days"
SCORE = "round(score_pct * 10^10) / 10^8, halves up"


def _feature(name: str) -> Column:
    """The column of features.student_features, where a student may have no row."""
    column = next(column for column in STUDENT_FEATURES.columns if column.name == name)
    missing = f"no event of the student in the {BEHAVIOUR_DAYS} days that end with as_of_date"
    return column.with_(nulls=f"{missing}; {column.nulls}" if column.nullable else missing)


STUDENT_360 = Table(
    name="gold.student_360",
    doc="What was known of a student at the end of a day: register, behaviour, attendance, scores, "
    "courses, tickets and risk side by side. Nothing dated later enters. A row for everybody whom "
    "the register knows at the end of the day, whatever the status, or who has features then.",
    grain="one student as of the end of one UTC day for which a picture was built",
    columns=(
        c.STUDENT_HASH,
        Column("as_of_date", "date", "The picture shows the end of this UTC day."),
        CLASS_ID.with_(nulls=UNKNOWN, formula=f"class_id of the {IN_FORCE}"),
        GRADE_LEVEL.with_(nulls=UNKNOWN, formula=f"grade_level of the {IN_FORCE}"),
        ENROLLMENT_STATUS.with_(nulls=UNKNOWN, formula=f"enrollment_status of the {IN_FORCE}"),
        Column(
            "sessions_30d",
            "bigint",
            "Sessions started in the 30 days that end with as_of_date.",
            NO_BEHAVIOUR,
            formula="sum of total_sessions of gold.student_daily_activity",
        ),
        Column(
            "time_spent_30d_seconds",
            "double",
            "Time in sessions over the same 30 days.",
            NO_BEHAVIOUR,
            "seconds",
            "sum of total_time_spent_seconds of gold.student_daily_activity, less "
            "carried_over_seconds of as_of_date: that share is known from the next day only",
        ),
        _feature("rolling_7d_time_spent"),
        _feature("rolling_7d_sessions"),
        _feature("avg_quiz_accuracy_30d"),
        _feature("last_login_days_ago"),
        _feature("engagement_trend"),
        Column(
            "attendance_days_30d",
            "bigint",
            "Days with a record of attendance among the 30 that end with as_of_date.",
            NO_RECORD,
            "days",
        ),
        Column(
            "attendance_rate_30d",
            "double",
            "Share of those days on which the student was there.",
            NO_ATTENDANCE,
            "0-1",
            "days with any record that the student was there / attendance_days_30d",
        ),
        Column(
            "last_absence_date",
            "date",
            "Newest day of the 90 that end with as_of_date with records of attendance, none of "
            "which says that the student was there.",
            "there is no such day",
        ),
        Column(
            "assessments_90d",
            "bigint",
            "Assessments of the 90 days that end with as_of_date.",
            NO_RECORD,
        ),
        Column(
            "avg_score_90d",
            "double",
            "Mean score of those assessments.",
            NO_ASSESSMENT,
            "%",
            "sum of round(score_pct * 10^10) / assessments_90d / 10^8, halves up",
        ),
        Column("min_score_90d", "double", "Smallest score among them.", NO_ASSESSMENT, "%", SCORE),
        Column(
            "score_change_90d",
            "double",
            "How the last three of them (by assessment_date, assessment_id) differ from the ones "
            "before.",
            "fewer than six assessments: three, and three before them",
            "percentage points",
            "mean score of the last three - mean score of the others",
        ),
        Column(
            "courses_enrolled",
            "bigint",
            "Courses in which the student enrolled up to the end of the day; each once, however "
            "often.",
            NO_RECORD,
            formula="courses of silver.enrollment_versions with enrollment_date <= as_of_date",
        ),
        Column(
            "lessons_touched",
            "bigint",
            "Lessons that the student worked on before the end of the day.",
            NO_RECORD,
            formula="lessons of silver.progress_versions with last_activity_at < as_of_date + 1",
        ),
        Column(
            "avg_completion_pct",
            "double",
            "Mean completed share of those lessons at the end of the day: of each what its newest "
            "record up to then says.",
            "no lesson is counted",
            "0-1",
            "sum of round(completion_pct * 10^10) / lessons_touched / 10^10, halves up",
        ),
        Column(
            "tickets_opened_90d",
            "bigint",
            "Tickets opened in the 90 days that end with as_of_date.",
            NO_RECORD,
        ),
        Column(
            "tickets_open",
            "bigint",
            "Tickets that are open at the end of the day, whenever they were opened.",
            NO_RECORD,
            formula="opened_at < as_of_date + 1 and closed_at null or later than that day",
        ),
        Column(
            "risk_rules",
            "array<string>",
            f"Rules of gold.student_risk_monitor ({', '.join(RISK_RULES)}) that fire on the "
            "student's newest judged day of the 90 that end with as_of_date; sorted, empty where "
            "none fires.",
            NOT_JUDGED,
        ),
        Column(
            "risk_since",
            "date",
            "Since when the one of these rules that fires longest does.",
            "no rule fires",
            formula="smallest since of them",
        ),
        Column("_derived_at", "timestamp", "When the picture was derived."),
        Column(
            "_inputs",
            "string",
            "Fingerprint of what the tables held for the day then: a picture whose fingerprint is "
            "another one now is derived anew.",
        ),
    ),
    keys=("student_hash", "as_of_date"),
    partition_by="as_of_date",
    checks=(
        GRADES,
        between("sessions_30d", 0),
        between("time_spent_30d_seconds", 0, 30 * 86_400),
        between("last_login_days_ago", 0, 30),
        between("attendance_days_30d", 0, 30),
        between("attendance_rate_30d", 0, 1),
        ordered("last_absence_date", "as_of_date"),
        between("avg_score_90d", 0, 100),
        between("min_score_90d", 0, 100),
        between("score_change_90d", -100, 100),
        between("avg_completion_pct", 0, 1),
        ordered("risk_since", "as_of_date"),
    ),
    retention_days=800,
    readers=frozenset({"analyst", "engineer"}),
)
