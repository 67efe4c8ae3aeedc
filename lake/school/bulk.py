"""Large clean files of one made-up school: for benchmarks, where only the counts are known."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

from lake.school.life import LAST_NAMES, SUBJECTS

START = date(2022, 9, 1)
PUPILS_PER_CLASS = 30
MAX_SCORE = 100
ABSENT_SHARE = 0.1
LINES_PER_WRITE = 20_000


@dataclass(frozen=True)
class Bulk:
    """files: in order of time. total: sum of what the rows tell: days present, or points."""

    files: tuple[Path, ...]
    rows: int
    total: int


def write_register(folder: Path, students: int, start: date = START) -> Bulk:
    """students.csv: one row per student, 30 to a class; total: the number of classes."""

    def lines() -> Iterator[str]:
        yield "student_id,student_name,class_id,grade_level,enrollment_status,updated_at\n"
        for number in range(1, students + 1):
            room = (number - 1) // PUPILS_PER_CLASS
            name = f"Student {LAST_NAMES[number % len(LAST_NAMES)]}"
            grade = 1 + room % 12
            yield (
                f"{_student(number)},{name},{grade}C{room + 1},{grade},active,{start}T00:00:00Z\n"
            )

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "students.csv"
    _write(path, lines())
    return Bulk((path,), students, -(-students // PUPILS_PER_CLASS))


def write_attendance(
    folder: Path,
    rows: int = 5_000_000,
    students: int = 10_000,
    start: date = START,
    seed: int = 7,
    files: int = 1,
) -> Bulk:
    """attendance_NNN.csv: every student on every school day until there are `rows` rows.

    Nine of ten are present; total: rows that say PRESENT. The rows are in order of the days and
    divided evenly among the files.
    """
    uniform = random.Random(f"attendance/{seed}").random
    identifiers = [_student(number) for number in range(1, students + 1)]
    present = 0

    def lines() -> Iterator[str]:
        nonlocal present
        number = 1_000_000
        for day in _school_days(start):
            tails = (
                f",{day},PRESENT,{day}T09:00:00Z\n",
                f",{day},ABSENT,{day}T09:00:00Z\n",
            )
            for identifier in identifiers:
                number += 1
                is_absent = uniform() < ABSENT_SHARE
                present += not is_absent
                yield f"ATT{number},{identifier}{tails[is_absent]}"

    header = "attendance_id,student_id,attendance_date,status,created_at\n"
    source = lines()
    paths = []
    folder.mkdir(parents=True, exist_ok=True)
    for index, count in enumerate(_shares(rows, files)):
        paths.append(folder / f"attendance_{index:03d}.csv")
        _write(paths[-1], islice(source, count), header)
    return Bulk(tuple(paths), rows, present)


def write_assessments(
    folder: Path,
    rows: int = 1_000_000,
    students: int = 10_000,
    start: date = START,
    seed: int = 7,
    files: int = 1,
) -> Bulk:
    """assessments_NNN.json: an array with one object to a line; a test of all students a day.

    Scores are whole numbers of 100 points; total: their sum.
    """
    uniform = random.Random(f"assessments/{seed}").random
    identifiers = [_student(number) for number in range(1, students + 1)]
    points = 0

    def items() -> Iterator[str]:
        nonlocal points
        number = 1_000_000
        for index, day in enumerate(_school_days(start)):
            tail = (
                f', "max_score": {MAX_SCORE}, "assessment_date": "{day}", '
                f'"created_at": "{day}T15:00:00Z"}}'
            )
            subject = SUBJECTS[index % len(SUBJECTS)]
            for identifier in identifiers:
                number += 1
                score = int(uniform() * (MAX_SCORE + 1))
                points += score
                yield (
                    f'{{"assessment_id": "ASM{number}", "student_id": "{identifier}", '
                    f'"subject": "{subject}", "score": {score}{tail}'
                )

    source = items()
    paths = []
    folder.mkdir(parents=True, exist_ok=True)
    for index, count in enumerate(_shares(rows, files)):
        paths.append(folder / f"assessments_{index:03d}.json")
        _write(paths[-1], _array(islice(source, count)))
    return Bulk(tuple(paths), rows, points)


def _array(items: Iterator[str]) -> Iterator[str]:
    yield "["
    separator = "\n"
    for item in items:
        yield separator + item
        separator = ",\n"
    yield "\n]\n"


def _student(number: int) -> str:
    return f"STU{number:03d}"


def _school_days(start: date) -> Iterator[date]:
    day = start
    while True:
        if day.weekday() < 5:
            yield day
        day += timedelta(days=1)


def _shares(rows: int, files: int) -> Iterator[int]:
    """Rows of each file; they differ by one at most."""
    for index in range(files):
        yield rows * (index + 1) // files - rows * index // files


def _write(path: Path, lines: Iterator[str], header: str = "") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(header)
        while some := list(islice(lines, LINES_PER_WRITE)):
            file.write("".join(some))
