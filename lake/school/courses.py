"""What the made-up school offers: courses, who takes them, how far they came, what they ask."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta

from lake.school.life import LESSONS, PLACES, Calendar, Entry, Pupil, Record, Value, at

# Title, category, level, hours, chapters.
OFFER = (
    ("Algebra I", "Mathematics", "Beginner", 40, 12),
    ("Geometry", "Mathematics", "Intermediate", 36, 10),
    ("Motion & Forces", "Science", "Beginner", 28, 8),
    ("Cells & Genetics", "Science", "Intermediate", 30, 9),
    ("Français, Première Année", "Languages", "Beginner", 60, 20),
    ("World History", "Humanities", "Beginner", 24, 6),
)
# This one is in the catalogue only from the second file on; students take it before.
LATE_COURSE = ("Robotics", "Science", "Advanced", 45, 15)
# In the first catalogue and, corrected, in the last; neither says when it was true.
CONTRADICTED = ("Study Skills", "Study Skills 1")
COURSE_IDS = tuple(f"CRS{101 + number}" for number in range(len(OFFER) + 1))
QUESTIONS = (
    ("Video stops", "It stops at 2:31; then\nnothing happens."),
    ("Cannot log in, again", 'It says "unknown user", but I exist.\r\n\r\nPlease help; thanks'),
    ("Wrong score", "I had 18, not 8.\tThe page\tshows | 8 |"),
    ("Où est le devoir ?", "Je ne trouve pas le devoir d'hier."),
    ("Certificate", None),
)
TICKET_SHARE = 0.06


def catalogues(calendar: Calendar) -> tuple[list[Entry], list[Entry], list[Entry]]:
    """Three deliveries: one without a time, a newer one, and at last one that is older than that.

    Each course of the last was true before the second, so that none of its rows is in force; but
    one has no time in the first and in the last, and another title.
    """
    first = [_course(number, None) for number in range(len(OFFER))]
    timeless = first[0] | {"course_id": "CRS190", "category": None, "level": None}
    titled, retitled = ([timeless | {"title": title}] for title in CONTRADICTED)
    newer = at(calendar.middle, 6)
    second = [_course(number, "updated") for number in range(len(OFFER) + 1)]
    older = at(calendar.days[1], 6)
    return (
        [Entry(calendar.start, course) for course in first + titled],
        [Entry(calendar.middle, course | {"updated_at": newer}) for course in second],
        [
            Entry(calendar.end, course)
            for course in [*(course | {"updated_at": older} for course in first[:3]), *retitled]
        ],
    )


def _course(number: int, edition: str | None) -> Record:
    title, category, level, hours, chapters = (*OFFER, LATE_COURSE)[number]
    is_longer = edition is not None and number % 2 == 0
    return {
        "course_id": COURSE_IDS[number],
        "title": title,
        "category": category,
        "level": level,
        "duration_hours": float(hours + 2 * is_longer),
        "chapters": chapters + is_longer,
        "updated_at": None,
    }


def courses_of(pupil: Pupil) -> tuple[str, ...]:
    """Two or three courses; one student in seven takes the course that is announced late."""
    number = int(pupil.student_id[3:])
    two = (COURSE_IDS[number % len(OFFER)], COURSE_IDS[(number + 1) % len(OFFER)])
    return (*two, COURSE_IDS[-1]) if number % 7 == 2 else two


def enrollments(rng: random.Random, pupils: Sequence[Pupil], calendar: Calendar) -> Iterator[Entry]:
    """One record per student and course; some enrol again in the middle and live elsewhere then.

    Of some the office corrects town and e-mail, and leaves the date of the enrolment.
    """
    for pupil in pupils:
        early = pupil.comes == calendar.start
        number = int(pupil.student_id[3:])
        for course_id in courses_of(pupil):
            day = pupil.comes - timedelta(days=rng.randrange(1, 9)) if early else pupil.comes
            record: Record = {
                "student_id": pupil.student_id,
                "student_name": pupil.name,
                "email": f"{_ascii(pupil.name)}.{number}@school.example",
                "phone": pupil.phone,
                "gender": pupil.gender,
                "date_of_birth": pupil.birth,
                "location": pupil.location,
                "course_id": course_id,
                "enrollment_date": day,
            }
            yield Entry(max(day, calendar.start), record)
            if number % 9 == 1:
                place = PLACES[(PLACES.index(pupil.location) + 1) % len(PLACES)]
                again: Record = {"location": place, "enrollment_date": calendar.middle}
                yield Entry(calendar.middle, record | again, is_correction=True)
            if number % 9 == 4:
                place = PLACES[(PLACES.index(pupil.location) + 1) % len(PLACES)]
                told: Record = {"location": place, "email": f"new.{record['email']}"}
                yield Entry(calendar.middle, record | told, is_correction=True)


def progress(rng: random.Random, pupils: Sequence[Pupil], calendar: Calendar) -> Iterator[Entry]:
    """Once a week where each student stands in a lesson of each course; lessons are taken up again.

    Newer records of a lesson have a larger share completed and a later last activity.
    """
    reached: dict[tuple[str, str, str], tuple[int, float]] = {}
    for index, week in enumerate(calendar.weeks()):
        for pupil in pupils:
            if not pupil.attends(week[-1]):
                continue
            for course_id in courses_of(pupil):
                lesson = LESSONS[(index // 2) % len(LESSONS)]
                key = (pupil.student_id, course_id, lesson)
                percent, minutes = reached.get(key, (0, 0.0))
                percent = min(100, percent + rng.randrange(5, 60))
                minutes += round(rng.uniform(5, 1100), 1)
                reached[key] = (percent, minutes)
                record: Record = {
                    "student_id": pupil.student_id,
                    "course_id": course_id,
                    "lesson_id": lesson,
                    "completion_pct": percent / 100,
                    "score": float(round(100 * pupil.skill)) if percent == 100 else None,
                    "time_spent_minutes": round(minutes, 1),
                    "last_activity_at": at(week[-1], rng.uniform(10, 18)),
                }
                yield Entry(week[-1], record)


def tickets(rng: random.Random, pupils: Sequence[Pupil], calendar: Calendar) -> Iterator[Entry]:
    """Tickets as they are opened, and again when they are closed."""
    number = 10_000
    for week in calendar.weeks():
        for pupil in pupils:
            if not pupil.attends(week[0]) or rng.random() >= TICKET_SHARE:
                continue
            subject, body = QUESTIONS[number % len(QUESTIONS)]
            number += 1
            opened = rng.choice(week)
            record: Record = {
                "ticket_id": f"TCK{number}",
                "student_id": pupil.student_id,
                "subject": subject,
                "body": body,
                "opened_at": at(opened, rng.uniform(7, 20)),
                "closed_at": None,
                "channel": ("email", "web", "phone")[number % 3],
            }
            yield Entry(opened, record)
            closes = rng.choice(calendar.days[calendar.days.index(opened) :])
            if closes > opened:
                closed: Value = at(closes, rng.uniform(7, 20))
                yield Entry(closes, record | {"closed_at": closed}, is_correction=True)


def _ascii(name: str) -> str:
    """A local part without blanks and accents."""
    plain = name.lower().replace(" ", ".").replace("ø", "o")
    return plain.translate(str.maketrans("éëáúóñüöíçã", "eeauonuoica"))
