"""The made-up school as that of the demo's campus: its students and courses by the campus's ids.

Records of `lmslake school --campus` and events of `lmslake demo` are then of the same people.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lake.campus_life import FIRST_NUMBER, STUDENT_PREFIX
from lake.school.faults import Planned
from lake.school.life import Record
from lake.school.rows import Row

# How records must write ids of students, so that they are those of the campus's events.
CONVENTION = {"LMSLAKE_STUDENT_ID_PREFIX": STUDENT_PREFIX, "LMSLAKE_STUDENT_ID_WIDTH": "1"}
# Courses of the school that the campus has, too, in the form of ids of records.
COURSES = {"CRS101": "ALGEBRA1", "CRS103": "PHYSICS9", "CRS104": "BIOLOGY9"}


def as_campus(files: Iterable[Planned]) -> list[Planned]:
    """The files with the ids of the campus: STU001 is its first student."""
    return [replace(file, rows=tuple(map(_renamed, file.rows))) for file in files]


def _renamed(row: Row) -> Row:
    record: Record = dict(row.record)
    if isinstance(student := record.get("student_id"), str):
        number = int(student.removeprefix("STU"))
        record["student_id"] = f"{STUDENT_PREFIX}{FIRST_NUMBER - 1 + number}"
    if isinstance(course := record.get("course_id"), str):
        record["course_id"] = COURSES.get(course, course)
    return replace(row, record=record)
