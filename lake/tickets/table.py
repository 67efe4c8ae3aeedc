"""silver.ticket_labels and the restricted tables that it follows from, with delta-rs."""

from __future__ import annotations

import hashlib
import hmac
import logging
import random
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from lake.delta_reading import PartitionValue, delta_rows, opened_table, values_predicate
from lake.delta_writing import check_types, declared_table, write_rows
from lake.errors import LakeError
from lake.gates import Gate
from lake.tickets.labels import Ticket
from schemas.derivations import arrow_schema
from schemas.expectations import ROW_COUNT, named_checks
from schemas.table import Check, Table
from schemas.tables.restricted import STUDENT_DIRECTORY, TICKET_TEXTS
from schemas.tables.tickets import TICKET_LABELS

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from lake.fencing import Fence
    from lake.storage import ObjectStore

Row = dict[str, Any]
WRITE_ATTEMPTS = 6
ROWS_AT_ONCE = 10_000
TEXT_COLUMNS = ("ticket_id", "student_hash", "opened_date", "subject", "body")

log = logging.getLogger(__name__)


def text_digest(key: bytes, subject: str, body: str) -> str:
    """`_text_digest`: without the key, short texts could be found by trying."""
    text = f"ticket\x1f{subject}\x1f{body}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def read_tickets(store: ObjectStore, key: bytes) -> Iterator[Ticket]:
    """Every ticket, in any order. Raises LakeError where none was ever built."""
    table = opened_table(store, TICKET_TEXTS)
    if table is None:
        raise LakeError(
            "There are no tickets in this lake.\n"
            "  lmslake land && lmslake records build   takes them from files."
        )
    for row in _rows(table, TICKET_TEXTS, TEXT_COLUMNS):
        subject, body = row["subject"] or "", row["body"] or ""
        yield Ticket(
            row["ticket_id"], row["student_hash"], row["opened_date"], subject, body,
            text_digest(key, subject, body),
        )  # fmt: skip


def read_names(store: ObjectStore) -> dict[str, tuple[str, ...]]:
    """student_hash → name and e-mail address of each student that the directory knows."""
    table = opened_table(store, STUDENT_DIRECTORY)
    if table is None:
        return {}
    return {
        row["student_hash"]: tuple(filter(None, (row["student_name"], row["email"])))
        for row in _rows(table, STUDENT_DIRECTORY, ("student_hash", "student_name", "email"))
    }


class LabelTable:
    """The rows of silver.ticket_labels, changed in memory and put in place by whole days.

    fence: that of the lock under which they are put.
    """

    def __init__(self, store: ObjectStore, gate: Gate, fence: Fence) -> None:
        self._store = store
        self._gate = gate
        self._fence = fence
        # None: of tickets that nobody knows the day of.
        self._days: dict[date | None, dict[str, Row]] = {}
        self._day_of: dict[str, date | None] = {}
        self._touched: set[date | None] = set()
        table = opened_table(store, TICKET_LABELS)
        if table is not None:
            check_types(table, arrow_schema(TICKET_LABELS))
            for row in _rows(table, TICKET_LABELS, TICKET_LABELS.column_names):
                self._add(row)

    def row(self, ticket_id: str) -> Row | None:
        if ticket_id not in self._day_of:
            return None
        return self._days[self._day_of[ticket_id]][ticket_id]

    @property
    def ticket_ids(self) -> frozenset[str]:
        return frozenset(self._day_of)

    def put(self, row: Row) -> None:
        self.drop(row["ticket_id"])
        self._add(row)
        self._touched.add(row["opened_date"])

    def drop(self, ticket_id: str) -> None:
        """Nothing happens where the ticket has no row."""
        if ticket_id not in self._day_of:
            return
        day = self._day_of.pop(ticket_id)
        del self._days[day][ticket_id]
        self._touched.add(day)

    def _add(self, row: Row) -> None:
        self._days.setdefault(row["opened_date"], {})[row["ticket_id"]] = row
        self._day_of[row["ticket_id"]] = row["opened_date"]

    def publish(self) -> None:
        """Check the days that changed and put them in place in one commit; none: no commit.

        Raises GateFailed, LeaseHeld where the lock was lost, and LakeError where others commit to
        the table all the time.
        """
        import pyarrow as pa

        days = sorted(self._touched, key=str)
        if not days:
            return
        rows = [row for day in days for _, row in sorted(self._days.get(day, {}).items())]
        # A ticket has one place in memory, so that no key can come twice.
        found = summary(TICKET_LABELS, rows)
        known = [day for day in days if day is not None]
        self._gate.check_summary(TICKET_LABELS, found, known, duplicates=0)
        self._write(pa.Table.from_pylist(rows, arrow_schema(TICKET_LABELS)), days)
        self._touched.clear()

    def _write(self, rows: pa.Table, days: Sequence[PartitionValue]) -> None:
        from deltalake.exceptions import CommitFailedError

        replaced = values_predicate("opened_date", days)
        for attempt in range(WRITE_ATTEMPTS):
            try:
                table = label_table(self._store, self._fence)
                write_rows(table, rows, self._gate.build_id, replaced, self._fence)
                return
            except CommitFailedError as error:  # files were joined meanwhile
                log.info("labels were not committed in attempt %d: %s", attempt + 1, error)
                time.sleep(random.uniform(0, 0.1 * 2**attempt))
        raise LakeError(
            f"{TICKET_LABELS.name} could not be written in {WRITE_ATTEMPTS} attempts: other "
            "processes commit to it all the time.\n"
            "  Run the command again: it goes on where it stopped."
        )


def summary(table: Table, rows: Sequence[Row]) -> dict[str, float]:
    """What the table's gate judges: rows, and per check on rows how many break it."""
    counts = {
        name: sum(_breaks(check, row) for row in rows)
        for name, check in named_checks(table).items()
        if check.is_row_rule
    }
    return {ROW_COUNT: len(rows), **counts}


def _breaks(check: Check, row: Row) -> bool:
    value = row[check.columns[0]]
    match check.rule:
        case "not_null":
            return value is None
        case "in_set":
            return value is not None and value not in check.values
        case "matches":
            return value is not None and re.fullmatch(check.pattern, value) is None
    raise ValueError(f"{check.name} is not known here")


def label_table(store: ObjectStore, fence: Fence) -> DeltaTable:
    """silver.ticket_labels, made where it does not exist."""
    return declared_table(store, TICKET_LABELS, {"delta.checkpointInterval": "10"}, fence)


def _rows(table: DeltaTable, declared: Table, columns: Iterable[str]) -> Iterator[Row]:
    for batch in delta_rows(table, arrow_schema(declared, columns)).to_batches(
        max_chunksize=ROWS_AT_ONCE
    ):
        yield from batch.to_pylist()
