"""Silver of school records: dimensions, what was set aside; and the journal of builds."""

from dataclasses import replace

from schemas import columns as c
from schemas.table import Column, Table, between
from schemas.tables.bronze import BUILDS
from schemas.tables.records_columns import (
    ANALYSTS,
    CLASS_ID,
    COURSE_ID,
    ENGINEERS,
    ENROLLMENT_STATUS,
    GRADE_LEVEL,
    GRADES,
    IDENTIFIERS,
    IS_STUDENT,
    LINEAGE,
    QUALITY_FLAGS,
    RETENTION_DAYS,
    ROW,
    SOURCE,
)
from schemas.tables.records_facts import (
    ENROLLMENT_VERSIONS,
    FACT_ASSESSMENTS,
    FACT_ATTENDANCE,
    FACT_ENROLLMENTS,
    FACT_STUDENT_PROGRESS,
    FACT_SUPPORT_TICKETS,
    PROGRESS_VERSIONS,
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
    ENROLLMENT_VERSIONS,
    FACT_ENROLLMENTS,
    PROGRESS_VERSIONS,
    FACT_STUDENT_PROGRESS,
    FACT_SUPPORT_TICKETS,
    RECORDS_QUARANTINE,
    RECORDS_HELD,
)
