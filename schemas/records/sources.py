"""The sources of school records: which files they come in and what their columns are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Format = Literal["csv", "json"]
# The flag of a date whose day and month cannot be told apart: one of the cleaning's FLAGS.
AMBIGUOUS_DATE = "ambiguous_date"


@dataclass(frozen=True)
class Field:
    """One column of a source, as bronze keeps it: text as received, null where the row has none.

    A header names a field by its name or by one of the aliases, whatever its case, with blanks,
    hyphens or slashes for underscores. A file without a required field's column is refused; a row
    without its value is kept in bronze and quarantined by the cleaning. is_date: it names a day or
    an instant.
    """

    name: str
    doc: str
    aliases: tuple[str, ...] = ()
    required: bool = True
    is_identifier: bool = False
    is_date: bool = False


@dataclass(frozen=True)
class Source:
    """One kind of file. Its rows go to `bronze.<name>` in the order of `fields`.

    A file belongs to the source that its landing folder is named after, else to the one with the
    longest of `file_names` that its own name begins with. `keys` tell two versions of one record
    from two records; the newest by `version_field`, then by content, is in force.
    """

    name: str
    doc: str
    format: Format
    file_names: tuple[str, ...]
    fields: tuple[Field, ...]
    keys: tuple[str, ...]
    version_field: str

    def __post_init__(self) -> None:
        names = self.field_names
        if unknown := {*self.keys, self.version_field} - set(names):
            raise ValueError(f"{self.name}: {', '.join(sorted(unknown))} is not a field of it")
        spellings = [s for field in self.fields for s in (field.name, *field.aliases)]
        if len(set(spellings)) != len(spellings):
            raise ValueError(f"{self.name}: two fields share a spelling")

    @property
    def table(self) -> str:
        return f"bronze.{self.name}"

    @property
    def field_names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    @property
    def dates(self) -> tuple[str, ...]:
        """Fields that name a day or an instant."""
        return tuple(field.name for field in self.fields if field.is_date)


STUDENT_ID = Field(
    "student_id",
    "Student, as the school names it.",
    aliases=("student", "learner_id", "stu_id"),
    is_identifier=True,
)
COURSE_ID = Field("course_id", "Course, as the LMS names it.", aliases=("course", "course_code"))
CREATED_AT = Field("created_at", "When the record was made.", aliases=("created",), is_date=True)

STUDENTS = Source(
    name="students",
    doc="The school's register of students; each file holds all or some of them as they are now.",
    format="csv",
    file_names=("students",),
    fields=(
        STUDENT_ID,
        Field("student_name", "Full name.", ("name", "full_name"), is_identifier=True),
        Field("class_id", "Class.", ("class",)),
        Field("grade_level", "Year of schooling.", ("grade",)),
        Field("enrollment_status", "Whether the student is enrolled.", ("status",)),
        Field("updated_at", "Since when the row is true.", ("updated",), is_date=True),
    ),
    keys=("student_id", "updated_at"),
    version_field="updated_at",
)
ATTENDANCE = Source(
    name="attendance",
    doc="Who was there on which day.",
    format="csv",
    file_names=("attendance",),
    fields=(
        Field("attendance_id", "Identity of the record.", ("id",)),
        STUDENT_ID,
        Field("attendance_date", "Day.", ("date",), is_date=True),
        Field("status", "PRESENT or ABSENT.", ("attendance_status",)),
        CREATED_AT,
    ),
    keys=("attendance_id",),
    version_field="created_at",
)
ASSESSMENTS = Source(
    name="assessments",
    doc="Scores of tests and exams.",
    format="json",
    file_names=("assessments",),
    fields=(
        Field("assessment_id", "Identity of the record.", ("id",)),
        STUDENT_ID,
        Field("subject", "Subject."),
        Field("score", "Points reached."),
        Field("max_score", "Points that could be reached.", ("max",)),
        Field("assessment_date", "Day.", ("date",), is_date=True),
        CREATED_AT,
    ),
    keys=("assessment_id",),
    version_field="created_at",
)
ENROLLMENTS = Source(
    name="students_enrollment",
    doc="Who takes which course, with the particulars that the office keeps.",
    format="csv",
    file_names=("students_enrollment", "student_enrollment", "enrollment", "enrolment"),
    fields=(
        STUDENT_ID,
        Field(
            "student_name", "Full name.", ("name", "full_name"), required=False, is_identifier=True
        ),
        Field(
            "email", "E-mail address.", ("e_mail", "mail"), required=False, is_identifier=True
        ),
        Field(
            "phone", "Telephone number.", ("phone_number", "mobile"), required=False,
            is_identifier=True,
        ),
        Field("gender", "Gender.", ("sex",), required=False),
        Field(
            "date_of_birth", "Day of birth.", ("dob", "birth_date"), required=False,
            is_identifier=True, is_date=True,
        ),
        Field("location", "Town or region.", ("city",), required=False),
        COURSE_ID,
        Field(
            "enrollment_date", "Day of enrolment.", ("enrolment_date", "enrolled_on"), is_date=True
        ),
    ),
    keys=("student_id", "course_id"),
    version_field="enrollment_date",
)  # fmt: skip
PROGRESS = Source(
    name="student_progress",
    doc="How far a student came in a lesson of a course.",
    format="csv",
    file_names=("student_progress", "progress"),
    fields=(
        STUDENT_ID,
        COURSE_ID,
        Field("lesson_id", "Module or lesson.", ("module", "lesson", "module_lesson", "module_id")),
        Field(
            "completion_pct", "Completed share in percent.",
            ("completion_percent", "completion", "percent_complete"),
        ),
        Field("score", "Score.", required=False),
        Field(
            "time_spent_minutes", "Time spent, in minutes.", ("time_spent", "minutes"),
            required=False,
        ),
        Field("last_activity_at", "Last activity.", ("last_activity",), is_date=True),
    ),
    keys=("student_id", "course_id", "lesson_id"),
    version_field="last_activity_at",
)  # fmt: skip
COURSES = Source(
    name="course_catalog",
    doc="The courses on offer.",
    format="csv",
    file_names=("course_catalog", "course_catalogue", "courses"),
    fields=(
        COURSE_ID,
        Field("title", "Title.", ("course_title", "name")),
        Field("category", "Category.", required=False),
        Field("level", "Level.", ("difficulty",), required=False),
        Field("duration_hours", "Length, in hours.", ("duration", "hours"), required=False),
        Field("chapters", "Number of chapters.", ("chapter_count",), required=False),
        Field(
            "updated_at", "Since when the row is true.", ("updated",), required=False, is_date=True
        ),
    ),
    keys=("course_id",),
    version_field="updated_at",
)
TICKETS = Source(
    name="support_tickets",
    doc="What students asked the support for.",
    format="csv",
    file_names=("support_tickets", "tickets"),
    fields=(
        Field("ticket_id", "Identity of the ticket.", ("id", "ticket")),
        STUDENT_ID,
        Field("subject", "Subject line.", ("title",), is_identifier=True),
        Field("body", "Text.", ("description", "message"), required=False, is_identifier=True),
        Field("opened_at", "When it was opened.", ("opened", "created_at"), is_date=True),
        Field(
            "closed_at",
            "When it was closed.",
            ("closed", "resolved_at"),
            required=False,
            is_date=True,
        ),
        Field("channel", "Way in which it came.", required=False),
    ),
    keys=("ticket_id",),
    version_field="opened_at",
)

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        STUDENTS, ATTENDANCE, ASSESSMENTS, ENROLLMENTS, PROGRESS, COURSES, TICKETS,
    )
}  # fmt: skip
