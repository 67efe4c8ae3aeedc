"""Which raw objects wait for a build, and how many one pass takes. Needs no Spark session."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

from lake.pipelines.received import RawObject

if TYPE_CHECKING:
    from lake.ledger import Ledger
    from lake.pipelines.journal import Journal

# One pass takes at most this much compressed raw data; a larger range is cut between days.
PASS_BYTES = 1024**3

# Less compressed raw data than this (~100,000 events) in the whole lake: see is_small.
SMALL_LAKE_BYTES = 8 * 1024**2


def is_small(ledger: Ledger) -> bool:
    """Whether the whole lake is so small that compiling for speed costs more than it gives."""
    return sum(item.bytes for item in raw_objects(ledger, None)) < SMALL_LAKE_BYTES


def raw_objects(ledger: Ledger, dates: Sequence[date] | None) -> list[RawObject]:
    """Raw objects of the ledger, of the dates or of all, in the order of their paths."""
    columns = [field.name for field in dataclasses.fields(RawObject)]
    rows = ledger.rows(dates=dates, is_quarantine=False).select(columns).to_pylist()
    return sorted((RawObject(**row) for row in rows), key=lambda item: item.path)


def pending_objects(
    ledger: Ledger, journal: Journal, dates: Sequence[date] | None = None
) -> list[RawObject]:
    """Raw objects that no finished build has taken and that are not held."""
    return waiting(raw_objects(ledger, dates), journal)


def waiting(objects: Iterable[RawObject], journal: Journal) -> list[RawObject]:
    """Those of the objects that no finished build has taken and that are not held."""
    applied = journal.applied_paths()
    held = frozenset[str]().union(*(build.paths for build in journal.held()))
    return [item for item in objects if item.path not in applied and item.path not in held]


def has_work(ledger: Ledger, journal: Journal, dates: Sequence[date] | None = None) -> bool:
    """Whether a build would do anything."""
    return bool(journal.unfinished() or pending_objects(ledger, journal, dates))


def passes(objects: Sequence[RawObject]) -> list[list[RawObject]]:
    """Cut objects into passes of whole days that stay below PASS_BYTES where a day does."""
    by_day: dict[date, list[RawObject]] = {}
    for item in objects:
        by_day.setdefault(item.date, []).append(item)
    cut: list[list[RawObject]] = []
    size = 0
    for _, items in sorted(by_day.items()):
        day_bytes = sum(item.bytes for item in items)
        if not cut or size + day_bytes > PASS_BYTES:
            cut.append([])
            size = 0
        cut[-1].extend(items)
        size += day_bytes
    return cut
