"""What a right lake holds once the made-up school's files are in, from the clean records alone.

Nothing here reads a file: every row that was written still knows the record that it stands for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from lake.school.life import Record, Value
from lake.school.rows import Placed, SetAside
from lake.school.versions import class_on, newest_versions, student_history
from schemas.records.sources import SOURCES, Source

# Source → its silver table.
TABLES = {
    "students": "dim_students",
    "course_catalog": "dim_courses",
    "attendance": "fact_attendance",
    "assessments": "fact_assessments",
    "students_enrollment": "fact_enrollments",
    "student_progress": "fact_student_progress",
    "support_tickets": "fact_support_tickets",
}
# Source → its silver table of all versions, and the fields that say what one of them is.
VERSIONS = {
    "students_enrollment": ("enrollment_versions", ("student_id", "course_id", "enrollment_date")),
    "student_progress": (
        "progress_versions",
        ("student_id", "course_id", "lesson_id", "last_activity_at", "completion_pct"),
    ),
}
# Particulars that no silver table keeps; their truth is in Truth.contacts.
CONTACT_FIELDS = ("student_name", "email", "phone", "date_of_birth")
TICKET_FIELDS = ("subject", "body")
# Facts that say in which class the student was on that day.
DAY_FIELDS = {"attendance": "attendance_date", "assessments": "assessment_date"}


@dataclass(frozen=True)
class Counts:
    """Rows of a source in all landed files = the sum of the other five.

    distinct: rows in force (of students: distinct versions, `collapsed` of which repeat the one
    before and are no row of the history); duplicates: the same version and content again;
    superseded: other versions than the newest; quarantined: spoilt, or of the newest version and
    another content; held: their parent never came.
    """

    rows: int
    distinct: int
    duplicates: int
    superseded: int
    quarantined: int
    held: int
    collapsed: int = 0


@dataclass(frozen=True)
class Truth:
    """tables: silver table → rows sorted by key, students by their clean identifier.

    flags: silver table → key → quality_flags of its row, of rows with a text that cannot be read;
    without those of texts that are spelled oddly, which differ from copy to copy of a record.
    contacts: student_id, course_id and the particulars of the enrolment in force.
    """

    tables: dict[str, tuple[Record, ...]]
    flags: dict[str, dict[tuple[Value, ...], tuple[str, ...]]]
    contacts: tuple[Record, ...]
    quarantined: tuple[SetAside, ...]
    held: tuple[SetAside, ...]
    counts: dict[str, Counts]


@dataclass(frozen=True)
class Sifted:
    """A source's rows: a row of each record in force, one of each version of a record, and what
    became of the rows that are not in force."""

    in_force: list[Placed]
    versions: list[Placed]
    quarantined: list[SetAside]
    held: list[SetAside]
    counts: Counts

    @property
    def records(self) -> list[Record]:
        return [placed.row.record for placed in self.in_force]


def truth_of(rows: Sequence[Placed]) -> Truth:
    """rows: those of all files that land, each file once, in any order."""
    by_source: dict[str, list[Placed]] = {name: [] for name in SOURCES}
    for placed in rows:
        by_source[placed.row.source].append(placed)
    known = {
        "student_id": _identifiers(by_source["students"], "student_id"),
        "course_id": _identifiers(by_source["course_catalog"], "course_id"),
    }
    sifted = {name: _sift(SOURCES[name], of, known) for name, of in by_source.items()}
    history = student_history(sifted["students"].records)
    counts = {name: of_source.counts for name, of_source in sifted.items()}
    collapsed = counts["students"].distinct - len(history)
    contacts = [
        {name: record[name] for name in ("student_id", "course_id", *CONTACT_FIELDS)}
        for record in sifted["students_enrollment"].records
    ]
    tables = {TABLES[name]: _rows(name, s.records, history) for name, s in sifted.items()}
    flags = {TABLES[name]: _flags(s.in_force, SOURCES[name].keys) for name, s in sifted.items()}
    for name, (table, fields) in VERSIONS.items():
        versions, keys = sifted[name].versions, _version_keys(SOURCES[name])
        told = ({field: item.row.record[field] for field in fields} for item in versions)
        tables[table], flags[table] = _sorted(told, keys), _flags(versions, keys)
    return Truth(
        tables=tables,
        flags=flags,
        contacts=_sorted(contacts, ("student_id", "course_id")),
        quarantined=_in_place(item for s in sifted.values() for item in s.quarantined),
        held=_in_place(item for s in sifted.values() for item in s.held),
        counts=counts | {"students": replace(counts["students"], collapsed=collapsed)},
    )


def _identifiers(rows: Iterable[Placed], field: str) -> set[Value]:
    return {placed.row.record[field] for placed in rows if placed.row.reason is None}


def _sift(source: Source, rows: Sequence[Placed], known: Mapping[str, set[Value]]) -> Sifted:
    quarantined, held, accepted = [], [], []
    for placed in rows:
        if placed.row.reason:
            quarantined.append(placed.set_aside(placed.row.reason))
        elif missing := _missing_parent(source, placed.row.record, known):
            held.append(placed.set_aside(missing))
        else:
            accepted.append(placed)
    newest = newest_versions(source, accepted)
    dated = [placed for placed in accepted if placed.row.record[source.version_field] is not None]
    versions = newest_versions(source, dated, _version_keys(source)).winners
    quarantined += [placed.set_aside("conflicting_version") for placed in newest.conflicting]
    counts = Counts(
        rows=len(rows),
        distinct=len(newest.winners),
        duplicates=newest.duplicates,
        superseded=len(newest.superseded),
        quarantined=len(quarantined),
        held=len(held),
    )
    return Sifted(newest.winners, versions, quarantined, held, counts)


def _version_keys(source: Source) -> tuple[str, ...]:
    return (*source.keys, source.version_field)


def _flags(
    in_force: Iterable[Placed], keys: Sequence[str]
) -> dict[tuple[Value, ...], tuple[str, ...]]:
    rows = [placed.row for placed in in_force if placed.row.flags]
    return {tuple(row.record[name] for name in keys): row.flags for row in rows}


def _in_place(items: Iterable[SetAside]) -> tuple[SetAside, ...]:
    return tuple(sorted(items, key=lambda item: (item.file, item.number)))


def _missing_parent(source: Source, record: Record, known: Mapping[str, set[Value]]) -> str | None:
    if source.name in ("students", "course_catalog"):
        return None
    if record["student_id"] not in known["student_id"]:
        return "unknown_student"
    if "course_id" in record and record["course_id"] not in known["course_id"]:
        return "unknown_course"
    return None


def _rows(source: str, records: Iterable[Record], history: list[Record]) -> tuple[Record, ...]:
    """The rows of a source's silver table."""
    if source == "students":
        return tuple(history)
    of_student: dict[Value, list[Record]] = defaultdict(list)
    for version in history:
        of_student[version["student_id"]].append(version)
    hidden = TICKET_FIELDS if source == "support_tickets" else CONTACT_FIELDS
    rows = []
    for record in records:
        row = {name: value for name, value in record.items() if name not in hidden}
        if source == "attendance":
            row["is_present"] = row.pop("status")
        if source == "assessments":
            row["score_pct"] = _share(record["score"], record["max_score"])
        if source in DAY_FIELDS:
            day, history = record[DAY_FIELDS[source]], of_student[record["student_id"]]
            row["class_id"] = class_on(history, day) if isinstance(day, date) else None
        rows.append(row)
    return _sorted(rows, SOURCES[source].keys)


def _share(part: Value, whole: Value) -> float:
    if not (isinstance(part, float) and isinstance(whole, float)):
        raise TypeError(f"{part!r} of {whole!r} is no share")
    return part / whole


def _sorted(rows: Iterable[Record], keys: Sequence[str]) -> tuple[Record, ...]:
    return tuple(sorted(rows, key=lambda row: tuple(str(row[name]) for name in keys)))
