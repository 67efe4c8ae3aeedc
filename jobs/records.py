"""`lmslake records`: school records from bronze to silver and gold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobs.build import print_progress
from jobs.cli import run
from jobs.records_quarantine import command as quarantine_command
from jobs.records_quarantine import print_asides
from jobs.records_send import command as send_command
from jobs.records_stream import command as stream_command

if TYPE_CHECKING:
    from lake.pipelines.records.again import Again
    from lake.pipelines.records.build import RecordsReport
    from lake.progress import Progress
    from lake.settings import Settings


@click.group()
def command() -> None:
    """Take landed files of school records to dimensions, facts and gold.

    `lmslake land` brings files to bronze as they are; what happens to their rows from there on is
    written in docs/cleaning-rules.md.
    """


@command.command("build")
@click.option("--rederive", is_flag=True, help="Derive all of gold anew, new files or not.")
def build_command(*, rederive: bool) -> None:
    """Clean new rows and take them to the tables of silver, and to gold what follows from them.

    Takes the landed files that no build has taken. Which files come first makes no difference:
    of several versions of a record the newest is in force, and the history of a student follows
    from the times that the registers tell. A row that cannot be cleaned is in quarantine with its
    reason; one whose student or course is not known yet is held until a build takes that one. One
    with a date whose day and month cannot be told apart is kept without it, with a flag. The
    most frequent reasons are told at the end, each with a file and line; `lmslake records
    quarantine` shows the rows. Building again changes no row.

    Gold changes on the days, in the months and of the students that the files change. Where the
    rules of risk (LMSLAKE_RISK_…) are others than before, all days are judged anew, new files or
    not.

    \b
    Examples:
      lmslake land && lmslake records build
      lmslake records quarantine list
      lmslake sql "SELECT * FROM gold.student_risk_monitor ORDER BY as_of_date DESC LIMIT 20"
      LMSLAKE_RISK_ATTENDANCE_BELOW=0.9 lmslake records build
      spark-submit --properties-file $(lmslake spark-conf) jobs/records.py build

    Exit code 0: built, or nothing to do; 1: a gate stopped a table, or another fault.
    """
    from lake.settings import Settings

    settings = Settings.from_env()
    report = build_landed(print_progress, rederive=rederive)
    if report is None:
        click.echo(_nothing_to_build(settings))
        return
    print_report(report)
    print_asides(settings, report)


def _nothing_to_build(settings: Settings) -> str:
    from lake.pipelines.records.contents import landed_contents
    from lake.storage import open_store

    if landed_contents(open_store(settings)):
        return "Nothing to build: every landed file is in the tables already."
    return (
        f"Nothing to build: no file was landed yet. Put files into {settings.landing_zone}, then:\n"
        "  lmslake land && lmslake records build\n"
        "Files of a made-up school, to try it with:\n"
        f"  lmslake school {settings.landing_zone}"
    )


def print_report(report: RecordsReport) -> None:
    """Say what became of the rows of each source, and which rows of gold changed."""
    for told in report.sources:
        again = f" and {told.replayed:,} quarantined" if told.replayed else ""
        reread = f", {told.reread:,} read again for their dates" if told.reread else ""
        undated = f", {told.undated:,} without a date that can be told" if told.undated else ""
        click.echo(
            f"{told.source}: {told.rows:,} rows; {told.taken:,} new, "
            f"{told.superseded:,} superseded, {told.duplicates:,} duplicates, "
            f"{told.quarantined:,} quarantined, {told.held:,} held{undated}; {told.released:,} of "
            f"them were held{again} before{reread}; {len(told.days):,} days changed"
        )
    for published in report.gold:
        click.echo(str(published))
    click.echo(f"build {report.build_id}: {report.files:,} files; {report.seconds:.1f} s")


def build_landed(
    progress: Progress, *, rederive: bool = False, again: Again | None = None
) -> RecordsReport | None:
    """Build in a session of its own; starts none where there is nothing to do.

    again: what of quarantine is to be judged again.
    """
    from lake.pipelines.opened import open_lake
    from lake.pipelines.records.build import build_records
    from lake.pipelines.records.contents import has_work, is_little
    from lake.settings import Settings
    from lake.storage import existing_store

    settings = Settings.from_env()
    store = existing_store(settings)
    if not (rederive or again or has_work(store, settings.risk)):
        return None
    settings.key()
    progress("starting Spark")
    with open_lake(settings, "lmslake records build", grows=not is_little(store)) as lake:
        return build_records(
            lake, settings.school, progress, settings.risk, rederive=rederive, again=again
        )


command.add_command(quarantine_command)
command.add_command(send_command)
command.add_command(stream_command)

if __name__ == "__main__":
    run(command)
