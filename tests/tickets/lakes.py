"""Lakes that hold tickets and a directory of students, written without Spark."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lake.delta_reading import delta_rows
from lake.school import School
from lake.storage import ObjectStore
from lake.tickets.table import Row
from schemas.derivations import arrow_schema
from schemas.table import Table
from schemas.tables.restricted import STUDENT_DIRECTORY, TICKET_TEXTS
from schemas.tables.tickets import TICKET_LABELS

KEY = b"a key of the tests, no secret"
NOW = datetime(2025, 10, 1, 12, tzinfo=UTC)
DAY = date(2025, 9, 30)


def hash_of(student: object) -> str:
    return hashlib.sha256(str(student).encode()).hexdigest()


def ticket(
    ticket_id: str,
    subject: str = "Wrong score",
    body: str | None = "I had 18, not 8.",
    student: str = "STU001",
    opened: date | None = DAY,
) -> Row:
    """A row of restricted.ticket_texts."""
    return {
        "ticket_id": ticket_id,
        "student_hash": hash_of(student),
        "opened_date": opened,
        "opened_at": None if opened is None else datetime.combine(opened, time(9), UTC),
        "closed_at": None,
        "subject": subject,
        "body": body,
        "_content_hash": "0" * 64,
        "_row": 1,
        "_digest": "0" * 64,
        "_identifiers": "0" * 64,
    }


def put_tickets(store: ObjectStore, rows: Sequence[Row]) -> None:
    """These tickets and no others."""
    _put(store, TICKET_TEXTS, rows)


def put_directory(store: ObjectStore, people: Iterable[dict[str, Any]]) -> None:
    """people: student_id, student_name, email, phone of each student."""
    told = dict.fromkeys((name for name in STUDENT_DIRECTORY.column_names), None)
    rows = {
        hash_of(person["student_id"]): told
        | {name: person.get(name) for name in ("student_name", "email", "phone")}
        for person in people
    }
    _put(store, STUDENT_DIRECTORY, [row | {"student_hash": who} for who, row in rows.items()])


def put_school(store: ObjectStore, school: School) -> list[Row]:
    """The school's tickets as they are, and its directory; gives the tickets."""
    rows: dict[str, Row] = {}
    for placed in school.rows:
        record = placed.row.record
        if placed.row.source == "support_tickets" and placed.row.reason is None:
            opened = record["opened_at"]
            assert opened is None or isinstance(opened, datetime)
            rows[str(record["ticket_id"])] = ticket(
                str(record["ticket_id"]),
                str(record["subject"]),
                None if record["body"] is None else str(record["body"]),
                str(record["student_id"]),
                None if opened is None else opened.date(),
            )
    put_tickets(store, list(rows.values()))
    put_directory(store, school.truth.contacts)
    return list(rows.values())


def _put(store: ObjectStore, table: Table, rows: Sequence[Row]) -> None:
    write_deltalake(
        store.delta_uri(table.path),
        pa.Table.from_pylist(list(rows), arrow_schema(table)),
        mode="overwrite",
        partition_by=[table.partition_by] if table.partition_by else None,
        storage_options=store.storage_options or None,
    )


def labels_of(store: ObjectStore) -> dict[str, Row]:
    """ticket_id → row of silver.ticket_labels."""
    rows = delta_rows(opened(store), arrow_schema(TICKET_LABELS)).to_pylist()
    by_id = {row["ticket_id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def opened(store: ObjectStore) -> DeltaTable:
    return DeltaTable(
        store.delta_uri(TICKET_LABELS.path), storage_options=store.storage_options or None
    )
