"""What goes on at the made-up school: people, days, tests, courses, tickets, all of it clean.

A record maps the fields of its source (schemas/records/sources.py) to clean values: identifiers in
their one form, dates, instants in UTC, shares from 0 to 1, attendance as present or not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

Value = str | int | float | bool | date | datetime | None
Record = dict[str, Value]

CLASSES = ("9A", "9B", "10A", "10B", "11A", "11B")
# All of these can be written in Latin-1, and no rule for capitals is needed to tell them apart.
FIRST_NAMES = (
    "Ana", "José", "Zoë", "Søren", "Priya", "Chloé", "Björn", "Amara", "Inés", "Jürgen", "Leila",
)  # fmt: skip
LAST_NAMES = ("Lima", "Müller", "Okafor", "Peña", "Sharma", "Larsen", "Dubois", "Novak", "Haddad")
PLACES = ("New Delhi", "São Paulo", "Leeds", "Málaga", "Springfield", "Porto Alegre")
SUBJECTS = ("Mathematics", "Physics", "Biology", "History")
LESSONS = tuple(f"LES{number}" for number in range(101, 107))
# Numbers that the authorities of three countries keep for films and books.
PHONES: tuple[Callable[[int], str], ...] = (
    lambda number: f"+1415555{100 + number % 100:04d}",
    lambda number: f"+442079460{number % 1000:03d}",
    lambda number: f"+493023125{number % 1000:03d}",
)
CORRECTED_SHARE = 0.03
ABSENT_SHARE = 0.08
# One record in so many has a second one of the same instant and another content.
TIED_EVERY = 97


@dataclass(frozen=True)
class Entry:
    """A record, the day on which the office wrote it down, and whether it corrects another."""

    day: date
    record: Record
    is_correction: bool = False


@dataclass(frozen=True)
class Pupil:
    """A student's particulars and the days on which she comes to school, the last excluded."""

    student_id: str
    name: str
    class_id: str
    gender: str | None
    birth: date
    phone: str
    location: str
    skill: float
    comes: date
    leaves: date

    def attends(self, day: date) -> bool:
        return self.comes <= day < self.leaves


@dataclass(frozen=True)
class Calendar:
    """The days of the school year that are told of, Monday to Friday."""

    days: tuple[date, ...]

    @property
    def start(self) -> date:
        return self.days[0]

    @property
    def end(self) -> date:
        return self.days[-1]

    @property
    def middle(self) -> date:
        return self.days[len(self.days) // 2]

    def weeks(self) -> list[tuple[date, ...]]:
        """The days by calendar week."""
        weeks: dict[tuple[int, int], list[date]] = {}
        for day in self.days:
            weeks.setdefault(day.isocalendar()[:2], []).append(day)
        return [tuple(week) for week in weeks.values()]


def school_days(start: date, days: int) -> Calendar:
    every = (start + timedelta(days=number) for number in range(days))
    return Calendar(tuple(day for day in every if day.weekday() < 5))


def at(day: date, hours: float) -> datetime:
    """The instant so many hours after the day's midnight, UTC, in whole seconds."""
    return datetime.combine(day, time(), UTC) + timedelta(seconds=round(hours * 3600))


def new_pupil(rng: random.Random, number: int, calendar: Calendar) -> Pupil:
    """Students 6, 18, 30 … come later in the year, students 10, 22, 34 … leave."""
    joins, leaves = number % 12 == 6, number % 12 == 10
    middle = len(calendar.days) // 2
    return Pupil(
        student_id=f"STU{number:03d}",
        name=f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}",
        class_id=CLASSES[number % len(CLASSES)],
        gender=rng.choice(("female", "male", "female", "male", "other", None)),
        birth=date(2008, 1, 1) + timedelta(days=rng.randrange(1400)),
        phone=rng.choice(PHONES)(number),
        location=rng.choice(PLACES),
        skill=rng.uniform(0.4, 0.98),
        comes=calendar.days[rng.randrange(1, middle)] if joins else calendar.start,
        leaves=rng.choice(calendar.days[middle:]) if leaves else calendar.end + timedelta(1),
    )


def student_versions(rng: random.Random, pupil: Pupil, calendar: Calendar) -> Iterator[Entry]:
    """The versions of a register row, as the office entered them; twelve kinds of students."""
    kind = int(pupil.student_id[3:]) % 12
    since = at(calendar.start - timedelta(days=20), rng.uniform(7, 15))
    if kind == 6:
        since = at(pupil.comes, 7.5)
    if kind == 4:  # the row is younger than the first days that the student is there
        since = at(calendar.days[3], 10)
    first: Record = {
        "student_id": pupil.student_id,
        "student_name": pupil.name,
        "class_id": pupil.class_id,
        "grade_level": grade(pupil.class_id),
        "enrollment_status": "active",
        "updated_at": since,
    }
    other = CLASSES[(CLASSES.index(pupil.class_id) + 1) % len(CLASSES)]
    moved: Record = {"class_id": other, "grade_level": grade(other)}
    day = rng.choice(calendar.days[2 : len(calendar.days) // 2])
    later = rng.choice(calendar.days[len(calendar.days) // 2 :])
    noon = at(day, rng.uniform(9, 14))
    yield Entry(max(calendar.start, since.date()), first)
    if kind == 3:
        yield Entry(day, first | moved | {"updated_at": noon})
    if kind == 8:
        yield Entry(day, first | moved | {"updated_at": noon})
        yield Entry(later, first | {"updated_at": at(later, 11)})
    if kind == 10:
        gone: Record = {"enrollment_status": "withdrawn", "updated_at": at(pupil.leaves, 8)}
        yield Entry(pupil.leaves, first | gone)
    if kind == 11:  # saved again as it was
        yield Entry(day, first | {"updated_at": noon})
    if kind == 9:  # two clerks at once: the same instant, two contents
        yield Entry(day, first | moved | {"updated_at": noon})
        yield Entry(day, first | {"enrollment_status": "inactive", "updated_at": noon})
    if kind == 0:  # entered at the end of the year, true since an earlier day
        yield Entry(later, first | {"enrollment_status": "inactive", "updated_at": at(later, 9)})
        yield Entry(calendar.end, first | moved | {"updated_at": noon}, is_correction=True)
    if kind == 5:
        yield Entry(day, first | moved | {"updated_at": at(day, 0)})
    if kind == 7:
        last_instant = at(day, 24) - timedelta(microseconds=1)
        yield Entry(day, first | moved | {"updated_at": last_instant})


def grade(class_id: str) -> int:
    return int(class_id[:-1])


def attendance(rng: random.Random, pupils: Sequence[Pupil], calendar: Calendar) -> Iterator[Entry]:
    """One record per student and school day; a few are corrected on one of the next days."""
    number = 100_000
    for index, day in enumerate(calendar.days):
        for pupil in pupils:
            if not pupil.attends(day):
                continue
            number += 1
            is_present = rng.random() >= ABSENT_SHARE
            record: Record = {
                "attendance_id": f"ATT{number}",
                "student_id": pupil.student_id,
                "attendance_date": day,
                "status": is_present,
                "created_at": at(day, 9 + rng.random()),
            }
            yield Entry(day, record)
            if number % TIED_EVERY == 0:  # a second record of the same instant says otherwise
                yield Entry(day, record | {"status": not is_present})
            elif rng.random() < CORRECTED_SHARE:
                corrected = rng.choice(calendar.days[index : index + 4])
                change: Record = {
                    "status": not is_present,
                    "created_at": at(corrected, 16 + rng.random()),
                }
                yield Entry(corrected, record | change, is_correction=True)


def assessments(rng: random.Random, pupils: Sequence[Pupil], calendar: Calendar) -> Iterator[Entry]:
    """Two tests a week; a few are marked again."""
    number = 100_000
    for index, week in enumerate(calendar.weeks()):
        for turn in range(2):
            subject = SUBJECTS[(2 * index + turn) % len(SUBJECTS)]
            day, best = week[-1], rng.choice((20, 25, 50, 100))
            for pupil in pupils:
                if not pupil.attends(day):
                    continue
                number += 1
                share = min(1.0, max(0.0, rng.gauss(pupil.skill, 0.1)))
                record: Record = {
                    "assessment_id": f"ASM{number}",
                    "student_id": pupil.student_id,
                    "subject": subject,
                    "score": round(2 * best * share) / 2,
                    "max_score": float(best),
                    "assessment_date": day,
                    "created_at": at(day, 14 + rng.random()),
                }
                yield Entry(day, record)
                if rng.random() < CORRECTED_SHARE:
                    better = min(float(best), round(2 * best * (share + 0.1)) / 2)
                    change: Record = {"score": better, "created_at": at(day, 17 + rng.random())}
                    yield Entry(day, record | change, is_correction=True)
