"""Law 1 on a live lake: what entered is in raw or quarantine once, and raw is in silver once."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import date
from typing import TYPE_CHECKING

from lake.audit_objects import note_faults, object_faults
from lake.audit_outcome import Audit, Line
from lake.audit_silver import DIGEST_MODULUS, compare_with_silver
from lake.audit_sources import check_sources
from lake.ingest import noted_sources
from lake.ledger import Ledger, LedgerRow, ledger_rows
from lake.pipelines.journal import Journal
from lake.query import connect
from lake.storage import existing_store

if TYPE_CHECKING:
    from lake.settings import Settings


def audit(settings: Settings, dates: Sequence[date] | None = None) -> Audit:
    """Prove law 1 by reading every raw object of the dates (of all dates with None) again.

    What lies in quarantine is read, too. Needs no Spark. Counts, contents and an order-independent
    digest of event ids are compared between the ledger, the raw objects and silver; nothing that a
    build wrote down about its own work is believed but which objects it took.
    """
    store = existing_store(settings)
    ledger = Ledger(store)
    # Before the ledger: a file that is taken meanwhile is noted after its last commit.
    noted = list(noted_sources(store))
    everything = ledger_rows(ledger.rows(dates=None, is_quarantine=None))
    outcome = Audit()
    outcome.faults += note_faults(noted, check_sources(everything, outcome))
    wanted = None if dates is None else set(dates)
    raw = [r for r in everything if not r.is_quarantine and (wanted is None or r.date in wanted)]
    journal = Journal(store)
    applied = frozenset(journal.applied_paths())
    of_dates = [r for r in everything if wanted is None or r.date in wanted]
    outcome.faults += object_faults(store, of_dates, applied)
    lines = _lines(raw, applied)
    present = [r for r in raw if r.path in applied and store.exists(r.path)]
    if present:
        connection = connect(settings)
        try:
            compare_with_silver(connection, store, settings, present, journal, lines, outcome)
        finally:
            connection.close()
    outcome.lines = [lines[key] for key in sorted(lines)]
    return outcome


def _lines(raw: Sequence[LedgerRow], applied: Set[str]) -> dict[tuple[date, str], Line]:
    lines: dict[tuple[date, str], Line] = {}
    for row in raw:
        line = lines.setdefault((row.date, row.topic), Line(row.topic, row.date))
        if row.path in applied:
            line.raw += row.record_count
            line.raw_digest = (line.raw_digest + int(row.id_digest or 0)) % DIGEST_MODULUS
        else:
            line.pending += row.record_count
    return lines
