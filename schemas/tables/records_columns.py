"""What tables of school records share: columns, checks, retention and readers."""

from schemas.records import SOURCES
from schemas.table import Column, between, matches

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
# Of a record that is kept although its text does not say which day and which month it means.
UNDATED = "day and month could not be told apart (quality_flags say so)"
CREATED_AT = Column("created_at", "timestamp", "When the record was made: its version.", UNDATED)
OPENED_DATE = Column("opened_date", "date", "UTC day on which the ticket was opened.", UNDATED)
OPENED_AT = Column("opened_at", "timestamp", "When the ticket was opened: its version.", UNDATED)
CLASS_THEN = Column(
    "class_id",
    "string",
    "Class of the student at the end of the UTC day; on days before the register knows the "
    "student, the first class that it knows.",
    formula="class_id of the last row of silver.dim_students with valid_from < day + 1",
)
GRADES = between("grade_level", 0, 13)
