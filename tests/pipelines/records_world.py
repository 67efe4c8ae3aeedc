"""A made-up school in a lake: landing and building its files, and what the tables must hold."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from lake.delta_reading import delta_rows
from lake.pipelines.records.places import CONFLICTING
from lake.school import Delivery, School
from lake.school.life import Record, Value
from lake.school.rows import Placed, SetAside
from lake.school.versions import canonical_content, precedence
from lake.storage_local import LocalStore
from schemas.derivations import arrow_schema
from schemas.records.sources import SOURCES
from schemas.tables import TABLES
from schemas.tables.records_gold import RECORDS_GOLD
from tests.landing.zones import School as Zone
from tests.oracle.records import Limits, Records, gold_of_records
from tests.pipelines.lakes import KEY

if TYPE_CHECKING:
    from lake.storage import ObjectStore

# Draws made-up schools, the orders of their files and kills; LMSLAKE_TEST_SEED draws others.
SEED = int(os.environ.get("LMSLAKE_TEST_SEED", "20251122"))
Row = dict[str, Any]
# Source, place and reason of rows that are set aside.
Asides = Counter[tuple[str, object, str]]
COMPARED = (
    "silver.student_versions", "silver.dim_students", "silver.dim_courses",
    "silver.fact_attendance", "silver.fact_assessments", "silver.enrollment_versions",
    "silver.fact_enrollments", "silver.progress_versions", "silver.fact_student_progress",
    "silver.fact_support_tickets", "silver.records_quarantine", "silver.records_held",
    "restricted.student_directory", "restricted.ticket_texts",
)  # fmt: skip
TRUE_TABLES = (
    "silver.dim_students", "silver.dim_courses", "silver.fact_attendance",
    "silver.fact_assessments", "silver.enrollment_versions", "silver.fact_enrollments",
    "silver.progress_versions", "silver.fact_student_progress", "silver.fact_support_tickets",
)  # fmt: skip
GOLD = tuple(table.name for table in RECORDS_GOLD)
# What is said of a text that is spelled oddly: another copy of the record may be spelled plainly.
OF_SPELLING = ("tz_assumed", "excel_date", "ragged_row")
POINTER = ("_content_hash", "_row")
CONTACTS = ("student_name", "email", "phone", "date_of_birth")


def hash_of(student: object) -> str:
    """The pseudonym, as the standard library computes it."""
    return hmac.new(KEY.encode(), f"default\x1f{student}".encode(), hashlib.sha256).hexdigest()


def land(root: Path, school: School, deliveries: Iterable[Delivery]) -> None:
    zone = Zone(root)
    for delivery in deliveries:
        zone.put(delivery.name, (school.folder / delivery.name).read_bytes())
        zone.land()


def rows_of(store: ObjectStore, name: str) -> list[Row]:
    """All rows of the table, sorted by its keys."""
    table = TABLES[name]
    uri = store.delta_uri(table.path)
    if not DeltaTable.is_deltatable(uri):
        return []
    return _sorted(delta_rows(DeltaTable(uri), arrow_schema(table)).to_pylist(), name)


def tables_of(root: Path) -> dict[str, list[Row]]:
    """Every row of every table of records, without the place that it came from.

    Of what was set aside the place is the row.
    """
    store = LocalStore(root)
    tables = {}
    for name in COMPARED:
        keys = TABLES[name].keys
        left_out = {column for column in POINTER if column not in keys}
        tables[name] = [
            {column: value for column, value in row.items() if column not in left_out}
            for row in rows_of(store, name)
        ]
    for row in tables["silver.records_quarantine"]:
        if row["reason"] == CONFLICTING and row["source"] != "students":
            # Which of its copies it is depends on what was in force before.
            row |= dict.fromkeys(POINTER)
    tables["silver.records_quarantine"].sort(key=repr)
    return tables


def gold_of(root: Path) -> dict[str, list[Row]]:
    """Every row of every table of gold."""
    return {name: rows_of(LocalStore(root), name) for name in GOLD}


def expected_gold(root: Path, limits: Limits | None = None) -> dict[str, list[Row]]:
    """What gold must hold by the rows of silver."""
    store = LocalStore(root)
    records = Records(
        rows_of(store, "silver.fact_attendance"),
        rows_of(store, "silver.fact_assessments"),
        rows_of(store, "silver.dim_students"),
    )
    tables = gold_of_records(records, limits or Limits())
    return {name: _sorted(rows, name) for name, rows in tables.items()}


def _sorted(rows: Iterable[Row], name: str) -> list[Row]:
    keys = TABLES[name].keys
    return sorted(rows, key=lambda row: tuple(str(row[key]) for key in keys))


def versions_of(root: Path, names: Iterable[str] = COMPARED) -> dict[str, int]:
    store = LocalStore(root)
    uris = {name: store.delta_uri(TABLES[name].path) for name in names}
    return {name: DeltaTable(uri).version() for name, uri in uris.items()}


def files_of(root: Path, name: str) -> dict[str, set[str]]:
    """Files of a table by the value of their partition; all under "None" where it has none."""
    table = DeltaTable(LocalStore(root).delta_uri(TABLES[name].path))
    actions = table.get_add_actions(flatten=True)
    paths = actions["path"].to_pylist()
    partition = TABLES[name].partition_by
    values = actions[f"partition.{partition}"].to_pylist() if partition else [None] * len(paths)
    found: dict[str, set[str]] = {}
    for value, path in zip(values, paths, strict=True):
        found.setdefault(str(value), set()).add(path)
    return found


def true_rows(school: School, name: str) -> list[Row]:
    """The rows of a silver table as the school knows them, with pseudonyms."""
    rows = [_as_in_silver(record) for record in school.truth.tables[name.removeprefix("silver.")]]
    return _sorted(rows, name)


def _as_in_silver(record: Record) -> Row:
    row: Row = dict(record)
    if "student_id" in row:
        row["student_hash"] = hash_of(row.pop("student_id"))
    if "time_spent_minutes" in row:
        minutes = row.pop("time_spent_minutes")
        row["time_spent_seconds"] = None if minutes is None else minutes * 60
    return row


def true_flags(school: School, name: str) -> dict[tuple[Any, ...], list[str]]:
    """Key of the silver table → quality_flags, of rows of which a text could not be read."""
    flags = school.truth.flags[name.removeprefix("silver.")]
    has_student = TABLES[name].keys[0] == "student_hash"
    return {
        (hash_of(key[0]), *key[1:]) if has_student else key: sorted(found)
        for key, found in flags.items()
    }


def true_asides(school: School) -> tuple[Asides, Asides]:
    """What is quarantined, and what is held, as `asides_of` tells it."""
    hashes = {delivery.name: delivery.content_hash for delivery in school.deliveries}

    def places(items: Iterable[SetAside]) -> Asides:
        told = ((i.source, hashes[i.file], i.number, i.reason) for i in items)
        return _asides(school, told)

    return places(school.truth.quarantined), places(school.truth.held)


def asides_of(store: ObjectStore, school: School, name: str) -> Asides:
    """Rows of the quarantine, or held ones: how many of each source, place and reason.

    Of rows that conflict it is anybody's choice which copy stands there: what such a row says is
    its place.
    """
    columns = ("source", *POINTER, "reason")
    return _asides(school, (tuple(row[c] for c in columns) for row in rows_of(store, name)))


def _asides(school: School, places: Iterable[tuple[Any, ...]]) -> Asides:
    names = {d.content_hash: d.name for d in school.deliveries if d.lands}
    records = {(placed.file, placed.number): placed.row.record for placed in school.rows}
    found: Asides = Counter()
    for source, content_hash, number, reason in places:
        place: object = (content_hash, number)
        if reason == CONFLICTING:
            declared, record = SOURCES[source], records[names[content_hash], number]
            keys = [record[name] for name in declared.keys]
            place = repr((keys, precedence(declared, record)))
        found[source, place, reason] += 1
    return found


def true_directory(school: School) -> dict[str, dict[str, Value]]:
    """Student hash → particulars: of each field the newest that any accepted record told."""
    aside = {(i.file, i.number) for i in (*school.truth.quarantined, *school.truth.held)}
    conflicting = {(i.file, i.number) for i in school.truth.quarantined if i.reason == CONFLICTING}
    told: dict[tuple[str, str], list[tuple[str, str, str, Value]]] = {}
    for placed in school.rows:
        record, source = placed.row.record, SOURCES[placed.row.source]
        place = (placed.file, placed.number)
        if (place in aside and place not in conflicting) or source.name not in (
            "students", "students_enrollment",
        ):  # fmt: skip
            continue
        at = _instant(record[source.version_field])
        digest = hashlib.sha256(canonical_content(source, record).encode()).hexdigest()
        for name in CONTACTS:
            if (value := record.get(name)) is not None:
                key = (hash_of(record["student_id"]), name)
                told.setdefault(key, []).append((at, digest, str(value), value))
    students = {student for student, _ in told}
    found: dict[str, dict[str, Value]] = {s: dict.fromkeys(CONTACTS) for s in students}
    for (student, name), values in told.items():
        found[student][name] = max(values)[3]
    return found


def _instant(moment: Value) -> str:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC).isoformat()
    return datetime.combine(moment, datetime.min.time(), UTC).isoformat() if isinstance(
        moment, date
    ) else ""  # fmt: skip


def identifiers(rows: Sequence[Placed]) -> set[str]:
    """Texts of the school that may be in no file of silver."""
    found: set[str] = set()
    for placed in rows:
        record = placed.row.record
        for name in ("student_id", "student_name", "email", "phone", "body"):
            if isinstance(value := record.get(name), str):
                found.add(value)
        if placed.row.source == "support_tickets":
            found.add(str(record["subject"]))
    return found
