"""Files of the made-up school that nobody can read whole, and why."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lake.school.files import PLAIN, Form, rendered
from lake.school.rows import Row
from lake.school.spelling import Speller
from schemas.records.sources import SOURCES, Source


@dataclass(frozen=True)
class Broken:
    """Bytes of a file that must be refused, the code of the reason, and the line if it has one."""

    name: str
    source: str | None
    body: bytes
    reason: str
    line: int | None = None


def broken_files(
    samples: Mapping[str, Sequence[Row]], speller: Speller, rng: random.Random
) -> list[Broken]:
    """One file for every way of being unreadable; samples: source → some good rows of it."""
    attendance, students = SOURCES["attendance"], SOURCES["students"]
    assessments, tickets = SOURCES["assessments"], SOURCES["support_tickets"]

    def written(source: Source, form: Form, without: Sequence[str] = ()) -> bytes:
        return rendered(source, samples[source.name], form, speller, rng, without).body

    packed = written(attendance, replace(PLAIN, is_gzip=True))
    scores = written(assessments, PLAIN)
    asked = written(tickets, replace(PLAIN, quotes_all=True))
    unclosed = asked + b'"TCK99999","STU001","never closed\n'
    png = b"\x89PNG\r\n\x1a\n" + rng.randbytes(2000)
    headless = written(students, PLAIN, without=("enrollment_status",))
    cut = len(packed) * 3 // 5
    part = scores.rindex(b'"', 0, len(scores) * 3 // 5)  # not inside of a letter
    end_line = _line_breaks(scores[:part]) + 1
    crash_line = _line_breaks(asked) + 1
    return [
        Broken("attendance_upload.csv.gz", "attendance", packed[:cut], "damaged_gzip"),
        Broken(
            "assessments_partial.json", "assessments", scores[:part], "truncated_json", end_line
        ),
        Broken(
            "support_tickets_crash.csv", "support_tickets", unclosed, "unclosed_quote", crash_line
        ),
        Broken("students_short.csv", "students", headless, "missing_column", 1),
        Broken("attendance_empty.csv", "attendance", b"", "empty_file"),
        Broken("attendance_scan.csv", "attendance", png, "not_text"),
        Broken("timetable.csv", None, b"class_id,weekday,lesson\n9A,1,2\n", "unknown_source"),
    ]


def _line_breaks(body: bytes) -> int:
    return len(re.findall(rb"\r\n|\r|\n", body))
