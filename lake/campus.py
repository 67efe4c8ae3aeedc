"""A small made-up campus: what its students did, as files of events with known faults.

The same arguments give the same bytes. Nobody in it exists.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import orjson

from lake.campus_faults import broken_lines, conflicting_body
from lake.campus_life import COURSES, SESSION_GAP, Sent, history, new_student

START = date(2025, 9, 1)
# One event in so many is sent twice, or again with another body.
DUPLICATE_SHARE = 0.02
CONFLICT_SHARE = 0.002


@dataclass(frozen=True)
class Campus:
    """What was written, and what a right lake finds in it.

    rejected: reason code → records that ingestion must quarantine. events: distinct valid events.
    identical and conflicting: valid records beyond those, by the kind of duplicate.
    """

    files: tuple[Path, ...]
    catalog: Path
    students: int
    records: int
    events: int
    sessions: int
    rejected: dict[str, int]
    identical_duplicates: int
    conflicting_duplicates: int
    late: int
    without_offset: int
    with_local_offset: int
    exact_gaps: int
    midnight_sessions: int


def write_campus(
    folder: Path, students: int = 80, days: int = 18, start: date = START, seed: int = 7
) -> Campus:
    """Write one jsonl.gz file per day of arrival and catalog.csv into the folder.

    students: at least 5. All dates lie in start … start + days + 3. The files replace those of
    an earlier call.
    """
    rng = random.Random(f"{seed}/{students}/{days}/{start}")
    people = [new_student(rng, number) for number in range(students)]
    sent, exact_gaps = history(rng, people, start, days)
    repeated = _repeated(rng, sent)
    conflicting = _conflicting(rng, sent)
    broken = broken_lines(rng, sent[0].event, students)
    lines = [(item.arrival, orjson.dumps(item.event)) for item in (*sent, *repeated, *conflicting)]
    last_arrival = max(item.arrival for item in sent)
    span = last_arrival - min(item.arrival for item in sent)
    lines += [(last_arrival - span * rng.random(), line) for _, line in broken]
    written = [item.event["timestamp"] for item in sent]
    sessions, midnight_sessions = _count_sessions(sent)
    return Campus(
        files=_write_files(folder, lines),
        catalog=_write_catalog(folder / "catalog.csv"),
        students=students,
        records=len(lines),
        events=len(sent),
        sessions=sessions,
        rejected=dict(sorted(Counter(reason for reason, _ in broken).items())),
        identical_duplicates=len(repeated),
        conflicting_duplicates=len(conflicting),
        late=sum(item.arrival.date() > item.ts.date() for item in sent),
        without_offset=sum(not text.endswith(("Z", "+05:30")) for text in written),
        with_local_offset=sum(text.endswith("+05:30") for text in written),
        exact_gaps=exact_gaps,
        midnight_sessions=midnight_sessions,
    )


def _repeated(rng: random.Random, sent: Sequence[Sent]) -> list[Sent]:
    """The same bodies again, their keys in another order: a client that retried."""
    chosen = rng.sample(sent, max(5, round(len(sent) * DUPLICATE_SHARE)))
    return [
        Sent(item.ts, item.arrival + timedelta(minutes=1), dict(reversed(item.event.items())))
        for item in chosen
    ]


def _conflicting(rng: random.Random, sent: Sequence[Sent]) -> list[Sent]:
    chosen = rng.sample(sent, max(3, round(len(sent) * CONFLICT_SHARE)))
    return [
        Sent(item.ts, item.arrival + timedelta(minutes=2), conflicting_body(item.event))
        for item in chosen
    ]


def _count_sessions(sent: Sequence[Sent]) -> tuple[int, int]:
    """Sessions, and those of them that begin and end on different UTC days."""
    sessions: list[tuple[str, datetime, datetime]] = []
    for item in sorted(sent, key=lambda sent: (sent.event["student_id"], sent.ts)):
        student = item.event["student_id"]
        if sessions and sessions[-1][0] == student and item.ts - sessions[-1][2] <= SESSION_GAP:
            sessions[-1] = (student, sessions[-1][1], item.ts)
        else:
            sessions.append((student, item.ts, item.ts))
    return len(sessions), sum(first.date() != last.date() for _, first, last in sessions)


def _write_files(folder: Path, lines: list[tuple[datetime, bytes]]) -> tuple[Path, ...]:
    by_day: dict[date, list[bytes]] = {}
    for arrival, line in sorted(lines):
        by_day.setdefault(arrival.date(), []).append(line)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("events-*.jsonl.gz"):
        old.unlink()
    written = []
    for day, of_day in sorted(by_day.items()):
        body = BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=body, compresslevel=4, mtime=0) as file:
            file.write(b"\n".join(of_day) + b"\n")
        path = folder / f"events-{day}.jsonl.gz"
        path.write_bytes(body.getvalue())
        written.append(path)
    return tuple(written)


def _write_catalog(path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["course_id", "course_title", "chapter_id", "chapter_title"])
        for course in COURSES:
            for index, title in enumerate(course.chapters):
                writer.writerow([course.course_id, course.title, course.chapter_id(index), title])
    return path
