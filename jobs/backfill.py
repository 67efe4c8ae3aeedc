"""`lmslake backfill`: a range of dates, one after the other."""

from __future__ import annotations

from datetime import datetime

import click

from jobs.build import DAY, days_between, print_progress
from jobs.cli import run


@click.command()
@click.option("--from", "first", type=DAY, required=True, help="First date.")
@click.option("--to", "last", type=DAY, required=True, help="Last date.")
@click.option("--reset", is_flag=True, help="Rebuild each date from all of its raw objects.")
@click.option("--restart", is_flag=True, help="With --reset: forget what an earlier run did.")
def command(first: datetime, last: datetime, reset: bool, restart: bool) -> None:
    """Build a range date by date; the result equals one build over the whole range.

    A date that fails is reported and the next one is taken; the exit code is then 1. The same
    command again goes on with what is left. Without --reset only raw objects that no build has
    taken are read; with it a date's rows are computed anew from all of its raw objects and
    replaced in one commit.

    \b
    Examples:
      lmslake backfill --from 2025-11-01 --to 2025-11-30
      lmslake backfill --from 2025-11-01 --to 2025-11-30 --reset
      spark-submit --properties-file $(lmslake spark-conf) \\
        jobs/backfill.py --from 2025-11-01 --to 2025-11-30
    """
    from lake.pipelines.backfill import backfill
    from lake.pipelines.opened import open_lake
    from lake.settings import Settings
    from lake.storage import existing_store

    if restart and not reset:
        raise click.UsageError("--restart belongs to --reset.")
    days = days_between(first, last)
    settings = Settings.from_env()
    existing_store(settings)
    with open_lake(settings, "lmslake backfill") as lake:
        outcome = backfill(lake, days, reset=reset, restart=restart, progress=print_progress)
    click.echo(
        f"{len(outcome.built)} dates built, {len(outcome.unchanged)} had nothing to build, "
        f"{len(outcome.failed)} failed."
    )
    for day, message in outcome.failed.items():
        click.echo(f"\n{day}: {message}", err=True)
    if outcome.repair_fault:
        click.echo(f"\nLeft by an unfinished build: {outcome.repair_fault}", err=True)
    if outcome.failed or outcome.repair_fault:
        click.echo("\nAfter a fix, the same command goes on with these dates.", err=True)
        raise SystemExit(1)


if __name__ == "__main__":
    run(command)
