"""Which lock the writers of a table hold while they change what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.tables import TABLES
from schemas.tables.records import LANDED_FILES, RECORDS
from schemas.tables.records_gold import RECORDS_GOLD
from schemas.tables.records_silver import RECORD_BUILDS, RECORDS_SILVER
from schemas.tables.restricted import RESTRICTED
from schemas.tables.silver import DIM_CHAPTERS
from schemas.tables.student_360 import STUDENT_360
from schemas.tables.tickets import TICKET_LABELS

if TYPE_CHECKING:
    from schemas.table import Table

# Writers only append to these: a compaction does not disturb them.
APPENDED_TO = frozenset(
    {"bronze.raw_objects", LANDED_FILES.name, *(table.name for table in RECORDS.values())}
)
BUILD_LOCK = "build"
OTHER_LOCKS = {
    **{table.name: "records" for table in (*RECORDS_SILVER, *RECORDS_GOLD, *RESTRICTED)},
    RECORD_BUILDS.name: "records",
    STUDENT_360.name: "picture",
    TICKET_LABELS.name: "tickets",
    DIM_CHAPTERS.name: "catalog",
}


def lock_of(table: Table) -> str | None:
    """The lock's name; None for a table that is only appended to."""
    return None if table.name in APPENDED_TO else OTHER_LOCKS.get(table.name, BUILD_LOCK)


def tables_of(lock: str) -> tuple[Table, ...]:
    """The tables whose writers hold the lock."""
    return tuple(table for table in TABLES.values() if lock_of(table) == lock)
