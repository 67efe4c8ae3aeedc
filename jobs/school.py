"""`lmslake school`: the files of a made-up school, to try landing and the tables with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.build import print_progress
from jobs.cli import run
from lake.errors import LakeError

if TYPE_CHECKING:
    from lake.settings import Settings

DAYS_PER_TEST, DAYS_PER_FILE = 5, 30
STUDENTS, CAMPUS_STUDENTS = 120, 80


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--students",
    type=click.IntRange(min=1),
    help=f"Students. Default: {STUDENTS}; {CAMPUS_STUDENTS}, as the demo has, with --campus.",
)
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Calendar days that the files tell of, from 2025-09-01.",
)
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same files.")
@click.option(
    "--faults/--clean", "has_faults", default=True, show_default=True,
    help="Files of all seven sources with every fault that exports have; or clean ones, of "
    "students, attendance and assessments, of any size.",
)  # fmt: skip
@click.option(
    "--campus",
    "is_campus",
    is_flag=True,
    help="Make it the school of the students of `lmslake demo`: ids as their events have them.",
)
def command(
    folder: Path, students: int | None, days: int, seed: int, has_faults: bool, is_campus: bool
) -> None:
    """Write the files of a made-up school into FOLDER, to try landing and the tables with.

    Nobody in it exists. With --faults (at least 24 students and 19 days) ids, dates, numbers and
    words are spelled in many ways, rows are doubled, corrected and contradicted, some name
    students and courses that come later or never; encodings and separators change from file to
    file; some files came before under another name, and some cannot be read whole: landing puts
    those into failed/, says why, and ends with 1.

    FOLDER may be the landing zone itself. It must hold no files.

    With --campus records meet the behaviour of the demo's campus in `lmslake picture build`, once
    LMSLAKE_STUDENT_ID_PREFIX and _WIDTH are set as it says at its end.

    \b
    Examples:
      lmslake school lake-data/landing && lmslake land
      lmslake school demo-data/landing --campus
      lmslake school big --clean --students 10000 --days 365
    """
    from lake.settings import Settings

    if is_campus and not has_faults:
        raise click.UsageError("--campus makes a school with faults: leave --clean out.")
    if next((path for path in folder.rglob("*") if path.is_file()), None):
        raise LakeError(
            f"{folder} has files already.\n"
            "  Name a new folder, or one that is empty: nothing of yours is written over."
        )
    settings = Settings.from_env()
    count = students or (CAMPUS_STUDENTS if is_campus else STUDENTS)
    if has_faults:
        _write_with_faults(folder, count, days, seed, is_campus)
    else:
        _write_clean(folder, count, days, seed)
    _say_what_next(folder, settings, is_campus)


def _write_with_faults(folder: Path, students: int, days: int, seed: int, is_campus: bool) -> None:
    from lake.school import write_school

    print_progress(f"making a school of {students:,} students and {days:,} days")
    deliveries = write_school(folder, students, days, seed=seed, is_campus=is_campus).deliveries
    rows = sum(delivery.rows or 0 for delivery in deliveries if delivery.lands)
    copies = sum(delivery.same_as is not None for delivery in deliveries)
    refused = sum(delivery.fails is not None for delivery in deliveries)
    click.echo(
        f"{len(deliveries):,} files with {rows:,} rows are in {folder}; {copies} are copies "
        f"under other names, and {refused} cannot be read whole."
    )


def _write_clean(folder: Path, students: int, days: int, seed: int) -> None:
    from lake.school import START
    from lake.school.bulk import write_assessments, write_attendance, write_register
    from lake.school.life import school_days

    at_school = max(1, len(school_days(START, days).days))
    tests = max(1, at_school // DAYS_PER_TEST)
    print_progress(f"register: {students:,} rows")
    parts = [write_register(folder, students, START)]
    print_progress(f"attendance: {students * at_school:,} rows")
    months = -(-days // DAYS_PER_FILE)
    parts.append(
        write_attendance(folder, students * at_school, students, START, seed, files=months)
    )
    print_progress(f"assessments: {students * tests:,} rows")
    parts.append(write_assessments(folder, students * tests, students, START, seed))
    files = sum(len(part.files) for part in parts)
    click.echo(f"{files:,} files with {sum(part.rows for part in parts):,} rows are in {folder}.")


def _say_what_next(folder: Path, settings: Settings, is_campus: bool) -> None:
    is_zone = not settings.landing_zone.startswith("s3a://") and (
        folder.resolve() == Path(settings.landing_zone).expanduser().resolve()
    )
    zone = "" if is_zone else f" --zone {shlex.quote(str(folder))}"
    click.echo("Next:")
    click.echo(f"  lmslake land{zone}")
    if settings.pseudonym_key is None and settings.pseudonym_key_file is None:
        click.echo(
            "  openssl rand -hex 32 > lake.key && export LMSLAKE_PSEUDONYM_KEY_FILE=lake.key"
        )
    if is_campus:
        from lake.school.campus import CONVENTION

        click.echo(f"  export {' '.join(f'{name}={value}' for name, value in CONVENTION.items())}")
    click.echo("  lmslake records build")
    if is_campus:
        click.echo("  lmslake picture build && lmslake show student-360 --limit 10")
    click.echo("  lmslake show class-statistics")
    click.echo("  lmslake audit --only records")


if __name__ == "__main__":
    run(command)
