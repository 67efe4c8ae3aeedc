"""Silver of school records: dimensions, facts, what was set aside; and the journal of builds."""

from dataclasses import replace

from schemas import columns as c
from schemas.records import SOURCES
from schemas.table import Check, Column, Table, between, matches
from schemas.tables.bronze import BUILDS

ANALYSTS = frozenset({"analyst", "engineer"})
ENGINEERS = frozenset({"engineer"})
HEX_64 = "^[0-9a-f]{64}$"
STATUSES = ("active", "inactive", "graduated", "withdrawn")
CHANNELS = ("email", "phone", "chat", "web", "in_person")
GENDERS = ("female", "male", "other")
RETENTION_DAYS = 400
# Grades are looked back on over years of school.
FACT_RETENTION_DAYS = 2000

IS_STUDENT = matches("student_hash", HEX_64)
SOURCE = Column("source", "string", "Source of the row.", values=tuple(SOURCES))
CONTENT_HASH = Column(
    "_content_hash", "string", "SHA-256 of the file that the row in force stands in."
)
ROW = Column("_row", "bigint", "Number of the record in that file, from 1.")
LINEAGE = (
    CONTENT_HASH,
    ROW,
    Column(
        "_digest",
        "string",
        "SHA-256 of the record's clean content: of two records of one version the greater one is "
        "in force, and the other in silver.records_quarantine.",
        formula="fields without key, version and identifiers, in canonical form, joined by 0x1f",
    ),
)
IDENTIFIERS = Column(
    "_identifiers",
    "string",
    "HMAC of the record's names, contacts or texts: tells copies of a record from records that "
    "differ in these alone.",
    formula="as student_hash, of these fields in canonical form, each after 0x1f",
)
QUALITY_FLAGS = Column(
    "quality_flags",
    "array<string>",
    "What the cleaning found doubtful, as field:flag, sorted; empty for a clean row.",
)
COURSE_ID = Column(
    "course_id",
    "string",
    "Course: its id in the one form that ids of records have, as MATH101 of math-101. Events keep "
    "theirs as sent; `record_id(course_id)` in lmslake sql gives those this form.",
)
CLASS_ID = Column("class_id", "string", "Class.")
GRADE_LEVEL = Column("grade_level", "int", "Year of schooling, 0 (kindergarten) to 13.")
ENROLLMENT_STATUS = Column(
    "enrollment_status", "string", "Whether the student is enrolled.", values=STATUSES
)
CREATED_AT = Column("created_at", "timestamp", "When the record was made: its version.")
CLASS_THEN = Column(
    "class_id",
    "string",
    "Class of the student at the end of the UTC day; on days before the register knows the "
    "student, the first class that it knows.",
    formula="class_id of the last row of silver.dim_students with valid_from < day + 1",
)
GRADES = between("grade_level", 0, 13)


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


STUDENT_VERSIONS = Table(
    name="silver.student_versions",
    doc="Every version of every student that a register ever told: what silver.dim_students is "
    "derived from, in whatever order the registers came.",
    grain="one student at one updated_at",
    columns=(
        c.STUDENT_HASH,
        Column("updated_at", "timestamp", "Since when the version is true."),
        CLASS_ID,
        GRADE_LEVEL,
        ENROLLMENT_STATUS,
        QUALITY_FLAGS,
        *LINEAGE,
        IDENTIFIERS,
    ),
    keys=("student_hash", "updated_at"),
    checks=(IS_STUDENT, GRADES),
    retention_days=RETENTION_DAYS,
    readers=ENGINEERS,
)

DIM_STUDENTS = Table(
    name="silver.dim_students",
    doc="Class, grade and status of each student over time (SCD type 2, half-open ranges).",
    grain="one student in one range of time",
    columns=(
        c.STUDENT_HASH,
        CLASS_ID,
        GRADE_LEVEL,
        ENROLLMENT_STATUS,
        Column("valid_from", "timestamp", "Beginning of the range, within it."),
        Column("valid_to", "timestamp", "End of the range, outside of it.", "the current row"),
        Column("is_current", "boolean", "Whether it is the student's last row."),
        QUALITY_FLAGS,
        *LINEAGE,
    ),
    keys=("student_hash", "valid_from"),
    checks=(IS_STUDENT, GRADES),
    retention_days=RETENTION_DAYS,
    readers=ANALYSTS,
)

DIM_COURSES = Table(
    name="silver.dim_courses",
    doc="The courses on offer, as the newest catalogue describes each (type 1).",
    grain="one course",
    columns=(
        COURSE_ID,
        Column("title", "string", "Title."),
        Column("category", "string", "Category.", "not given"),
        Column("level", "string", "Level.", "not given"),
        Column("duration_hours", "double", "Length.", "not given", "hours"),
        Column("chapters", "int", "Number of chapters.", "not given"),
        Column(
            "updated_at", "timestamp", "Since when the row is true.", "the catalogue has no date"
        ),
        QUALITY_FLAGS,
        *LINEAGE,
    ),
    keys=("course_id",),
    checks=(between("duration_hours", 0), between("chapters", 0)),
    readers=ANALYSTS,
)

FACT_ATTENDANCE = _fact(
    "silver.fact_attendance",
    "Who was there on which day.",
    "one record of attendance",
    ("attendance_id",),
    "attendance_date",
    (
        Column("attendance_id", "string", "Identity of the record."),
        c.STUDENT_HASH,
        Column("attendance_date", "date", "Day."),
        CLASS_THEN,
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
        Column("assessment_date", "date", "Day."),
        CLASS_THEN,
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
    "Who takes which course.",
    "one student in one course",
    ("student_hash", "course_id"),
    "course_id",
    (
        c.STUDENT_HASH,
        COURSE_ID,
        Column("enrollment_date", "date", "Day of enrolment: the version of the row."),
        Column("gender", "string", "Gender.", "not given or not disclosed", values=GENDERS),
        Column("location", "string", "Town or region.", "not given"),
        IDENTIFIERS,
    ),
)

LESSON_ID = Column("lesson_id", "string", "Module or lesson.")
COMPLETION_PCT = Column("completion_pct", "double", "Completed share.", unit="0-1")
LAST_ACTIVITY_AT = Column("last_activity_at", "timestamp", "Last activity: the version of the row.")
ACTIVITY_MONTH = Column(
    "month", "date", "First day of the UTC month of last_activity_at.",
    formula="trunc(last_activity_at, 'MM')",
)  # fmt: skip

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
        LESSON_ID,
        COMPLETION_PCT,
        Column("score", "double", "Score, of 100.", "not given", "points"),
        Column("time_spent_seconds", "double", "Time spent.", "not given", "seconds"),
        LAST_ACTIVITY_AT,
        ACTIVITY_MONTH,
    ),
    between("completion_pct", 0, 1),
    between("score", 0, 100),
    between("time_spent_seconds", 0),
)

PROGRESS_VERSIONS = Table(
    name="silver.progress_versions",
    doc="Every state of every lesson that a record ever told: what a student had completed by any "
    "day, in whatever order the records came.",
    grain="one student in one lesson at one last_activity_at",
    columns=(
        c.STUDENT_HASH,
        COURSE_ID,
        LESSON_ID,
        LAST_ACTIVITY_AT,
        ACTIVITY_MONTH,
        COMPLETION_PCT,
        QUALITY_FLAGS,
        *LINEAGE,
    ),
    keys=("student_hash", "course_id", "lesson_id", "last_activity_at"),
    partition_by="month",
    checks=(IS_STUDENT, between("completion_pct", 0, 1)),
    retention_days=FACT_RETENTION_DAYS,
    readers=ENGINEERS,
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
        Column("opened_date", "date", "UTC day on which it was opened."),
        Column("opened_at", "timestamp", "When it was opened."),
        Column("closed_at", "timestamp", "When it was closed.", "it is open"),
        Column("is_open", "boolean", "Whether it is open."),
        Column(
            "hours_to_close",
            "double",
            "Time from opening to closing.",
            "it is open, or was closed before it was opened",
            "hours",
        ),
        Column("channel", "string", "Way in which it came.", "not given", values=CHANNELS),
        IDENTIFIERS,
    ),
    between("hours_to_close", 0),
)

RECORDS_QUARANTINE = Table(
    name="silver.records_quarantine",
    doc="Rows of files that are in no table of silver, and why. The row itself stays in bronze: "
    "source, `_content_hash` and `_row` lead to it.",
    grain="one row of one file",
    columns=(
        SOURCE,
        Column("_content_hash", "string", "SHA-256 of the file that the row stands in."),
        ROW,
        Column(
            "reason",
            "string",
            "`field:flag` of docs/cleaning-rules.md, or `conflicting_version`: the row contradicts "
            "the one in force of the same key and version, and nothing in them tells which is "
            "right. It goes when a newer version comes.",
        ),
        Column(
            "detail",
            "string",
            "What bronze found wrong with the row; of a conflicting version its identity "
            "(version/content): copies of it have one row here.",
            "nothing to add",
        ),
    ),
    keys=("source", "_content_hash", "_row"),
    partition_by="source",
    retention_days=RETENTION_DAYS,
    readers=ENGINEERS,
)

RECORDS_HELD = Table(
    name="silver.records_held",
    doc="Rows of files that name a student or a course that no file has told yet. They wait: the "
    "build that takes the student or the course takes them too.",
    grain="one row of one file",
    columns=(
        SOURCE,
        Column("_content_hash", "string", "SHA-256 of the file that the row stands in."),
        ROW,
        Column(
            "reason",
            "string",
            "Which parent is missing; the student where both are.",
            values=("unknown_student", "unknown_course"),
        ),
        c.STUDENT_HASH,
        COURSE_ID.with_(nulls="rows of the source name no course"),
    ),
    keys=("source", "_content_hash", "_row"),
    partition_by="source",
    checks=(IS_STUDENT,),
    retention_days=RETENTION_DAYS,
    readers=ENGINEERS,
)

RECORD_BUILDS = replace(
    BUILDS,
    name="bronze.record_builds",
    doc="The journal of builds of school records: `publishing` before the first table changes, "
    "`finished` after the last; a build without the second is repaired by the next one.",
    columns=tuple(
        column.with_(
            doc="Contents that the build takes, as source/content_hash; what of quarantine it "
            "judges again, as quarantine/source/reason."
        )
        if column.name == "paths"
        else column.with_(
            doc="Once finished: days whose facts or rows of gold it changed, and the first day of "
            "which the register says another thing; of a repair all days with facts."
        )
        if column.name == "dates"
        else column.with_(doc="Always empty.")
        if column.name == "session_dates"
        else column
        for column in BUILDS.columns
    ),
)

RECORDS_SILVER = (
    STUDENT_VERSIONS,
    DIM_STUDENTS,
    DIM_COURSES,
    FACT_ATTENDANCE,
    FACT_ASSESSMENTS,
    FACT_ENROLLMENTS,
    PROGRESS_VERSIONS,
    FACT_STUDENT_PROGRESS,
    FACT_SUPPORT_TICKETS,
    RECORDS_QUARANTINE,
    RECORDS_HELD,
)
