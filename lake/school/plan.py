"""Which records of the made-up school are delivered in which file, and when."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from lake.school.courses import catalogues, enrollments, progress, tickets
from lake.school.faults import Planned
from lake.school.life import (
    Calendar,
    Entry,
    Pupil,
    Record,
    assessments,
    attendance,
    student_versions,
)
from lake.school.rows import Row
from lake.school.versions import Precedence, precedence
from schemas.records.sources import SOURCES


def planned_files(rng: random.Random, pupils: Sequence[Pupil], calendar: Calendar) -> list[Planned]:
    """All files without a fault in their rows, in the order in which they arrive."""
    registers = [entry for pupil in pupils for entry in student_versions(rng, pupil, calendar)]
    first, second, third = catalogues(calendar)
    files = [
        _file("course_catalog", "course_catalog", calendar.start, first, ("updated_at",)),
        _file("course_catalog", "courses 2", calendar.middle, second),
        _file("course_catalog", "Course-Catalogue_old", calendar.end, third),
        *_registers(registers, calendar),
        *_attendance(list(attendance(rng, pupils, calendar)), calendar),
        *_weekly("assessments", assessments(rng, pupils, calendar), calendar),
        *_weekly("student_progress", progress(rng, pupils, calendar), calendar),
        *_weekly("support_tickets", tickets(rng, pupils, calendar), calendar),
        *_enrollments(list(enrollments(rng, pupils, calendar)), calendar),
    ]
    return sorted(files, key=lambda file: (file.arrives, file.name))


def _file(
    source: str, stem: str, arrives: date, entries: Iterable[Entry], without: tuple[str, ...] = ()
) -> Planned:
    suffix = SOURCES[source].format
    rows = tuple(Row(source, entry.record) for entry in entries)
    return Planned(arrives, f"{stem}.{suffix}", source, rows, without)


def _registers(entries: Sequence[Entry], calendar: Calendar) -> list[Planned]:
    """The register at the start and in the middle, between them what changed in a week.

    What was entered late stands in the last file alone, older than what is there already. One
    file has a header and no rows.
    """
    in_time = [entry for entry in entries if not entry.is_correction]
    late = [entry for entry in entries if entry.is_correction]
    start, middle = calendar.start, calendar.middle
    current = _current(_until(in_time, middle))
    files = [
        _file("students", f"students_{start}", start, _until(in_time, start)),
        _file("students", f"students_{middle}", middle, current),
        _file("students", "students_none", calendar.days[1], ()),
        _file("students", "Students corrected", calendar.end + timedelta(days=1), late),
    ]
    since = calendar.start
    for week in calendar.weeks():
        day = week[-1]
        changed = [entry for entry in in_time if since < entry.day <= day]
        if changed:
            files.append(_file("students", f"students_changes_{day}", day, changed))
        since = day
    return files


def _until(entries: Iterable[Entry], day: date) -> list[Entry]:
    return [entry for entry in entries if entry.day <= day]


def _current(entries: Iterable[Entry]) -> list[Entry]:
    """Of each student the version in force."""
    newest: dict[object, Entry] = {}
    for entry in entries:
        student = entry.record["student_id"]
        other = newest.get(student)
        if other is None or _rank(other.record) < _rank(entry.record):
            newest[student] = entry
    return [newest[student] for student in sorted(newest, key=str)]


def _rank(record: Record) -> Precedence:
    return precedence(SOURCES["students"], record)


def _attendance(entries: Sequence[Entry], calendar: Calendar) -> list[Planned]:
    """A file per day in even weeks, one per week in odd ones, corrections by week.

    The first week's file of the second kind comes nine days late: after its corrections and after
    the next week's days. One day's rows come again, in a file of another form.
    """
    files = []
    for number, week in enumerate(calendar.weeks()):
        of_week = [entry for entry in entries if week[0] <= entry.day <= week[-1]]
        plain = [entry for entry in of_week if not entry.is_correction]
        corrected = [entry for entry in of_week if entry.is_correction]
        if number % 2 == 0:
            for day in week:
                of_day = [entry for entry in plain if entry.day == day]
                files.append(_file("attendance", f"attendance_{day}", day, of_day))
        else:
            late = timedelta(days=9 if number == 1 else 0)
            name = f"attendance/week {week[0]:%G-%V}"
            files.append(_file("attendance", name, week[-1] + late, plain))
        if corrected:
            name = f"Attendance-corrections_{week[-1]}"
            files.append(_file("attendance", name, week[-1], corrected))
    again = [entry for entry in entries if entry.day == calendar.start and not entry.is_correction]
    files.append(_file("attendance", "attendance_again", calendar.middle, again))
    return files


def _weekly(source: str, entries: Iterable[Entry], calendar: Calendar) -> list[Planned]:
    """A file per week; the second comes after the third."""
    every = list(entries)
    files = []
    for number, week in enumerate(calendar.weeks()):
        of_week = [entry for entry in every if week[0] <= entry.day <= week[-1]]
        late = timedelta(days=8 if number == 1 else 0)
        files.append(_file(source, f"{source}_{week[-1]}", week[-1] + late, of_week))
    return files


def _enrollments(entries: Sequence[Entry], calendar: Calendar) -> list[Planned]:
    """Those of the start, those that came later by the middle, and the rest: three files."""
    name = "students_enrollment"
    start = [entry for entry in entries if entry.day == calendar.start]
    rest = [entry for entry in entries if entry.day > calendar.start]
    return [
        _file(name, f"Students Enrollment {calendar.start}", calendar.start, start),
        _file(name, "enrolment_new", calendar.middle,
              (entry for entry in rest if not entry.is_correction)),
        _file(name, "student_enrollment_moved", calendar.middle + timedelta(days=1),
              (entry for entry in rest if entry.is_correction)),
    ]  # fmt: skip
