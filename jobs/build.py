"""`lmslake build`: raw events to silver, gold and features."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import click

from jobs.cli import run

if TYPE_CHECKING:
    from lake.pipelines.build_pass import BuildReport
    from lake.progress import Progress

DAY = click.DateTime(["%Y-%m-%d"])


def days_between(first: datetime | None, last: datetime | None) -> list[date]:
    """Every day of the range, both ends included. Raises UsageError on a wrong range."""
    if first is None or last is None:
        raise click.UsageError("--from and --to belong together.")
    if last < first:
        raise click.UsageError(f"--from {first:%Y-%m-%d} lies after --to {last:%Y-%m-%d}.")
    return [first.date() + timedelta(days=n) for n in range((last - first).days + 1)]


def print_progress(text: str) -> None:
    click.echo(f"{datetime.now().astimezone():%H:%M:%S}  {text}", err=True)


def print_reports(reports: Sequence[BuildReport], held: int = 0) -> None:
    """Say what was built. `held`: raw objects that wait for a retry by hand."""
    for report in reports:
        if report.fault:
            click.echo(f"build {report.build_id}: held. {report.fault}")
            continue
        touched = sorted(report.touched.dates)
        days = f"{touched[0]} … {touched[-1]}" if touched else "none"
        click.echo(
            f"build {report.build_id}: {report.received_count:,} records, "
            f"{report.new_event_count:,} new events, {report.quarantined_count:,} quarantined; "
            f"{len(touched)} dates changed ({days}); {sum(report.seconds.values()):.1f} s"
        )
    if held:
        click.echo(f"{held:,} raw objects are held and not in the tables: lmslake held list")
    elif not reports:
        click.echo("Nothing to build: every raw object is in the tables already.")


@click.command()
@click.option("--date", "day", type=DAY, help="Build one date.")
@click.option("--from", "first", type=DAY, help="First date of a range.")
@click.option("--to", "last", type=DAY, help="Last date of a range.")
def command(day: datetime | None, first: datetime | None, last: datetime | None) -> None:
    """Take new raw events into silver, gold and features.

    Without dates, every date that has raw objects which no build has taken. Late events change
    the sessions and days that they touch, and nothing else; building again changes no row.
    Each layer is checked before readers see it: see `lmslake sql "SELECT * FROM
    bronze.gate_results"`.

    \b
    Examples:
      lmslake build
      lmslake build --date 2025-11-15
      lmslake build --from 2025-11-01 --to 2025-11-30
      spark-submit --properties-file $(lmslake spark-conf) jobs/build.py --date 2025-11-15

    Exit code 0: built, or nothing to do; 1: a gate stopped a table, or another fault.
    """
    if day is not None and (first is not None or last is not None):
        raise click.UsageError("Give --date, or --from and --to.")
    dates: list[date] | None = None
    if day is not None:
        dates = [day.date()]
    elif first is not None or last is not None:
        dates = days_between(first, last)
    print_reports(build_dates(dates, print_progress), held_objects())


def held_objects() -> int:
    """Raw objects that a gate stopped under the continuous query, and that wait for a retry."""
    from lake.pipelines.journal import Journal
    from lake.settings import Settings
    from lake.storage import existing_store

    held = Journal(existing_store(Settings.from_env())).held()
    return len(frozenset().union(*(build.paths for build in held)))


def build_dates(dates: Sequence[date] | None, progress: Progress) -> list[BuildReport]:
    """Build in a session of its own; starts none where there is nothing to do."""
    from lake.ledger import Ledger
    from lake.pipelines.build import build
    from lake.pipelines.journal import Journal
    from lake.pipelines.opened import open_lake
    from lake.pipelines.pending import has_work
    from lake.settings import Settings
    from lake.storage import existing_store

    settings = Settings.from_env()
    settings.key()
    store = existing_store(settings)
    if not has_work(Ledger(store), Journal(store), dates):
        return []
    progress("starting Spark")
    with open_lake(settings, "lmslake build") as lake:
        return build(lake, dates, progress=progress)


if __name__ == "__main__":
    run(command)
