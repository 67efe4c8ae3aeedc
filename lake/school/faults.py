"""The faults of the made-up school: rows that must be refused or held, rows that repeat others."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from lake.school.life import Record
from lake.school.rows import Row, Shape
from lake.school.versions import precedence
from schemas.records.sources import SOURCES

# Source, field, the text that spoils it, flag: the reason is `field:flag`.
SPOILT: tuple[tuple[str, str, str, str], ...] = (
    ("students", "class_id", "", "missing"),
    ("students", "student_id", " ", "missing"),
    ("students", "enrollment_status", "enroled?", "unknown_value"),
    ("students", "updated_at", "2025-02-30T08:00:00Z", "unreadable_date"),
    ("students", "updated_at", "3/4/2025 08:00Z", "ambiguous_date"),
    ("attendance", "attendance_id", "", "missing"),
    ("attendance", "status", "", "missing"),
    ("attendance", "status", "maybe", "unknown_value"),
    ("attendance", "attendance_date", "31.02.2025", "unreadable_date"),
    ("attendance", "attendance_date", "", "missing"),
    ("attendance", "created_at", "", "missing"),
    ("assessments", "score", "-5", "out_of_range"),
    ("assessments", "score", "NaN", "not_a_number"),
    ("assessments", "score", "", "missing"),
    ("assessments", "score", "1000", "above_max_score"),
    ("assessments", "max_score", "0", "out_of_range"),
    ("assessments", "subject", "", "missing"),
    ("assessments", "assessment_date", "yesterday", "unreadable_date"),
    ("students_enrollment", "course_id", "", "missing"),
    ("students_enrollment", "enrollment_date", "14.08.25", "unreadable_date"),
    ("student_progress", "completion_pct", "-5", "out_of_range"),
    ("student_progress", "completion_pct", "140%", "out_of_range"),
    ("student_progress", "completion_pct", "nearly", "unreadable_number"),
    ("student_progress", "last_activity_at", "", "missing"),
    ("course_catalog", "title", "", "missing"),
    ("support_tickets", "opened_at", "", "missing"),
    ("support_tickets", "ticket_id", "", "missing"),
)
# Source, field, a text that the cleaning cannot use, flag; the field is null then, the row stays
# and says `field:flag`.
SOFT: tuple[tuple[str, str, str, str], ...] = (
    ("attendance", "attendance_date", "03/04/2025", "ambiguous_date"),
    ("attendance", "created_at", "4/3/2025 15:00Z", "ambiguous_date"),
    ("assessments", "assessment_date", "05-04-2025", "ambiguous_date"),
    ("assessments", "created_at", "6/4/2025 15:00Z", "ambiguous_date"),
    ("students_enrollment", "enrollment_date", "05/06/2025", "ambiguous_date"),
    ("student_progress", "last_activity_at", "7/8/2025 16:30Z", "ambiguous_date"),
    ("support_tickets", "opened_at", "8/9/2025 09:10Z", "ambiguous_date"),
    ("students_enrollment", "date_of_birth", "03/04/2010", "ambiguous_date"),
    ("students_enrollment", "date_of_birth", "31.02.2010", "unreadable_date"),
    ("students_enrollment", "phone", "(415) 555-0123", "phone_no_region"),
    ("students_enrollment", "phone", "12345", "phone_no_region"),
    ("students_enrollment", "email", "ana.lima at school", "email_invalid"),
    ("students_enrollment", "email", "two@@school.example", "email_invalid"),
    ("students_enrollment", "gender", "not sure", "unknown_value"),
    ("student_progress", "score", "-5", "out_of_range"),
    ("student_progress", "time_spent_minutes", "inf", "not_a_number"),
)
DUPLICATE_SHARE = 0.02
# Rows of every source and parent whose student or course is in no file.
STRANGERS = 3
# Numbers of records that nothing else uses.
FIRST_FRESH = 900_000


@dataclass(frozen=True)
class Planned:
    """A file that is to be written: when it arrives, its name without `.gz`, its rows."""

    arrives: date
    name: str
    source: str
    rows: tuple[Row, ...]
    without: tuple[str, ...] = ()


class Spoiler:
    """Makes rows out of sound ones; each has an identity that no other row has."""

    def __init__(self, students: int) -> None:
        self._students = students
        self._number = 0

    def fresh(self, row: Row) -> Row:
        """The same with another key: a lake that takes it by mistake has a row too many."""
        self._number += 1
        record = dict(row.record)
        source = SOURCES[row.source]
        key = source.keys[0]
        if key != "student_id":
            record[key] = f"{str(record[key])[:3]}{FIRST_FRESH + self._number}"
        elif row.source == "student_progress":
            record["lesson_id"] = f"LES{FIRST_FRESH + self._number}"
        elif row.source == "students_enrollment":
            record["enrollment_date"] = _later(record, "enrollment_date", days=self._number)
        else:
            record["updated_at"] = _later(record, "updated_at", seconds=self._number)
        return replace(row, record=record, texts={}, reason=None, flags=())

    def spoilt(self, row: Row, field: str, text: str, flag: str) -> Row:
        return replace(self.fresh(row), texts={field: text}, reason=f"{field}:{flag}")

    def misshapen(self, row: Row, shape: Shape) -> Row:
        """Too few fields, or no object at all: the first required value that is lost is missing.

        Which one that is in a row of too few fields is known when it is written.
        """
        first = SOURCES[row.source].field_names[0]
        return replace(self.fresh(row), shape=shape, reason=f"{first}:missing")

    def stranger(self, row: Row, field: str) -> Row:
        """A row whose student or course is in no file."""
        known = self._students if field == "student_id" else 200
        prefix = "STU" if field == "student_id" else "CRS"
        fresh = self.fresh(row)
        unknown = f"{prefix}{known + 500 + self._number}"
        return replace(fresh, record=fresh.record | {field: unknown})


def _later(record: Record, field: str, **span: int) -> date:
    moment = record[field]
    if not isinstance(moment, date):
        raise TypeError(f"{field} is {moment!r}")
    return moment + timedelta(**span)


@dataclass(frozen=True)
class Drafts:
    """Planned files and their rows, which grow."""

    rng: random.Random
    files: Sequence[Planned]
    rows: Sequence[list[Row]]

    def sound_row(self, source: str) -> tuple[list[Row], Row]:
        """The rows of some file of the source, and one that was planned for it."""
        has_rows = [
            index for index, file in enumerate(self.files) if file.source == source and file.rows
        ]
        index = self.rng.choice(has_rows)
        return self.rows[index], self.rng.choice(self.files[index].rows)

    def insert(self, into: list[Row], row: Row) -> None:
        into.insert(self.rng.randrange(len(into) + 1), row)

    def of_source(self, source: str) -> list[list[Row]]:
        pairs = zip(self.files, self.rows, strict=True)
        return [rows for file, rows in pairs if file.source == source]


def with_faults(rng: random.Random, files: Sequence[Planned], students: int) -> list[Planned]:
    """The files with bad rows, strangers and repeated rows at random places."""
    spoiler = Spoiler(students)
    drafts = Drafts(rng, files, [list(file.rows) for file in files])
    for source, field, text, flag in SOFT:
        _soften(drafts, source, field, text, flag)
    for rows in drafts.rows:
        _repeat(drafts, rows)
    for name in SOURCES:
        _add_strangers(drafts, spoiler, name)
        _add_misshapen(drafts, spoiler, name)
    for source, field, text, flag in SPOILT:
        for _ in range(rng.randrange(1, 3)):
            into, row = drafts.sound_row(source)
            drafts.insert(into, spoiler.spoilt(row, field, text, flag))
    pairs = zip(files, drafts.rows, strict=True)
    return [replace(file, rows=tuple(rows)) for file, rows in pairs]


def _soften(drafts: Drafts, source: str, field: str, text: str, flag: str) -> None:
    """Give one record a text that cannot be read, everywhere where that version is written."""
    rows = [row for of_file in drafts.of_source(source) for row in of_file if not row.texts]
    chosen = drafts.rng.choice(rows).record
    soft = Row(source, chosen | {field: None}, {field: text}, flags=(f"{field}:{flag}",))
    for of_file in drafts.of_source(source):
        of_file[:] = [soft if row.record == chosen and not row.texts else row for row in of_file]


def _repeat(drafts: Drafts, rows: list[Row]) -> None:
    """Write some rows again in the same file, spelled anew.

    Of rows that contradict each other none is: which copy of the loser is the one in quarantine
    would be anybody's choice.
    """
    contents: dict[tuple[object, ...], set[str]] = {}
    for of_file in drafts.of_source(rows[0].source) if rows else ():
        for row in of_file:
            contents.setdefault(_version(row), set()).add(repr(row.record))
    alone = [row for row in rows if len(contents[_version(row)]) == 1]
    for row in drafts.rng.sample(alone, math.ceil(len(alone) * DUPLICATE_SHARE)):
        drafts.insert(rows, row)


def _version(row: Row) -> tuple[object, ...]:
    source = SOURCES[row.source]
    keys = tuple(row.record[name] for name in source.keys)
    return *keys, precedence(source, row.record)[0]


def _add_strangers(drafts: Drafts, spoiler: Spoiler, source: str) -> None:
    if source in ("students", "course_catalog"):
        return
    parents = [name for name in ("student_id", "course_id") if name in SOURCES[source].field_names]
    for field in parents * STRANGERS:
        into, row = drafts.sound_row(source)
        drafts.insert(into, spoiler.stranger(row, field))


def _add_misshapen(drafts: Drafts, spoiler: Spoiler, source: str) -> None:
    """Rows of too few fields; rows of too many, which only have a surplus at their end."""
    if SOURCES[source].format == "json":
        for _ in range(2):
            into, row = drafts.sound_row(source)
            drafts.insert(into, spoiler.misshapen(row, "no_object"))
        return
    into, row = drafts.sound_row(source)
    drafts.insert(into, spoiler.misshapen(row, "short"))
    into, _ = drafts.sound_row(source)
    index = drafts.rng.choice([n for n, row in enumerate(into) if row.shape == "whole"])
    into[index] = replace(into[index], shape="long")
