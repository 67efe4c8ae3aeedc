"""Leftovers of writers that died: objects that no commit names, temporary files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from lake.delta_reading import opened_table
from lake.ledger import Ledger, ledger_rows
from lake.maintenance.work import Outcome, Plan
from lake.raw_objects import Origin
from schemas.tables import TABLES
from schemas.tables.bronze import RAW_OBJECTS

if TYPE_CHECKING:
    from datetime import datetime

    from lake.storage import ObjectStore, StoredObject

ZONES = ("events/raw", "events/quarantine")
# Records that are too large to lie among others: named by a record, not by the ledger.
APART = re.compile(
    r"events/quarantine/(?P<topic>[^/]+)/date=[^/]+/(?P<origin>[^/]+)-(?P<offset>\d+)\.large"
)
# As LocalStore, delta-rs and Hadoop name what they write before they rename it.
TEMPORARY = re.compile(r"\.put-.*|_commit_.*\.tmp|\..*\.tmp(\.crc)?|.*#\d+")


# More than this is not what dead writers leave: rather, a part of the ledger is gone.
FEW_ORPHANS = 10
ORPHANS_SHARE = 0.1


class Committed:
    """What the ledger names."""

    def __init__(self, ledger: Ledger) -> None:
        rows = ledger.rows(is_quarantine=None)
        self._paths = frozenset(rows["path"].to_pylist())
        self.is_empty = not self._paths
        self._spans: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        for row in ledger_rows(rows.filter(rows["is_quarantine"])):
            origin = Origin(row.topic, row.source, row.partition)
            span = (row.first_offset, row.last_offset)
            self._spans[row.topic, origin.prefix].append(span)

    def names(self, key: str) -> bool:
        """Whether the ledger names the object, or one with a record that may name it."""
        if key in self._paths:
            return True
        apart = APART.fullmatch(key)
        if apart is None:
            return False
        offset = int(apart["offset"])
        spans = self._spans.get((apart["topic"], apart["origin"]), ())
        return any(first <= offset <= last for first, last in spans)


def sweep_zone(store: ObjectStore, zone: str, plan: Plan) -> Outcome | None:
    """Delete old objects of a zone that the ledger does not name; None without a ledger.

    So many that they cannot be the leftovers of dead writers are kept, and are a fault.
    """
    if opened_table(store, RAW_OBJECTS) is None:
        return None
    before = plan.now - plan.orphan_age
    committed = Committed(Ledger(store))
    files = size = young = 0
    orphans: list[StoredObject] = []
    for item in store.list_with_times(zone):
        files, size = files + 1, size + item.bytes
        if committed.names(item.key):
            continue
        if item.modified < before:
            orphans.append(item)
        else:
            young += 1
    if orphans:
        # What was committed while the zone was listed.
        committed = Committed(Ledger(store))
        orphans = [item for item in orphans if not committed.names(item.key)]
    kept = Outcome("sweep", zone, files, files, size, size)
    is_too_much = committed.is_empty or len(orphans) > max(FEW_ORPHANS, ORPHANS_SHARE * files)
    if orphans and is_too_much and not plan.is_forced:
        note = (
            f"{len(orphans):,} objects are not in the ledger; none was removed. Is the ledger "
            "whole (lmslake audit)? If it is: --only sweep --force"
        )
        return replace(kept, note=note, is_fault=True)
    removed = _removed(store, orphans, plan, before)
    return replace(
        kept,
        files_after=files - len(removed),
        bytes_after=size - sum(item.bytes for item in removed),
        changes=len(removed),
        note=f"{young:,} not committed, too young" if young else "",
    )


def _removed(
    store: ObjectStore, items: list[StoredObject], plan: Plan, before: datetime
) -> list[StoredObject]:
    """Remove what was not written since; gives what went, in a dry run what would go."""
    if plan.is_dry_run:
        return items
    return [item for item in items if store.delete_older(item.key, before)]


def sweep_temporary(store: ObjectStore, plan: Plan) -> Outcome:
    """Delete old files that a writer would have renamed, from the tables' logs and from gates/."""
    before = plan.now - plan.orphan_age
    found = list(_temporary_files(store))
    old = [item for item in found if item.modified < before]
    removed = _removed(store, old, plan, before)
    size = sum(item.bytes for item in found)
    return Outcome(
        "sweep",
        "temporary files",
        len(found),
        len(found) - len(removed),
        size,
        size - sum(item.bytes for item in removed),
        changes=len(removed),
    )


def _temporary_files(store: ObjectStore) -> Iterator[StoredObject]:
    for folder in ("gates", *(f"{table.path}/_delta_log" for table in TABLES.values())):
        for item in store.list_with_times(folder):
            if TEMPORARY.fullmatch(item.key.rpartition("/")[2]):
                yield item
