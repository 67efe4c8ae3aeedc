"""`lmslake picture`: one student's whole picture, as of the end of a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from jobs.build import DAY, days_between, print_progress
from jobs.cli import run

if TYPE_CHECKING:
    from lake.pipelines.build import Progress
    from lake.pipelines.picture import PictureReport


@click.group()
def command() -> None:
    """Put behaviour and school records of each student side by side, as of a day.

    Records and behaviour meet in the student's pseudonym, so both must write ids the same way.
    `lmslake show student-360` shows the pictures.
    """


@command.command("build")
@click.option("--as-of", "day", type=DAY, help="Picture of the end of this UTC day.")
@click.option("--from", "first", type=DAY, help="First day of a range.")
@click.option("--to", "last", type=DAY, help="Last day of a range.")
def build_command(day: datetime | None, first: datetime | None, last: datetime | None) -> None:
    """Derive gold.student_360 for days that have no picture yet, or one that is out of date.

    Without days: the newest day with facts or behaviour, and every day whose picture was derived
    before late events or records came. Nothing dated after a day enters its picture; afterwards
    every stored picture is what it would be if it were derived now. Building again changes no row.

    \b
    Examples:
      lmslake picture build
      lmslake picture build --as-of 2025-09-30
      lmslake picture build --from 2025-09-01 --to 2025-09-30
      spark-submit --properties-file $(lmslake spark-conf) jobs/picture.py build

    Exit code 0: built, or nothing to do; 1: the gate stopped the table, or another fault.
    """
    if day is not None and (first is not None or last is not None):
        raise click.UsageError("Give --as-of, or --from and --to.")
    dates: list[date] | None = None
    if day is not None:
        dates = [day.date()]
    elif first is not None or last is not None:
        dates = days_between(first, last)
    print_report(build_days(dates, print_progress))


def print_report(report: PictureReport | None) -> None:
    if report is None:
        click.echo("Nothing to build: the pictures are up to date.")
        return
    days = sorted(report.rows)
    span = f"{days[0]}" if len(days) == 1 else f"{len(days)} days, {days[0]} … {days[-1]}"
    click.echo(
        f"build {report.build_id}: {sum(report.rows.values()):,} pictures of {span}; "
        f"{report.seconds:.1f} s"
    )


def build_days(dates: Sequence[date] | None, progress: Progress) -> PictureReport | None:
    """Build in a session of its own; starts none where there is nothing to do."""
    from lake.pipelines.build import open_lake
    from lake.pipelines.picture_days import pending_pictures
    from lake.pipelines.records.contents import is_little
    from lake.query import existing_store
    from lake.settings import Settings

    settings = Settings.from_env()
    settings.key()
    store = existing_store(settings)
    if not pending_pictures(settings, dates).fingerprints:
        return None
    progress("starting Spark")
    from lake.pipelines.picture import build_pictures

    with open_lake(settings, "lmslake picture build", grows=not is_little(store)) as lake:
        return build_pictures(lake, dates, progress)


if __name__ == "__main__":
    run(command)
