"""`lmslake audit`: prove that no record was lost or doubled."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from jobs.build import DAY, days_between
from jobs.cli import run

if TYPE_CHECKING:
    from lake.audit import Audit

HEADINGS = ("topic", "date", "raw", "events", "duplicates", "quarantined", "missing", "pending", "")


def print_audit(outcome: Audit) -> None:
    """A small table per topic and date, then the faults."""
    from rich.console import Console
    from rich.table import Table

    click.echo(
        f"{outcome.received:,} records came from {outcome.sources:,} sources; "
        f"{outcome.rejected:,} of them are in quarantine."
    )
    table = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("topic", "date", "") else "right")
    for line in outcome.lines:
        counts = (line.raw, line.events, line.duplicates, line.quarantined, line.missing)
        verdict = "ok" if line.is_proven else "DIFFERS"
        cells = [f"{count:,}" for count in (*counts, line.pending)]
        table.add_row(line.topic, str(line.day), *cells, verdict)
    if outcome.lines:
        Console(highlight=False, soft_wrap=True).print(table)
    faults = [
        *outcome.faults,
        *(f"{line.topic} {line.day}: {fault}" for line in outcome.lines for fault in line.faults),
    ]
    for fault in faults:
        click.echo(f"  {fault}", err=True)


@click.command()
@click.option("--from", "first", type=DAY, help="First date; all dates without it.")
@click.option("--to", "last", type=DAY, help="Last date.")
def command(first: datetime | None, last: datetime | None) -> None:
    """Prove that no record was lost or doubled, from the files to silver.

    Reads every raw object again and compares, per topic and date, counts, bodies and a digest of
    the event ids: raw = events + duplicates + quarantined + missing. Records that no build has
    taken yet are pending. Exit code 0: proven; 1: there is a difference.
    """
    from lake.audit import audit
    from lake.settings import Settings

    dates = None if first is None and last is None else days_between(first, last)
    outcome = audit(Settings.from_env(), dates)
    print_audit(outcome)
    if not outcome.is_proven:
        click.echo("There are differences: see above, and docs/runbook.md.", err=True)
        raise SystemExit(1)
    click.echo("Nothing is lost and nothing is doubled.")


if __name__ == "__main__":
    run(command)
