"""Made-up rows of the tables that pictures are made of, with every boundary in them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from lake.storage_local import LocalStore
from schemas.derivations import arrow_schema
from schemas.tables import TABLES
from schemas.tables.records_gold import RISK_RULES
from tests.oracle import picture
from tests.pipelines.records_world import rows_of

Row = dict[str, Any]
World = dict[str, list[Row]]
START = date(2025, 1, 1)
DAYS = 150
MIDNIGHT = time(tzinfo=UTC)
# What a picture is about; further columns of the tables say nothing to it.
FACT = {"quality_flags": [], "created_at": datetime(2025, 1, 1, tzinfo=UTC)}
UNDATED = {
    "silver.fact_attendance": ("attendance_date", "class_id"),
    "silver.fact_assessments": ("assessment_date", "class_id"),
    "silver.fact_support_tickets": ("opened_date", "opened_at"),
}
PLACES = ("date", "attendance_date", "assessment_date", "opened_date", "as_of_date")


def day(number: int) -> date:
    return START + timedelta(days=number)


def instant(rng: random.Random, number: int) -> datetime:
    """A moment of the day, the first and the last microsecond often among them."""
    seconds = rng.choice((0, 0, 86_399.999999, rng.randrange(86_400)))
    return datetime.combine(day(number), MIDNIGHT) + timedelta(seconds=seconds)


def made_up(seed: int, students: int = 30) -> World:
    """Rows by table. Some students have records only, some behaviour only, some are silent."""
    rng = random.Random(f"pictures/{seed}")
    world: World = {name: [] for name in picture.TABLES}
    for number in range(students):
        student = f"{number:x}".zfill(2) * 32
        if number % 5:
            _register(rng, world, student)
        if number % 4:
            _behaviour(rng, world, student)
        if number % 7:
            _records(rng, world, student)
    return world


def _register(rng: random.Random, world: World, student: str) -> None:
    times = sorted({instant(rng, rng.randrange(DAYS)) for _ in range(rng.randint(1, 4))})
    for begin, end in zip(times, [*times[1:], None], strict=True):
        world["silver.dim_students"].append(
            {
                "student_hash": student,
                "class_id": rng.choice(("9A", "9B", "10A")),
                "grade_level": rng.randint(9, 10),
                "enrollment_status": rng.choice(("active", "inactive", "graduated", "withdrawn")),
                "valid_from": begin,
                "valid_to": end,
                "is_current": end is None,
                "quality_flags": [],
            }
        )


def _behaviour(rng: random.Random, world: World, student: str) -> None:
    first, last = sorted(rng.sample(range(DAYS), 2))
    share = rng.choice((0.02, 0.2, 0.8))
    for number in range(first, last):
        if rng.random() < share:
            spent = rng.randrange(0, 20_000_000_000) / 1e6
            attempts = rng.choice((0, 0, 3))
            world["gold.student_daily_activity"].append(
                {
                    "date": day(number),
                    "student_hash": student,
                    "total_sessions": rng.randint(0, 3),
                    "total_time_spent_seconds": spent,
                    "carried_over_seconds": rng.choice((0.0, spent, round(spent / 3, 6))),
                    "quizzes_attempted": attempts,
                    "quizzes_correct": rng.randint(0, attempts),
                    "events_count": 1,
                }
            )


def _records(rng: random.Random, world: World, student: str) -> None:
    first, last = sorted(rng.sample(range(DAYS), 2))
    for number in range(first, last):
        for _ in range(rng.choice((0, 1, 1, 2))):
            _attendance(rng, world, student, number)
        for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
            _assessment(rng, world, student, number)
    for course in rng.sample("ABCD", rng.randint(0, 3)):
        for number in sorted(rng.sample(range(DAYS), rng.choice((1, 1, 2)))):
            world["silver.enrollment_versions"].append(
                {
                    "student_hash": student, "course_id": course, "enrollment_date": day(number),
                    "month": day(number).replace(day=1), "quality_flags": [],
                }
            )  # fmt: skip
        for lesson in range(rng.randint(0, 4)):
            _progress(rng, world, student, {"course_id": course, "lesson_id": f"L{lesson}"})
    for number in range(rng.randint(0, 4)):
        _ticket(rng, world, student, f"{student[:8]}-{number}")
    _undate(rng, world)


def _undate(rng: random.Random, world: World) -> None:
    """Of some of the newest rows nobody knows the day any more: no picture tells of them."""
    for name, columns in UNDATED.items():
        for row in world[name][-3:]:
            if rng.random() < 0.1:
                row |= dict.fromkeys(columns)


def _progress(rng: random.Random, world: World, student: str, lesson: Row) -> None:
    """Some versions of a lesson, the last two often of one day or of neighbouring ones."""
    first = rng.randrange(DAYS)
    numbers = [first, min(first + rng.randint(0, 1), DAYS - 1), rng.randrange(DAYS)]
    for at in sorted({instant(rng, number) for number in numbers[: rng.randint(1, 3)]}):
        world["silver.progress_versions"].append(
            {
                "student_hash": student, "completion_pct": rng.choice((0.0, 1.0, rng.random())),
                "last_activity_at": at, "month": at.date().replace(day=1), "quality_flags": [],
            }
            | lesson
        )  # fmt: skip


def _attendance(rng: random.Random, world: World, student: str, number: int) -> None:
    rows = world["silver.fact_attendance"]
    rows.append(
        {
            "attendance_id": f"A{len(rows):06d}", "student_hash": student,
            "attendance_date": day(number), "class_id": "9A", "is_present": rng.random() < 0.7,
        }
        | FACT
    )  # fmt: skip
    _risks(rng, world, student, number)


def _assessment(rng: random.Random, world: World, student: str, number: int) -> None:
    rows = world["silver.fact_assessments"]
    rows.append(
        {
            # Ids do not grow with the days.
            "assessment_id": f"T{rng.random():.12f}", "student_hash": student,
            "assessment_date": day(number), "class_id": "9A", "subject": "History",
            "score": 1.0, "max_score": 1.0, "score_pct": rng.choice((0.0, 1.0, rng.random())),
        }
        | FACT
    )  # fmt: skip
    _risks(rng, world, student, number)


def _risks(rng: random.Random, world: World, student: str, number: int) -> None:
    """Rules that fire on the day, unless the day is judged already."""
    rows = world["gold.student_risk_monitor"]
    if rng.random() < 0.6 or any(
        row["student_hash"] == student and row["as_of_date"] == day(number) for row in rows[-4:]
    ):
        return
    for rule in rng.sample(RISK_RULES, rng.randint(1, 3)):
        rows.append(
            {
                "as_of_date": day(number), "student_hash": student, "rule": rule, "class_id": "9A",
                "since": day(rng.randint(0, number)), "value": 1.0, "threshold": 1.0,
                "observations": 1,
            }
        )  # fmt: skip


def _ticket(rng: random.Random, world: World, student: str, ticket: str) -> None:
    opened = instant(rng, rng.randrange(DAYS))
    closed = rng.choice((None, opened, instant(rng, rng.randrange(DAYS))))
    world["silver.fact_support_tickets"].append(
        {
            "ticket_id": ticket, "student_hash": student, "opened_date": opened.date(),
            "opened_at": opened, "closed_at": closed, "is_open": closed is None,
            "quality_flags": [],
        }
    )  # fmt: skip


def as_it_was(world: World, as_of: date) -> World:
    """The world as it would be if nothing had happened after the day."""
    end = datetime.combine(as_of, MIDNIGHT) + timedelta(days=1)
    then: World = {}
    for name, rows in world.items():
        then[name] = [
            {
                column: None if column in ("valid_to", "closed_at") and is_later(value, end)
                else value
                for column, value in row.items()
            }
            for row in rows
            if not is_later(row[_time_column(name)], end)
        ]  # fmt: skip
    for row in then[picture.ACTIVITY]:
        if row["date"] == as_of:
            known = row["total_time_spent_seconds"] - row["carried_over_seconds"]
            row |= {"total_time_spent_seconds": round(known, 6), "carried_over_seconds": 0.0}
    return then


def is_later(value: date | datetime | None, end: datetime) -> bool:
    if value is None:
        return False
    return value >= end if isinstance(value, datetime) else value >= end.date()


def _time_column(name: str) -> str:
    names = TABLES[name].column_names
    of_facts = ("valid_from", "enrollment_date", "last_activity_at", *PLACES)
    return next(column for column in of_facts if column in names)


def write_world(root: Path, world: Mapping[str, Sequence[Row]]) -> None:
    """Append the rows to the lake's tables; a table without rows is not made."""
    store = LocalStore(root)
    for name, rows in world.items():
        if rows:
            write_deltalake(
                store.delta_uri(TABLES[name].path),
                as_arrow(name, rows),
                mode="append",
                partition_by=TABLES[name].partition_by,
            )


def as_arrow(name: str, rows: Sequence[Row]) -> pa.Table:
    """The rows with all columns of the table; those that are left out are empty."""
    zeros = {"bigint": 0, "double": 0.0, "string": ""}
    columns = TABLES[name].columns
    defaults = {c.name: None if c.nullable else zeros.get(c.type) for c in columns}
    # from_pylist leaves out what the schema does not have.
    return pa.Table.from_pylist([defaults | row for row in rows], arrow_schema(TABLES[name]))


def read_world(root: Path) -> World:
    """Rows of a lake's tables."""
    return {name: rows_of(LocalStore(root), name) for name in picture.TABLES}


def pictures_of(root: Path, as_of: date | None = None) -> list[Row]:
    """Stored pictures without lineage, all or those of a day, sorted by student and day."""
    return [
        {name: value for name, value in row.items() if not name.startswith("_")}
        for row in rows_of(LocalStore(root), "gold.student_360")
        if as_of is None or row["as_of_date"] == as_of
    ]
