"""Files of Delta tables that no version within the retention names, removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from lake.delta_reading import opened_table
from lake.maintenance.table_state import check_state, read_state
from lake.maintenance.work import Outcome, Plan

if TYPE_CHECKING:
    from lake.storage import ObjectStore, StoredObject
    from schemas.table import Table

# Hadoop writes `.NAME.crc` beside every file of a local folder.
CHECKSUM = ".crc"
# A continuous query that was stopped reads, when it goes on, the files of the commits that it has
# not seen. The log keeps commits for 30 days: as long must their files last.
READ_AS_STREAM = {"bronze.raw_objects": timedelta(days=30)}


def vacuum_table(store: ObjectStore, table: Table, plan: Plan) -> Outcome | None:
    """Delete old files that no version within the retention names; None without a table.

    A file goes when it was written before the retention began, and neither the newest version nor
    one that was the newest within the retention names it. So files of a writer that has not
    committed yet stay, and what died without a commit goes too. Raises UnreadableLogError.
    """
    # The folder is listed before the log is read: what is committed between the two is named.
    files = list(_files(store, table))
    newest = opened_table(store, table)
    if newest is None:
        return None
    state = read_state(store, table)
    check_state(state, newest)
    named = state.named(plan.now - plan.retention)
    written_before = plan.now - max(plan.retention, _shortest(table, plan))
    old = [
        item
        for item in files
        if item.modified < written_before and _data_file(table, item) not in named
    ]
    if not plan.is_dry_run:
        for item in old:
            store.delete(item.key)
    size, count = sum(item.bytes for item in files), _count(files)
    return Outcome(
        "vacuum",
        table.name,
        count,
        count - _count(old),
        size,
        size - sum(item.bytes for item in old),
        changes=len(old),
    )


def _count(files: list[StoredObject]) -> int:
    """Files but checksum files, which come and go with them."""
    return sum(1 for item in files if not item.key.endswith(CHECKSUM))


def _shortest(table: Table, plan: Plan) -> timedelta:
    return timedelta(0) if plan.is_forced else READ_AS_STREAM.get(table.name, timedelta(0))


def _files(store: ObjectStore, table: Table) -> Iterator[StoredObject]:
    """Everything of the table but its log."""
    start = f"{table.path}/"
    for item in store.list_with_times(table.path):
        if not item.key.removeprefix(start).startswith("_"):
            yield item


def _data_file(table: Table, item: StoredObject) -> str:
    """Path below the table's folder; for a checksum file (`.NAME.crc`) that of what it checks."""
    path = item.key.removeprefix(f"{table.path}/")
    folder, slash, name = path.rpartition("/")
    if name.startswith(".") and name.endswith(CHECKSUM):
        name = name[1:].removesuffix(CHECKSUM)
    return f"{folder}{slash}{name}"
