"""Whole rows of every source: columns, quality flags, and why a row cannot be kept."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lake.errors import LakeError
from lake.transforms.records.cleaning import (
    Clean,
    Cleaning,
    RowCheck,
    first_hard_failure,
    with_clean,
)
from lake.transforms.records.conventions import Conventions
from lake.transforms.records.ids import clean_id
from lake.transforms.records.mappings import CLEANINGS, cleaning
from lake.transforms.records.times import clean_date, clean_instant
from schemas.records.sources import SOURCES

SCHOOL = Conventions(date_order="dmy", phone_region="GB", locations={"NYC": "New York"})


def cleaned(
    spark: SparkSession, source: str, *changes: dict[str, Any], school: Conventions = SCHOOL
) -> list[dict[str, Any]]:
    """The good row of the source with each of the changes, cleaned; instants as text."""
    fields = SOURCES[source].field_names
    rows = [
        (number, change.get("_defect"), *({**GOOD[source], **change}[name] for name in fields))
        for number, change in enumerate(changes)
    ]
    types = ", ".join(f"{name} string" for name in fields)
    frame = spark.createDataFrame(rows, f"_row int, _defect string, {types}")
    rules = cleaning(source, school)
    out = with_clean(frame, rules)
    assert out.columns == ["_row", "_defect", *rules.columns]
    texts = {name: F.col(name).cast("string") for name, kind in out.dtypes if kind == "timestamp"}
    kept = out.withColumn("failure", first_hard_failure(rules)).withColumns(texts)
    found = [row.asDict() for row in kept.drop("_defect").orderBy("_row").collect()]
    for row in found:
        del row["_row"]
    return found


GOOD: dict[str, dict[str, str | None]] = {
    "students": {
        "student_id": "stu-1", "student_name": "SILVA, Ana", "class_id": "9-a",
        "grade_level": "9th", "enrollment_status": "Enrolled", "updated_at": "2025-09-01T08:00:00Z",
    },
    "attendance": {
        "attendance_id": "att-7", "student_id": "1", "attendance_date": "12/09/2025",
        "status": "\u2705", "created_at": "2025-09-12T08:00:00+02:00",
    },
    "assessments": {
        "assessment_id": "asm-7", "student_id": "STU001", "subject": "MATHS", "score": "17,5",
        "max_score": "20", "assessment_date": "12 Sep 2025", "created_at": "2025-09-12 10:00:00Z",
    },
    "students_enrollment": {
        "student_id": "STU001", "student_name": "ana silva", "email": "ana@School.org",
        "phone": "020 7946 0958", "gender": "F", "date_of_birth": "1/2/2011", "location": "nyc",
        "course_id": "math-101", "enrollment_date": "2025-09-01",
    },
    "student_progress": {
        "student_id": "STU001", "course_id": "MATH101", "lesson_id": "lesson 3",
        "completion_pct": "100%", "score": "87,5%", "time_spent_minutes": "42 min",
        "last_activity_at": "2025-09-12T10:00:00Z",
    },
    "course_catalog": {
        "course_id": "Math 101", "title": " Algebra  I", "category": "mathematics",
        "level": "BEGINNER", "duration_hours": "40 hours", "chapters": "12.0",
        "updated_at": "2025-09-01T00:00:00Z",
    },
    "support_tickets": {
        "ticket_id": "T-1", "student_id": "STU001", "subject": "Video  broken",
        "body": "It stops.\r\nAlways.", "opened_at": "2025-09-12T10:00:00Z",
        "closed_at": "2025-09-13T10:00:00Z", "channel": "E-Mail",
    },
}  # fmt: skip
CLEAN: dict[str, dict[str, Any]] = {
    "students": {
        "student_id": "STU001", "student_name": "Ana SILVA", "class_id": "9A", "grade_level": 9,
        "enrollment_status": "active", "updated_at": "2025-09-01 08:00:00",
    },
    "attendance": {
        "attendance_id": "ATT7", "student_id": "STU001", "attendance_date": date(2025, 9, 12),
        "is_present": True, "created_at": "2025-09-12 06:00:00",
    },
    "assessments": {
        "assessment_id": "ASM7", "student_id": "STU001", "subject": "Maths", "score": 17.5,
        "max_score": 20.0, "assessment_date": date(2025, 9, 12),
        "created_at": "2025-09-12 10:00:00", "score_pct": 0.875,
    },
    "students_enrollment": {
        "student_id": "STU001", "student_name": "Ana Silva", "email": "ana@school.org",
        "phone": "+442079460958", "gender": "female", "date_of_birth": date(2011, 2, 1),
        "location": "New York", "course_id": "MATH101", "enrollment_date": date(2025, 9, 1),
    },
    "student_progress": {
        "student_id": "STU001", "course_id": "MATH101", "lesson_id": "LESSON3",
        "completion_pct": 1.0, "score": 87.5, "time_spent_minutes": 42.0,
        "last_activity_at": "2025-09-12 10:00:00",
    },
    "course_catalog": {
        "course_id": "MATH101", "title": "Algebra I", "category": "Mathematics",
        "level": "Beginner", "duration_hours": 40.0, "chapters": 12,
        "updated_at": "2025-09-01 00:00:00",
    },
    "support_tickets": {
        "ticket_id": "T1", "student_id": "STU001", "subject": "Video broken",
        "body": "It stops.\r\nAlways.", "opened_at": "2025-09-12 10:00:00",
        "closed_at": "2025-09-13 10:00:00", "channel": "email",
    },
}  # fmt: skip

# Changes of the good row → its quality flags, why it cannot be kept.
Doubts = list[tuple[dict[str, Any], list[str], str | None]]
DOUBTS: dict[str, Doubts] = {
    "students": [
        ({"student_name": " "}, [], "student_name:missing"),
        ({"grade_level": "9A"}, ["grade_level:unknown_value"], "grade_level:unknown_value"),
        ({"student_id": None, "updated_at": "soon"}, ["updated_at:unreadable_date"],
         "student_id:missing"),
        ({"student_id": "x", "updated_at": "2025-09-01"},
         ["student_id:id_unusual", "updated_at:tz_assumed"], None),
    ],
    "attendance": [
        ({"status": "LATE"}, ["status:unknown_value"], "status:unknown_value"),
        ({"attendance_date": "12/31/2025"}, ["attendance_date:unreadable_date"],
         "attendance_date:unreadable_date"),
        ({"attendance_date": "45912", "created_at": "2025-09-12 08:00"},
         ["attendance_date:excel_date", "created_at:tz_assumed"], None),
        ({"_defect": "ragged_row: 4 of 5 fields"}, ["row:ragged_row"], None),
        ({"_defect": "ragged_row: 4 of 5 fields", "created_at": None}, ["row:ragged_row"],
         "created_at:missing"),
        ({"_defect": "not_an_object", **dict.fromkeys(GOOD["attendance"])}, [],
         "attendance_id:missing"),
    ],
    "assessments": [
        ({"score": "-5"}, ["score:out_of_range"], "score:out_of_range"),
        ({"score": "21"}, [], "score:above_max_score"),
        ({"score": "20"}, [], None),
        ({"max_score": "0"}, ["max_score:out_of_range"], "max_score:out_of_range"),
        ({"score": "1,234", "max_score": "2000"}, ["score:ambiguous_number"],
         "score:ambiguous_number"),
        ({"score": "85%"}, ["score:unexpected_percent"], "score:unexpected_percent"),
    ],
    "students_enrollment": [
        ({"email": "ana", "phone": "123", "gender": "?", "date_of_birth": "31.2.2011",
          "student_name": None, "location": ""},
         ["date_of_birth:unreadable_date", "email:email_invalid", "gender:unknown_value",
          "phone:phone_invalid"], None),
        ({"date_of_birth": "2025-09-02"}, ["date_of_birth:after_enrollment_date"], None),
        ({"course_id": "-"}, [], "course_id:missing"),
    ],
    "student_progress": [
        ({"score": "-5", "time_spent_minutes": "long"},
         ["score:out_of_range", "time_spent_minutes:unreadable_number"], None),
        ({"completion_pct": "150%"}, ["completion_pct:out_of_range"],
         "completion_pct:out_of_range"),
    ],
    "course_catalog": [
        ({"chapters": "12.5", "updated_at": None, "level": None}, ["chapters:not_whole"], None),
        ({"title": ""}, [], "title:missing"),
    ],
    "support_tickets": [
        ({"closed_at": "2025-09-11T10:00:00Z", "channel": "pigeon", "body": None},
         ["channel:unknown_value", "closed_at:before_opened_at"], None),
        ({"closed_at": None}, [], None),
    ],
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_with_clean__rows_of_every_source(spark: SparkSession, source: str) -> None:
    good, *doubtful = cleaned(spark, source, {}, *(change for change, *_ in DOUBTS[source]))
    assert good == {**CLEAN[source], "quality_flags": [], "failure": None}
    found = [(row["quality_flags"], row["failure"]) for row in doubtful]
    assert found == [(flags, failure) for _, flags, failure in DOUBTS[source]]


@pytest.mark.parametrize("source", SOURCES)
def test_with_clean__keeps_rows_whose_day_and_month_cannot_be_told(
    spark: SparkSession, source: str
) -> None:
    """But a history begins at an instant; another doubt about a required date is still hard."""
    dates = SOURCES[source].dates
    sound = dict.fromkeys(dates, "2025-09-12T08:00:00Z")
    ambiguous = [sound | {name: "9/12/2025 08:00Z"} for name in dates]
    unreadable = [sound | {name: "12/2025"} for name in dates]
    rows = cleaned(spark, source, *ambiguous, *unreadable, school=Conventions())
    required = cleaning(source).required
    for name, doubtful, bad in zip(dates, rows, rows[len(dates) :], strict=False):
        flag, worse = f"{name}:ambiguous_date", f"{name}:unreadable_date"
        assert doubtful[name] is None
        assert flag in doubtful["quality_flags"]
        assert doubtful["failure"] == (flag if source == "students" else None)
        assert worse in bad["quality_flags"]
        assert bad["failure"] == (worse if name in required else None)


def test_sources__name_their_dates() -> None:
    for name, source in SOURCES.items():
        rules = ((field, clean.rule) for field, clean in cleaning(name).rules.items())
        read = (
            field
            for field, rule in rules
            if getattr(rule, "func", None) in (clean_date, clean_instant)
        )
        assert tuple(read) == source.dates


def test_cleanings__read_every_field_and_require_what_the_source_requires() -> None:
    assert list(CLEANINGS) == list(SOURCES)
    for name, source in SOURCES.items():
        rules = cleaning(name)
        assert tuple(rules.rules) == source.field_names
        assert rules.required == tuple(field.name for field in source.fields if field.required)
        assert len(set(rules.columns)) == len(rules.columns)


def test_cleaning__refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="b: required, and without a rule"):
        Cleaning({"a": Clean("a", clean_id)}, ("a", "b"))
    with pytest.raises(ValueError, match="odd is not one of FLAGS"):
        RowCheck("a", "odd", lambda: F.lit(True))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"date_order": "ymd"}, "'ymd' is no order of dates"),
        ({"phone_region": "UK"}, "'UK' is no region"),
        ({"student_prefix": "2025"}, "'2025' of student ids cannot be told"),
        ({"student_prefix": ""}, "'' of student ids cannot be told"),
        ({"student_width": 0}, "0 digits are not possible"),
    ],
)
def test_conventions__refuse_what_cannot_be_right(answers: dict[str, Any], message: str) -> None:
    with pytest.raises(LakeError, match=message):
        Conventions(**answers)
