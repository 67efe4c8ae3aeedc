"""Which of several versions of a record is in force: the lake's rule, told once more in Python."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from lake.school.life import Record, Value
from lake.school.rows import Placed
from schemas.records.sources import Source

# What decides between versions before their content does, nulls first. A ticket is opened once:
# its opening alone would leave it to chance whether it is ever seen closed.
VERSION_FIELDS = {"support_tickets": ("opened_at", "closed_at")}
HISTORY_FIELDS = ("class_id", "grade_level", "enrollment_status")
# The greater is in force: versions first, a null below all others, then the content's SHA-256.
Precedence = tuple[tuple[tuple[bool, str], ...], str]


def canonical_content(source: Source, record: Record) -> str:
    """The clean values of a record joined by 0x1f, without key, version and identifiers.

    Text as it is; dates ISO; instants `2025-09-01T08:00:00.000000Z`; true, false; numbers in
    their shortest form; null is empty.
    """
    names = (
        f.name
        for f in source.fields
        if not f.is_identifier and f.name not in (*source.keys, source.version_field)
    )
    return "\x1f".join(_canonical(record[name]) for name in names)


def _canonical(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    return value.isoformat() if isinstance(value, date) else str(value)


def precedence(source: Source, record: Record) -> Precedence:
    """What makes a record win over the others of its key."""
    names = VERSION_FIELDS.get(source.name, (source.version_field,))
    versions = tuple((record[name] is not None, _canonical(record[name])) for name in names)
    content = canonical_content(source, record)
    return versions, hashlib.sha256(content.encode()).hexdigest()


@dataclass
class Newest:
    """A row of each record in force; of every other content one row, of the same version as the
    one in force (conflicting) or of an older one; how many rows repeat another."""

    winners: list[Placed] = field(default_factory=list)
    conflicting: list[Placed] = field(default_factory=list)
    superseded: list[Placed] = field(default_factory=list)
    duplicates: int = 0


def newest_versions(
    source: Source, rows: Iterable[Placed], keys: Sequence[str] | None = None
) -> Newest:
    """Which of the rows is in force of each key, and what the others are to it.

    keys: what tells records apart where that is not the source's own keys.
    """
    by_key: dict[tuple[Value, ...], dict[Precedence, list[Placed]]] = {}
    for placed in rows:
        record = placed.row.record
        key = tuple(record[name] for name in keys or source.keys)
        versions = by_key.setdefault(key, defaultdict(list))
        versions[precedence(source, record)].append(placed)
    found = Newest()
    for versions in by_key.values():
        newest = max(versions)
        for version, copies in versions.items():
            found.duplicates += len(copies) - 1
            first = min(copies, key=lambda placed: (placed.file, placed.number))
            if version == newest:
                found.winners.append(first)
            elif version[0] == newest[0]:
                found.conflicting.append(first)
            else:
                found.superseded.append(first)
    return found


def student_history(versions: Iterable[Record]) -> list[Record]:
    """SCD type 2 of versions that are in force: half-open ranges, the last one without an end."""
    history: list[Record] = []
    for version in sorted(versions, key=lambda v: (str(v["student_id"]), _instant(v))):
        last = history[-1] if history else None
        same_student = last is not None and last["student_id"] == version["student_id"]
        if last is not None and same_student:
            if all(last[name] == version[name] for name in HISTORY_FIELDS):
                continue
            last |= {"valid_to": version["updated_at"], "is_current": False}
        history.append(
            {name: version[name] for name in ("student_id", *HISTORY_FIELDS)}
            | {"valid_from": version["updated_at"], "valid_to": None, "is_current": True}
        )
    return history


def _instant(version: Record) -> datetime:
    moment = version["updated_at"]
    if not isinstance(moment, datetime):
        raise TypeError(f"updated_at is {moment!r}")
    return moment


def class_on(history: Sequence[Record], day: date) -> Value:
    """The class at the end of a UTC day; before the first version that one's class.

    history: one student's rows, oldest first.
    """
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    begun = [v for v in history if isinstance(v["valid_from"], datetime) and v["valid_from"] < end]
    return (begun or history[:1])[-1]["class_id"]
