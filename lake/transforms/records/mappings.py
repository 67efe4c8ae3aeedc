"""Which rule reads which field of which source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.transforms.records.cleaning import Clean, Cleaning, RowCheck
from lake.transforms.records.conventions import Conventions
from lake.transforms.records.ids import clean_id
from lake.transforms.records.numbers import clean_integer, clean_number, clean_share
from lake.transforms.records.outcome import Rule
from lake.transforms.records.people import clean_email, clean_name, clean_phone
from lake.transforms.records.times import clean_date, clean_instant
from lake.transforms.records.words import (
    clean_channel,
    clean_enrollment_status,
    clean_gender,
    clean_grade_level,
    clean_label,
    clean_presence,
    clean_text,
)
from schemas.records.sources import SOURCES

# A range of a student's history begins at some instant: a row without one cannot be kept.
HISTORIES = ("students",)
MINUTES = ("min", "mins", "minute", "minutes")
HOURS = ("h", "hr", "hrs", "hour", "hours")


def cleaning(source: str, conventions: Conventions | None = None) -> Cleaning:
    """The cleaning of one of SOURCES. A field that the source requires is required here.

    But for HISTORIES a date may be missing whose day and month cannot be told apart.
    """
    return CLEANINGS[source](conventions or Conventions())


def students(school: Conventions) -> Cleaning:
    return _cleaning(
        "students",
        {
            "student_id": Clean("student_id", _student_id(school)),
            "student_name": Clean("student_name", clean_name),
            "class_id": Clean("class_id", clean_id),
            "grade_level": Clean("grade_level", clean_grade_level),
            "enrollment_status": Clean("enrollment_status", clean_enrollment_status),
            "updated_at": Clean("updated_at", _instant(school)),
        },
    )


def attendance(school: Conventions) -> Cleaning:
    presence = partial(clean_presence, more_words=school.presence_words)
    return _cleaning(
        "attendance",
        {
            "attendance_id": Clean("attendance_id", clean_id),
            "student_id": Clean("student_id", _student_id(school)),
            "attendance_date": Clean("attendance_date", _date(school)),
            "status": Clean("is_present", presence),
            "created_at": Clean("created_at", _instant(school)),
        },
    )


def assessments(school: Conventions) -> Cleaning:
    return _cleaning(
        "assessments",
        {
            "assessment_id": Clean("assessment_id", clean_id),
            "student_id": Clean("student_id", _student_id(school)),
            "subject": Clean("subject", clean_label),
            "score": Clean("score", partial(clean_number, minimum=0)),
            "max_score": Clean("max_score", partial(clean_number, above=0)),
            "assessment_date": Clean("assessment_date", _date(school)),
            "created_at": Clean("created_at", _instant(school)),
        },
        checks=(RowCheck("score", "above_max_score", _is_above_max_score, is_hard=True),),
        derived={"score_pct": lambda: F.col("score") / F.col("max_score")},
    )


def enrollments(school: Conventions) -> Cleaning:
    return _cleaning(
        "students_enrollment",
        {
            "student_id": Clean("student_id", _student_id(school)),
            "student_name": Clean("student_name", clean_name),
            "email": Clean("email", clean_email),
            "phone": Clean("phone", partial(clean_phone, region=school.phone_region)),
            "gender": Clean("gender", clean_gender),
            "date_of_birth": Clean("date_of_birth", _date(school)),
            "location": Clean("location", partial(clean_label, names=school.locations)),
            "course_id": Clean("course_id", clean_id),
            "enrollment_date": Clean("enrollment_date", _date(school)),
        },
        checks=(RowCheck("date_of_birth", "after_enrollment_date", _is_born_after),),
    )


def progress(school: Conventions) -> Cleaning:
    """A score of progress is one of 100, with or without a percent sign."""
    return _cleaning(
        "student_progress",
        {
            "student_id": Clean("student_id", _student_id(school)),
            "course_id": Clean("course_id", clean_id),
            "lesson_id": Clean("lesson_id", clean_id),
            "completion_pct": Clean("completion_pct", partial(clean_share, unit="percent")),
            "score": Clean(
                "score", partial(clean_number, minimum=0, maximum=100, allows_percent=True)
            ),
            "time_spent_minutes": Clean(
                "time_spent_minutes", partial(clean_number, minimum=0, units=MINUTES)
            ),
            "last_activity_at": Clean("last_activity_at", _instant(school)),
        },
    )


def courses(school: Conventions) -> Cleaning:
    return _cleaning(
        "course_catalog",
        {
            "course_id": Clean("course_id", clean_id),
            "title": Clean("title", clean_text),
            "category": Clean("category", clean_label),
            "level": Clean("level", clean_label),
            "duration_hours": Clean(
                "duration_hours", partial(clean_number, minimum=0, units=HOURS)
            ),
            "chapters": Clean("chapters", partial(clean_integer, minimum=0)),
            "updated_at": Clean("updated_at", _instant(school)),
        },
    )


def tickets(school: Conventions) -> Cleaning:
    return _cleaning(
        "support_tickets",
        {
            "ticket_id": Clean("ticket_id", clean_id),
            "student_id": Clean("student_id", _student_id(school)),
            "subject": Clean("subject", clean_text),
            "body": Clean("body", partial(clean_text, keeps_lines=True)),
            "opened_at": Clean("opened_at", _instant(school)),
            "closed_at": Clean("closed_at", _instant(school)),
            "channel": Clean("channel", clean_channel),
        },
        checks=(RowCheck("closed_at", "before_opened_at", _is_closed_before),),
    )


CLEANINGS: Mapping[str, Callable[[Conventions], Cleaning]] = {
    "students": students,
    "attendance": attendance,
    "assessments": assessments,
    "students_enrollment": enrollments,
    "student_progress": progress,
    "course_catalog": courses,
    "support_tickets": tickets,
}


def _cleaning(
    source: str,
    rules: Mapping[str, Clean],
    checks: tuple[RowCheck, ...] = (),
    derived: Mapping[str, Callable[[], Column]] | None = None,
) -> Cleaning:
    required = tuple(field.name for field in SOURCES[source].fields if field.required)
    undated = () if source in HISTORIES else SOURCES[source].dates
    return Cleaning(rules, required, checks, derived or {}, undated)


def _student_id(school: Conventions) -> Rule:
    return partial(clean_id, prefix=school.student_prefix, width=school.student_width)


def _date(school: Conventions) -> Rule:
    return partial(clean_date, date_order=school.date_order)


def _instant(school: Conventions) -> Rule:
    return partial(clean_instant, date_order=school.date_order)


def _is_above_max_score() -> Column:
    return F.col("score") > F.col("max_score")


def _is_born_after() -> Column:
    return F.col("date_of_birth") > F.col("enrollment_date")


def _is_closed_before() -> Column:
    return F.col("closed_at") < F.col("opened_at")
