"""What the students of the made-up campus do: sessions of pages, videos, quizzes, assignments."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

Event = dict[str, Any]
# Event type, seconds until the next event, question, metadata.
Step = tuple[str, float, str | None, dict[str, Any]]

# The first student is student-1001.
STUDENT_PREFIX, FIRST_NUMBER = "student-", 1001
SESSION_GAP = timedelta(minutes=30)
NOON = time(12)
# One session in so many reaches the server days later: the phone was offline.
LATE_SHARE = 0.05


@dataclass(frozen=True)
class Course:
    """A course with the titles of its chapters in order."""

    course_id: str
    title: str
    chapters: tuple[str, ...]

    def chapter_id(self, index: int) -> str:
        return f"{self.course_id}-ch{index + 1}"


@dataclass(frozen=True)
class Region:
    """Where students live: hours from UTC, and the first numbers of their addresses."""

    utc_offset: timedelta
    networks: tuple[str, ...]


COURSES = (
    Course("physics-9", "Physics 9", ("Motion", "Forces", "Energy", "Waves and sound")),
    Course("biology-9", "Biology 9", ("Cells", "Genetics", "Evolution", "Ecosystems")),
    Course("algebra-1", "Algebra I", ("Linear equations", "Functions", "Polynomials")),
)
INDIA = Region(timedelta(hours=5, minutes=30), ("49.36.12", "117.196.4"))
REGIONS = (
    INDIA,
    Region(timedelta(hours=-5), ("73.162.10", "24.5.6")),
    Region(timedelta(hours=1), ("86.8.20", "91.64.1")),
    Region(timedelta(hours=-3), ("187.19.5", "177.32.1")),
)
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605",
    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 Chrome/139.0.0.0 Mobile Safari",
    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1",
)


@dataclass
class Student:
    """A student's habits. `clock` says how the device writes times: utc, local or bare."""

    student_id: str
    region: Region
    address: str
    agents: tuple[str, ...]
    effort: float
    skill: float
    clock: str
    progress: dict[str, int] = field(default_factory=dict)


@dataclass
class Sent:
    """An event, when it happened, and when its file received it."""

    ts: datetime
    arrival: datetime
    event: Event


def new_student(rng: random.Random, number: int) -> Student:
    region = REGIONS[number % len(REGIONS)]
    clocks = ["bare"] if number % 17 == 5 else ["utc"]
    if region is INDIA:
        clocks.append("local")
    return Student(
        student_id=f"{STUDENT_PREFIX}{FIRST_NUMBER + number}",
        region=region,
        address=f"{rng.choice(region.networks)}.{rng.randrange(2, 250)}",
        agents=tuple(rng.sample(AGENTS, rng.choice((1, 1, 2)))),
        effort=rng.uniform(0.2, 0.9),
        skill=rng.uniform(0.35, 0.95),
        clock=rng.choice(clocks),
    )


def history(
    rng: random.Random, people: Sequence[Student], start: date, days: int
) -> tuple[list[Sent], int]:
    """All events, each once, and how many pairs of them are exactly 30 minutes apart."""
    sent: list[Sent] = []
    for number in range(days):
        day = start + timedelta(days=number)
        for student in people:
            weekday = 1.0 if day.weekday() < 5 else 0.5
            # Some give up over time, some catch up: trends to see in the features.
            drift = 1.0 - 0.6 * number / days if student.skill < 0.55 else 1.0
            if rng.random() < student.effort * weekday * drift:
                sent += _evening(rng, student, day)
    exact_gaps = 0
    for student in people[:: max(1, len(people) // 4)]:
        day = start + timedelta(days=rng.randrange(days))
        noon = _utc(student, datetime.combine(day, NOON))
        for moment in (noon, noon + SESSION_GAP):
            event = _event(rng, student, moment, "page_view", COURSES[0], 0, {})
            sent.append(Sent(moment, moment, event))
        exact_gaps += 1
    return sent, exact_gaps


def _utc(student: Student, local: datetime) -> datetime:
    return (local - student.region.utc_offset).replace(tzinfo=UTC)


def _evening(rng: random.Random, student: Student, day: date) -> Iterator[Sent]:
    """One or two sessions after school; those of the west cross midnight in UTC."""
    minutes = min(max(rng.gauss(19.3 * 60, 100), 16 * 60), 23 * 60)
    local = datetime.combine(day, time()) + timedelta(minutes=minutes)
    moment = _utc(student, local.replace(microsecond=local.microsecond // 1000 * 1000))
    for _ in range(rng.choice((1, 1, 1, 2))):
        session = list(_session(rng, student, moment))
        late = timedelta(days=rng.randrange(1, 4)) if rng.random() < LATE_SHARE else timedelta()
        for ts, event in session:
            yield Sent(ts, ts + late + timedelta(seconds=rng.randrange(90)), event)
        moment = session[-1][0] + timedelta(seconds=rng.randrange(50 * 60, 120 * 60))


def _session(
    rng: random.Random, student: Student, moment: datetime
) -> Iterator[tuple[datetime, Event]]:
    course = rng.choice(COURSES)
    agent = rng.choice(student.agents)
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        reached = min(student.progress.get(course.course_id, 0), len(course.chapters) - 1)
        chapter = max(0, reached - rng.choice((0, 0, 0, 1)))
        steps = [_page(rng, student)]
        if rng.random() < 0.6:
            steps += _video(rng, student, course.chapter_id(chapter))
        if rng.random() < 0.5:
            steps += _quiz(rng, student, course.chapter_id(chapter))
        if rng.random() < 0.25:
            steps.append(_assignment(rng, student, course.chapter_id(chapter)))
            student.progress[course.course_id] = reached + 1
        for event_type, seconds, question, metadata in steps:
            details = {**metadata, "user_agent": agent, "ip": student.address}
            event = _event(rng, student, moment, event_type, course, chapter, details)
            if question:
                event["question_id"] = question
            yield moment, event
            moment += timedelta(milliseconds=round(seconds * 1000))


def _page(rng: random.Random, student: Student) -> Step:
    seconds = rng.lognormvariate(4.2, 0.8)
    depth = min(1.0, rng.betavariate(2 + 3 * student.skill, 2))
    reading = {"scroll_depth": round(depth, 3), "duration": round(seconds, 3)}
    return "page_view", min(seconds, 1200), None, reading


def _video(rng: random.Random, student: Student, chapter: str) -> Iterator[Step]:
    length = 240.0 + 30 * (len(chapter) % 7)
    position = 0.0
    for _ in range(rng.randrange(1, 5)):
        begin = max(0.0, position - rng.choice((0, 0, 10)))
        end = min(length, begin + rng.uniform(30, 90 + 60 * student.skill))
        watched = [[round(begin, 3), round(end, 3)]]
        playing = {"video_id": f"{chapter}-video", "video_length": length, "intervals": watched}
        yield "video_play", max(2.0, end - begin), None, playing
        position = end + rng.choice((0, 0, 15))
        if position >= length:
            return


def _quiz(rng: random.Random, student: Student, chapter: str) -> Iterator[Step]:
    for number in range(1, rng.randrange(3, 6)):
        seconds = round(rng.uniform(12, 90), 3)
        right = rng.random() < student.skill - 0.08 * (number - 2)
        answer = {"quiz_id": f"{chapter}-quiz", "correct": right, "time_spent": seconds}
        yield "quiz_attempt", seconds, f"{chapter}-q{number}", answer


def _assignment(rng: random.Random, student: Student, chapter: str) -> Step:
    score = round(100 * min(1.0, student.skill + rng.uniform(-0.2, 0.15)))
    return "submit_assignment", 20, None, {"assignment_id": f"{chapter}-work", "score": score}


def _event(
    rng: random.Random,
    student: Student,
    moment: datetime,
    event_type: str,
    course: Course,
    chapter: int,
    metadata: dict[str, Any],
) -> Event:
    """Keys in the order in which a producer would write them."""
    chapter_id = course.chapter_id(chapter)
    return {
        "event_id": f"{rng.getrandbits(128):032x}",
        "student_id": student.student_id,
        "event_type": event_type,
        "timestamp": _written(moment, student),
        "page_url": f"https://lms.example/{course.course_id}/{chapter_id}?sid={student.student_id}",
        "course_id": course.course_id,
        "chapter_id": chapter_id,
        "metadata": metadata,
    }


def _written(moment: datetime, student: Student) -> str:
    if student.clock == "local":
        local = moment.replace(tzinfo=None) + student.region.utc_offset
        return local.isoformat(timespec="milliseconds") + "+05:30"
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return text if student.clock == "bare" else text + "Z"
