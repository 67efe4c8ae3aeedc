"""`lmslake picture`: one student's whole picture, as of the end of a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from jobs.build import DAY, days_between, print_progress
from jobs.cli import run
from schemas.tables.student_360 import BEHAVIOUR_DAYS

if TYPE_CHECKING:
    from lake.pipelines.meeting import Meeting
    from lake.pipelines.picture import PictureReport
    from lake.progress import Progress


@click.group()
def command() -> None:
    """Put behaviour and school records of each student side by side, as of a day.

    Records and behaviour meet in the student's pseudonym, so both must write ids the same way:
    LMSLAKE_STUDENT_ID_PREFIX and LMSLAKE_STUDENT_ID_WIDTH tell records how the LMS writes them.
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

    It says how many of the students with events are in the register, and warns where none is.

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
    from lake.pipelines.meeting import meeting
    from lake.settings import Settings

    print_meeting(meeting(Settings.from_env()))


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


def print_meeting(found: Meeting | None) -> None:
    """Nothing where one side is missing: then nobody can meet."""
    if found is None:
        return
    click.echo(
        f"Students with events in the {BEHAVIOUR_DAYS} days to {found.newest}: {found.active:,}; "
        f"the register knows {found.known:,} of them."
    )
    if found.is_missed:
        form = " ".join(f"{name}={value}" for name, value in found.id_form.items())
        click.echo(
            f"Warning: none of the {found.registered:,} students of the register has events there: "
            "behaviour and records are in pictures apart.\n"
            "  Records must write ids of students as the LMS sends them with events. They are "
            f"written by\n  {form or 'LMSLAKE_STUDENT_ID_PREFIX, LMSLAKE_STUDENT_ID_WIDTH'}\n"
            "  How to change that in a lake that has records: docs/runbook.md, "
            '"A convention changed".',
            err=True,
        )


def build_days(dates: Sequence[date] | None, progress: Progress) -> PictureReport | None:
    """Build in a session of its own; starts none where there is nothing to do."""
    from lake.pipelines.opened import open_lake
    from lake.pipelines.picture_days import pending_pictures
    from lake.pipelines.records.contents import is_little
    from lake.settings import Settings
    from lake.storage import existing_store

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
