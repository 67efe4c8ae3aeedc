"""What the demo shows at its end: the tables, and that the faults put in are the faults found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lake.campus import Campus
    from lake.ingest import FileReport
    from lake.settings import Settings

# Raw objects are named after the first 16 digits of their source's hash.
SOURCE_DIGITS = 16
FOUND_IN_SILVER = f"""
    WITH campus AS (SELECT unnest($sources) AS source)
    SELECT
        count(*) AS events,
        count(DISTINCT session_id) AS sessions,
        count(*) FILTER (tz_assumed) AS without_offset
    FROM silver.events
    WHERE left(parse_filename(_raw_path), {SOURCE_DIGITS}) IN (FROM campus)
"""
REJECTED_IN_SILVER = f"""
    WITH campus AS (SELECT unnest($sources) AS source)
    SELECT count(*) FILTER (reason = 'conflicting_duplicate') AS conflicting, count(*) AS rejected
    FROM silver.quarantine
    WHERE left(parse_filename(_raw_path), {SOURCE_DIGITS}) IN (FROM campus)
"""


def print_tables(settings: Settings) -> None:
    """Rows per table that is written."""
    from jobs.tables import last_changes, row_counts

    written = row_counts(settings, list(last_changes(settings)))
    click.echo(f"\n{'Table':<38}{'rows':>9}")
    for name, count in written.items():
        click.echo(f"  {name:<36}{count:>9,}")


def print_findings(settings: Settings, campus: Campus, sources: Sequence[str]) -> bool:
    """Print what the campus holds against what the lake found of it; whether all agree."""
    expected, found = expectations(campus), findings(settings, sources)
    click.echo(f"\n{'Campus':<38}{'expected':>9}{'found':>9}")
    is_right = True
    for name in dict.fromkeys((*expected, *found)):
        wanted, got = expected.get(name, 0), found.get(name, 0)
        differs = "" if wanted == got else "  <- differs"
        is_right &= wanted == got
        click.echo(f"  {name:<36}{wanted:>9,}{got:>9,}{differs}")
    click.echo(
        f"  (among them, no fault: {campus.late:,} events in files of later days, "
        f"{campus.with_local_offset:,} at +05:30,\n   {campus.exact_gaps} pauses of exactly "
        f"30:00.000, {campus.midnight_sessions} sessions over midnight UTC)"
    )
    return is_right


def print_inputs(settings: Settings, reports: Sequence[FileReport]) -> None:
    """Per file that was given: how many records it has, and what of it is in quarantine, and why.

    By the ledger, so that a file that was taken before is told the same.
    """
    from lake.ledger import Ledger, reason_counts
    from lake.storage import open_store

    if not reports:
        return
    refused: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in Ledger(open_store(settings)).live_quarantine():
        refused[row.topic, row.source].update(reason_counts(row))
    click.echo(f"\n{'Input':<38}{'records':>9}")
    for report in reports:
        click.echo(f"  {Path(report.name).name[-36:]:<36}{report.records:>9,}")
        for reason, count in sorted(refused[report.topic, report.source].items()):
            click.echo(f"    {f'quarantined: {reason}':<34}{count:>9,}")


def expectations(campus: Campus) -> dict[str, int]:
    """Name → count as the campus was made."""
    return {
        "records sent": campus.records,
        **{f"quarantined: {reason}": count for reason, count in campus.rejected.items()},
        "identical duplicates": campus.identical_duplicates,
        "conflicting duplicates": campus.conflicting_duplicates,
        "events in silver": campus.events,
        "  without offset, read as UTC": campus.without_offset,
        "sessions": campus.sessions,
    }


def findings(settings: Settings, sources: Sequence[str]) -> dict[str, int]:
    """The same names → counts, from the ledger and the tables; only of the given files."""
    from lake.ledger import Ledger, ledger_rows, reason_counts
    from lake.query import connect, readable_errors
    from lake.storage import open_store

    ledger = Ledger(open_store(settings))
    kept = [row for row in ledger_rows(ledger.rows()) if row.source in sources]
    refused = [row for row in ledger.live_quarantine() if row.source in sources]
    reasons: Counter[str] = Counter()
    for row in refused:
        reasons.update(reason_counts(row))
    raw_count = sum(row.record_count for row in kept)
    given = {"sources": [source[:SOURCE_DIGITS] for source in sources]}
    with connect(settings) as connection, readable_errors():
        events, sessions, without = connection.execute(FOUND_IN_SILVER, given).fetchall()[0]
        conflicting, rejected = connection.execute(REJECTED_IN_SILVER, given).fetchall()[0]
    return {
        "records sent": raw_count + reasons.total(),
        **{f"quarantined: {reason}": count for reason, count in sorted(reasons.items())},
        "identical duplicates": raw_count - events - rejected,
        "conflicting duplicates": conflicting,
        "events in silver": events,
        "  without offset, read as UTC": without,
        "sessions": sessions,
    }
