"""Silver of school records: facts, and the versions of those that pictures look back on."""

from schemas import columns as c
from schemas.table import NEVER, Check, Column, Table, between
from schemas.tables.records_columns import (
    ANALYSTS,
    CHANNELS,
    CLASS_THEN,
    COURSE_ID,
    CREATED_AT,
    ENGINEERS,
    FACT_RETENTION_DAYS,
    GENDERS,
    IDENTIFIERS,
    IS_STUDENT,
    LINEAGE,
    OPENED_AT,
    OPENED_DATE,
    QUALITY_FLAGS,
    UNDATED,
)


def _fact(
    name: str,
    doc: str,
    grain: str,
    keys: tuple[str, ...],
    partition: str,
    columns: tuple[Column, ...],
    *checks: Check,
) -> Table:
    return Table(
        name=name,
        doc=doc,
        grain=grain,
        columns=(*columns, QUALITY_FLAGS, *LINEAGE),
        keys=keys,
        partition_by=partition,
        checks=(IS_STUDENT, *checks),
        retention_days=FACT_RETENTION_DAYS,
        readers=ANALYSTS,
    )


def _versions(fact: Table, version: str, name: str, doc: str, grain: str, *more: str) -> Table:
    """All versions of the fact's records, of which the fact has the newest; divided as the fact is.

    version: the column that tells them apart. more: columns beside key, version, partition, flags
    and lineage.
    """
    told = (*fact.keys, version, str(fact.partition_by), *more)
    columns = {column.name: column for column in fact.columns}
    # A version that has no place in time is in the fact alone.
    dated = {name: columns[name].with_(nulls=NEVER) for name in (version, str(fact.partition_by))}
    columns |= dated
    return Table(
        name=name,
        doc=doc,
        grain=grain,
        columns=(*(columns[column] for column in told), QUALITY_FLAGS, *LINEAGE),
        keys=(*fact.keys, version),
        partition_by=fact.partition_by,
        checks=tuple(check for check in fact.checks if set(told).issuperset(check.columns)),
        retention_days=fact.retention_days,
        readers=ENGINEERS,
    )


def _day_of_fact(name: str) -> Column:
    return Column(name, "date", "Day.", UNDATED)


def _month_of(version: str, doc: str) -> Column:
    return Column("month", "date", doc, UNDATED, formula=f"trunc({version}, 'MM')")


CLASS_ON_DAY = CLASS_THEN.with_(nulls="the day is not known")


FACT_ATTENDANCE = _fact(
    "silver.fact_attendance",
    "Who was there on which day.",
    "one record of attendance",
    ("attendance_id",),
    "attendance_date",
    (
        Column("attendance_id", "string", "Identity of the record."),
        c.STUDENT_HASH,
        _day_of_fact("attendance_date"),
        CLASS_ON_DAY,
        Column("is_present", "boolean", "Whether the student was there."),
        CREATED_AT,
    ),
)

FACT_ASSESSMENTS = _fact(
    "silver.fact_assessments",
    "Scores of tests and exams.",
    "one assessment of one student",
    ("assessment_id",),
    "assessment_date",
    (
        Column("assessment_id", "string", "Identity of the record."),
        c.STUDENT_HASH,
        _day_of_fact("assessment_date"),
        CLASS_ON_DAY,
        Column("subject", "string", "Subject."),
        Column("score", "double", "Points reached.", unit="points"),
        Column("max_score", "double", "Points that could be reached.", unit="points"),
        Column(
            "score_pct", "double", "Share reached.", unit="0-1", formula="score / max_score"
        ),
        CREATED_AT,
    ),
    between("score_pct", 0, 1),
)  # fmt: skip

FACT_ENROLLMENTS = _fact(
    "silver.fact_enrollments",
    "Who takes which course, as the newest enrolment says. The days of older ones are in "
    "silver.enrollment_versions.",
    "one student in one course",
    ("student_hash", "course_id"),
    "month",
    (
        c.STUDENT_HASH,
        COURSE_ID,
        Column("enrollment_date", "date", "Day of enrolment: the version of the row.", UNDATED),
        _month_of("enrollment_date", "First day of the month of enrollment_date."),
        Column("gender", "string", "Gender.", "not given or not disclosed", values=GENDERS),
        Column("location", "string", "Town or region.", "not given"),
        IDENTIFIERS,
    ),
)

ENROLLMENT_VERSIONS = _versions(
    FACT_ENROLLMENTS,
    "enrollment_date",
    "silver.enrollment_versions",
    "Every enrolment of a known day that a record ever told: which courses a student took by any "
    "day, in whatever order the records came.",
    "one student in one course at one enrollment_date",
    "_identifiers",
)

FACT_STUDENT_PROGRESS = _fact(
    "silver.fact_student_progress",
    "How far a student came in a lesson of a course, as the newest record says. What older ones "
    "said is in silver.progress_versions.",
    "one student in one lesson",
    ("student_hash", "course_id", "lesson_id"),
    "month",
    (
        c.STUDENT_HASH,
        COURSE_ID,
        Column("lesson_id", "string", "Module or lesson."),
        Column("completion_pct", "double", "Completed share.", unit="0-1"),
        Column("score", "double", "Score, of 100.", "not given", "points"),
        Column("time_spent_seconds", "double", "Time spent.", "not given", "seconds"),
        Column("last_activity_at", "timestamp", "Last activity: the version of the row.", UNDATED),
        _month_of("last_activity_at", "First day of the UTC month of last_activity_at."),
    ),
    between("completion_pct", 0, 1),
    between("score", 0, 100),
    between("time_spent_seconds", 0),
)

PROGRESS_VERSIONS = _versions(
    FACT_STUDENT_PROGRESS,
    "last_activity_at",
    "silver.progress_versions",
    "Every state of every lesson that a record of a known time ever told: what a student had "
    "completed by any day, in whatever order the records came.",
    "one student in one lesson at one last_activity_at",
    "completion_pct",
)

FACT_SUPPORT_TICKETS = _fact(
    "silver.fact_support_tickets",
    "When students asked the support, and how long it took. What they asked is in "
    "restricted.ticket_texts.",
    "one ticket",
    ("ticket_id",),
    "opened_date",
    (
        Column("ticket_id", "string", "Identity of the ticket."),
        c.STUDENT_HASH,
        OPENED_DATE,
        OPENED_AT,
        Column("closed_at", "timestamp", "When it was closed.", "it is open"),
        Column("is_open", "boolean", "Whether it is open."),
        Column(
            "hours_to_close",
            "double",
            "Time from opening to closing.",
            "it is open, was closed before it was opened, or nobody knows when it was opened",
            "hours",
        ),
        Column("channel", "string", "Way in which it came.", "not given", values=CHANNELS),
        IDENTIFIERS,
    ),
    between("hours_to_close", 0),
)
