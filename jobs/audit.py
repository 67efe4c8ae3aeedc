"""`lmslake audit`: prove that no record was lost or doubled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from jobs.build import DAY, days_between, print_progress
from jobs.cli import run

if TYPE_CHECKING:
    from lake.audit_outcome import Audit
    from lake.audit_records import RecordsAudit
    from lake.landing.zone import Zone
    from lake.settings import Settings

LEFT = ("topic", "source", "date", "")
# Of the widest table: in a pipe it would be cut to 80 columns.
WIDTH = 160
RECORD_HEADINGS = (
    "source", "files", "compared", "gone", "rows", "in bronze", "in force", "outdone",
    "quarantined", "held", "missing", "pending", "",
)  # fmt: skip
HEADINGS = ("topic", "date", "raw", "events", "duplicates", "quarantined", "missing", "pending", "")


def print_audit(outcome: Audit) -> None:
    """A small table per topic and date, then the faults."""
    click.echo(
        f"{outcome.received:,} records came from {outcome.sources:,} sources; "
        f"{outcome.rejected:,} of them are in quarantine."
    )
    rows = [
        (
            line.topic,
            str(line.day),
            *_counts(line.raw, line.events, line.duplicates, line.quarantined, line.missing),
            *_counts(line.pending),
            _verdict(line.is_proven),
        )
        for line in outcome.lines
    ]
    _print_table(HEADINGS, rows)
    of_lines = [(f"{line.topic} {line.day}", line.faults) for line in outcome.lines]
    _print_faults(outcome.faults, of_lines)


def print_records(outcome: RecordsAudit) -> None:
    """A small table per source of school records, then what to know, then the faults."""
    rows = [
        (
            line.source,
            *_counts(line.files, line.compared, line.gone),
            *_counts(line.rows, line.in_bronze, line.in_force, line.outdone),
            *_counts(line.quarantined, line.held, line.missing, line.pending),
            _verdict(line.is_proven),
        )
        for line in outcome.lines
    ]
    _print_table(RECORD_HEADINGS, rows)
    for note in outcome.notes:
        click.echo(f"  {note}")
    _print_faults(outcome.faults, [(line.source, line.faults) for line in outcome.lines])


def _counts(*counts: int) -> tuple[str, ...]:
    return tuple(f"{count:,}" for count in counts)


def _verdict(is_proven: bool) -> str:
    return "ok" if is_proven else "DIFFERS"


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in LEFT else "right")
    for row in rows:
        table.add_row(*row)
    if rows:
        Console(highlight=False, width=WIDTH).print(table)


def _print_faults(faults: Sequence[str], of_lines: Sequence[tuple[str, Sequence[str]]]) -> None:
    named = (f"{name}: {fault}" for name, of_line in of_lines for fault in of_line)
    for fault in (*faults, *named):
        click.echo(f"  {fault}", err=True)


@click.command()
@click.option("--from", "first", type=DAY, help="First date of events; all dates without it.")
@click.option("--to", "last", type=DAY, help="Last date of events.")
@click.option(
    "--only", type=click.Choice(["events", "records"]), help="Only events, or school records."
)
@click.option(
    "--zone", metavar="PATH|s3a://…", help="Landing zone of records. Default: LMSLAKE_LANDING."
)
def command(
    first: datetime | None, last: datetime | None, only: str | None, zone: str | None
) -> None:
    """Prove that no record was lost or doubled, from the files to silver.

    Events: reads every raw object again and compares, per topic and date, counts, bodies and a
    digest of the event ids: raw = events + duplicates + quarantined + missing. Records that no
    build has taken yet are pending. Every object in quarantine is read, too, and each file that
    was taken must be in the ledger from its first record to its last.

    School records: the files that landings moved to processed/ in the landing zone are read again,
    one at a time. Each is noted in bronze.landed_files, bronze.<source> holds its rows, cell by
    cell, and each file in failed/ has its reason. Of the files, compared are those, and gone are
    the ones that lie there no more: you removed them, or landed them from elsewhere. Ranges of
    messages from Kafka are neither.

    Per source, each content has all of its rows in bronze, once, and rows = in force + outdone +
    quarantined + held + missing + pending. In force are rows that rows of silver come from; each of
    those, of silver.records_quarantine and of silver.records_held, must come from one row of
    bronze. What is in none of them must be outdone: a newer row of its key is in force, or the same
    one is, or is in quarantine as conflicting. To see that, those rows alone are cleaned again,
    with Spark, under the settings that are in force now. Counts of builds are not believed. Builds
    of records wait meanwhile; landings go on. What a killed landing left to the next one is told,
    and is no difference. Dates choose events alone.

    Exit code 0: proven; 1: there is a difference.
    """
    from jobs.land import named_zone
    from lake.settings import Settings

    if only == "records" and (first or last):
        raise click.UsageError("--from and --to choose dates of events.")
    if zone and (only == "events" or first or last):
        raise click.UsageError("--zone is of school records, which are not audited then.")
    settings = Settings.from_env()
    named = named_zone(settings, zone) if zone else None
    dates = None if first is None and last is None else days_between(first, last)
    is_proven = only == "records" or _audit_events(settings, dates)
    if only != "events" and dates is None:
        is_proven = _audit_records(settings, named) and is_proven
    if not is_proven:
        click.echo("There are differences: see above, and docs/runbook.md.", err=True)
        raise SystemExit(1)
    click.echo("Nothing is lost and nothing is doubled.")


def _audit_events(settings: Settings, dates: Sequence[date] | None) -> bool:
    from lake.audit import audit

    outcome = audit(settings, dates)
    print_audit(outcome)
    return outcome.is_proven


def _audit_records(settings: Settings, zone: Zone | None) -> bool:
    from lake.audit_records import audit_records

    outcome = audit_records(settings, tell=print_progress, zone=zone)
    print_records(outcome)
    return outcome.is_proven


if __name__ == "__main__":
    run(command)
