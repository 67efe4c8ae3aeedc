"""A small made-up school: its registers and lists as messy files, and what is true of them.

The same arguments give the same bytes. Nobody in it exists. The clean records are made first
(life, courses), divided among files (plan), spoilt (faults, broken) and written (spelling, files).
The truth (truth) comes from the clean records.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import cycle
from pathlib import Path

from lake.errors import LakeError
from lake.school.broken import Broken, broken_files
from lake.school.campus import as_campus
from lake.school.faults import Planned, with_faults
from lake.school.files import FORMS, Form, rendered
from lake.school.life import new_pupil, school_days
from lake.school.plan import planned_files
from lake.school.rows import Placed, Row
from lake.school.spelling import Speller
from lake.school.truth import Truth, truth_of
from schemas.records.sources import SOURCES

START = date(2025, 9, 1)
# Fewer have not every kind of student, or not every form of file.
MIN_STUDENTS, MIN_DAYS = 24, 19
SAMPLE_ROWS = 12


@dataclass(frozen=True)
class Delivery:
    """One file as it is delivered, and what must become of it.

    name: path in the school's folder. source: null where none can be told. rows: records in it,
    null in a file that must be refused; defects: how many of them are not well-formed.
    fails: code of the reason for refusing the whole file; line: where, if the fault has a place.
    same_as: an earlier delivery with the same bytes.
    encoding: a codec of Python; delimiter: null for JSON.
    """

    name: str
    arrives: date
    source: str | None
    content_hash: str
    rows: int | None = None
    defects: int = 0
    fails: str | None = None
    line: int | None = None
    same_as: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    extra_columns: tuple[str, ...] = ()

    @property
    def lands(self) -> bool:
        """Whether its rows come into the lake: neither refused nor there already."""
        return self.fails is None and self.same_as is None


@dataclass(frozen=True)
class School:
    """deliveries: every file in the order of arrival. rows: those of the files that land."""

    folder: Path
    deliveries: tuple[Delivery, ...]
    rows: tuple[Placed, ...]
    truth: Truth


def write_school(
    folder: Path,
    students: int = 120,
    days: int = 40,
    start: date = START,
    seed: int = 7,
    is_campus: bool = False,
) -> School:
    """Write the files of all seven sources into the folder and tell what is true of them.

    students: at least 24; days: at least 19, counted in calendar days from `start`. is_campus: ids
    are those of the demo's campus (lake.campus). Files of the same name are replaced, others stay.
    Raises LakeError for fewer students or days.
    """
    if students < MIN_STUDENTS or days < MIN_DAYS:
        raise LakeError(
            f"A school of {students} students and {days} days is too small for every fault.\n"
            f"  Take at least {MIN_STUDENTS} students and {MIN_DAYS} days."
        )
    rng = random.Random(f"school/{seed}/{students}/{days}/{start}")
    calendar = school_days(start, days)
    pupils = [new_pupil(rng, number, calendar) for number in range(1, students + 1)]
    planned = planned_files(rng, pupils, calendar)
    files = with_faults(rng, planned, students)
    if is_campus:
        planned, files = as_campus(planned), as_campus(files)
    speller = Speller(rng)
    written = [_written(folder, file, form, speller, rng) for file, form in _with_forms(files)]
    landed = [delivery for delivery, _ in written]
    samples = {name: _sample(planned, name) for name in SOURCES}
    refused = [
        _refused(folder, broken, start + timedelta(days=2 + 2 * number))
        for number, broken in enumerate(broken_files(samples, speller, rng))
    ]
    deliveries = [*landed, *_twins(folder, landed), *refused]
    rows = tuple(row for _, placed in written for row in placed)
    return School(
        folder=folder,
        deliveries=tuple(sorted(deliveries, key=lambda d: (d.arrives, d.name))),
        rows=rows,
        truth=truth_of(rows),
    )


def _with_forms(files: Sequence[Planned]) -> list[tuple[Planned, Form]]:
    """The forms of each source in turn; every other gzip file has no `.gz` to its name."""
    turns = {name: cycle(forms) for name, forms in FORMS.items()}
    formed, packed = [], 0
    for file in files:
        form = next(turns[file.source])
        if form.is_gzip:
            packed += 1
            if packed % 2:
                file = replace(file, name=f"{file.name}.gz")
        formed.append((file, form))
    return formed


def _written(
    folder: Path, file: Planned, form: Form, speller: Speller, rng: random.Random
) -> tuple[Delivery, list[Placed]]:
    content = rendered(SOURCES[file.source], file.rows, form, speller, rng, file.without)
    delivery = Delivery(
        name=file.name,
        arrives=file.arrives,
        source=file.source,
        content_hash=_put(folder / file.name, content.body),
        rows=len(file.rows),
        encoding=content.encoding,
        delimiter=content.delimiter,
        defects=sum(row.shape != "whole" for row in content.rows),
        extra_columns=content.extra_columns,
    )
    return delivery, [Placed(file.name, n, row) for n, row in enumerate(content.rows, start=1)]


def _put(path: Path, body: bytes) -> str:
    """Write the file; its SHA-256 in hex."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return hashlib.sha256(body).hexdigest()


def _sample(files: Sequence[Planned], source: str) -> Sequence[Row]:
    return next(file.rows for file in files if file.source == source and file.rows)[:SAMPLE_ROWS]


def _refused(folder: Path, broken: Broken, arrives: date) -> Delivery:
    return Delivery(
        name=broken.name,
        arrives=arrives,
        source=broken.source,
        content_hash=_put(folder / broken.name, broken.body),
        fails=broken.reason,
        line=broken.line,
    )


def _twins(folder: Path, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Of every source the first file again under another name, three days later."""
    twins = []
    for source in SOURCES:
        first = next(delivery for delivery in deliveries if delivery.source == source)
        name = f"{source} (1).{SOURCES[source].format}"
        _put(folder / name, (folder / first.name).read_bytes())
        arrives = first.arrives + timedelta(days=3)
        twins.append(replace(first, name=name, arrives=arrives, same_as=first.name))
    return twins
