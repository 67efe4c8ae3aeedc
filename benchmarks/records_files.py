"""Files of school records, day by day: a day's rows are the same whatever history they follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

START = date(2022, 9, 1)
DAYS_PER_FILE = 80
TEST_EVERY, PROGRESS_EVERY, DAYS_PER_LESSON = 5, 10, 50
COURSES = tuple(f"CRS{101 + number}" for number in range(20))


def school_days(count: int, start: date = START) -> list[date]:
    """Mondays to Fridays."""
    every = (start + timedelta(days=number) for number in range(2 * count + 7))
    return list(islice((day for day in every if day.weekday() < 5), count))


def write_days(folder: Path, days: Sequence[date], students: int) -> list[Path]:
    """Files of attendance, assessments and progress of the days, which are school days of START.

    A day's rows are the same whatever other days are written. Also the catalogue of COURSES.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "course_catalog.csv"]
    titles = "".join(f"{course},Course {course}\n" for course in COURSES)
    files[0].write_text(f"course_id,title\n{titles}")
    for first in range(0, len(days), DAYS_PER_FILE):
        some = days[first : first + DAYS_PER_FILE]
        files += [
            _write(folder / f"attendance_{some[0]}.csv", _attendance(some, students)),
            _write(folder / f"assessments_{some[0]}.json", _assessments(some, students)),
            _write(folder / f"student_progress_{some[0]}.csv", _progress(some, students)),
        ]
    return files


def _write(path: Path, lines: Iterator[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
    return path


def _attendance(days: Sequence[date], students: int) -> Iterator[str]:
    yield "attendance_id,student_id,attendance_date,status,created_at\n"
    for day in days:
        for number in range(1, students + 1):
            status = "ABSENT" if _lot(day, number, 10) == 0 else "PRESENT"
            identity = f"ATT{day:%y%m%d}{number:05d}"
            yield f"{identity},{student_id(number)},{day},{status},{day}T09:00:00Z\n"


def _assessments(days: Sequence[date], students: int) -> Iterator[str]:
    lines = (
        f'{{"assessment_id": "ASM{day:%y%m%d}{number:05d}", "student_id": "{student_id(number)}", '
        f'"subject": "Physics", "score": {_lot(day, number, 101)}, "max_score": 100, '
        f'"assessment_date": "{day}", "created_at": "{day}T15:00:00Z"}}'
        for day in days
        for number in range(1, students + 1)
        if _has_turn(day, number, TEST_EVERY)
    )
    yield "["
    for count, line in enumerate(lines):
        yield f",\n{line}" if count else f"\n{line}"
    yield "\n]\n"


def _progress(days: Sequence[date], students: int) -> Iterator[str]:
    yield "student_id,course_id,lesson_id,completion_pct,last_activity_at\n"
    for day in days:
        lesson = 101 + (day - START).days // DAYS_PER_LESSON
        for number in progressing(day, students):
            course = COURSES[number % len(COURSES)]
            done = _lot(day, number, 101)
            yield f"{student_id(number)},{course},LES{lesson},{done},{day}T17:00:00Z\n"


def progressing(day: date, students: int) -> Iterator[int]:
    """Numbers of the students who work on a lesson that day."""
    return (n for n in range(1, students + 1) if _has_turn(day, n, PROGRESS_EVERY))


def turn_before(day: date) -> date:
    """The school day on which those who work on a lesson on `day` did so before."""
    before = day - timedelta(days=PROGRESS_EVERY)
    return before if before.weekday() < 5 else turn_before(before)


def _has_turn(day: date, number: int, every: int) -> bool:
    return (day.toordinal() + number) % every == 0


def _lot(day: date, number: int, count: int) -> int:
    """A number below `count` that looks drawn and is the same each time."""
    return (day.toordinal() * 7_919 + number * 104_729) % 1_000_003 % count


def student_id(number: int) -> str:
    return f"STU{number:03d}"
