"""`lmslake maintain`: keep the files of a lake few, and none that nobody needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from jobs.build import print_progress
from jobs.cli import run

if TYPE_CHECKING:
    from lake.maintenance import Outcome

PARTS = ("optimize", "vacuum", "sweep", "ledger")
REMOVING = ("vacuum", "sweep")
MIB = 1 << 20


def chosen_parts(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> frozenset[str]:
    """Parts of `--only`, all without it. Raises BadParameter for an unknown one."""
    names = frozenset(PARTS if value is None else (name.strip() for name in value.split(",")))
    if unknown := sorted(names.difference(PARTS)):
        raise click.BadParameter(f"{', '.join(map(repr, unknown))}; choose of {', '.join(PARTS)}")
    return names


@click.command()
@click.option(
    "--only",
    "parts",
    metavar="PART[,PART…]",
    callback=chosen_parts,
    help="Only these parts: optimize, vacuum, sweep, ledger.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, change nothing.")
@click.option(
    "--min-files",
    type=click.IntRange(2),
    default=8,
    show_default=True,
    help="Small files of one day or partition that are worth a rewrite.",
)
@click.option(
    "--target-mb",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Size of the files that a rewrite makes; below half of it a file is small.",
)
@click.option(
    "--retention-days",
    type=click.FloatRange(0),
    default=7,
    show_default=True,
    help="How long vacuum keeps files that the tables do not use any more; 1 to 7.",
)
@click.option(
    "--orphan-age-hours",
    type=click.FloatRange(0),
    default=24,
    show_default=True,
    help="Age from which sweep takes what no commit names for a leftover; 1 or more.",
)
@click.option(
    "--wait-minutes",
    type=click.FloatRange(0),
    default=3,
    show_default=True,
    help="How long a writer at work is waited for before a table is left for later.",
)
@click.option(
    "--force", is_flag=True, help="Allow shorter ages, and to sweep any number of objects."
)
def command(
    parts: frozenset[str],
    dry_run: bool,
    min_files: int,
    target_mb: int,
    retention_days: float,
    orphan_age_hours: float,
    wait_minutes: float,
    force: bool,
) -> None:
    """Keep the files of the lake few, and none that nobody needs. No row changes.

    Run it once an hour or a day, beside builds, `lmslake stream`, `land` and archivers: it holds
    the lock of a table's writers for one commit at a time, and what is in use then is left for the
    next run. It needs no Spark.

    \b
    optimize  joins small files of each day or other partition; silver.events stay sorted by time,
              without the rows that deletion vectors hide, rows of landed files by their file
    vacuum    removes files that no version of the last --retention-days names, and what writers
              that died have left among a table's files
    sweep     removes objects of events/raw and events/quarantine that the ledger does not name,
              older than --orphan-age-hours, and forgotten temporary files
    ledger    optimize for the ledger, the list of landed files, the journals and the results of
              gates, a checkpoint, and the end of commits that are older than 30 days

    \b
    How short may --retention-days be? Longer than the longest query, build or pause of a reader:
    who still reads a version whose files are removed gets an error (no wrong rows), and time travel
    ends there. Files of the ledger stay 30 days after they were written, for a continuous query
    that was stopped. More than 7 days Delta does not remember.

    \b
    Examples:
      lmslake maintain --dry-run
      lmslake maintain
      lmslake maintain --only sweep --orphan-age-hours 48

    Exit code 0: done, or left for later (it says so); 1: a fault.
    """
    from lake.maintenance import Plan, maintain
    from lake.settings import Settings
    from lake.storage import existing_store

    plan = Plan(
        now=datetime.now(UTC),
        parts=parts,
        min_files=min_files,
        target_bytes=target_mb * MIB,
        retention=timedelta(days=retention_days),
        orphan_age=timedelta(hours=orphan_age_hours),
        patience=timedelta(minutes=wait_minutes),
        is_dry_run=dry_run,
        is_forced=force,
    )
    outcomes = list(maintain(existing_store(Settings.from_env()), plan, print_progress))
    print_outcomes(outcomes, is_dry_run=dry_run)
    if any(outcome.is_fault for outcome in outcomes):
        raise SystemExit(1)


def print_outcomes(outcomes: Sequence[Outcome], *, is_dry_run: bool) -> None:
    """A line per table or zone, then the sum of it."""
    lines = [_cells(outcome) for outcome in outcomes if outcome.files_before or outcome.note]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for part, subject, files, size, note in lines:
        counts = f"{files:>{widths[2]}}  {size:>{widths[3]}}"
        click.echo(f"{part:<8}  {subject:<{widths[1]}}  {counts}  {note}".rstrip())
    click.echo(_summary(outcomes, is_dry_run=is_dry_run))


def _cells(outcome: Outcome) -> tuple[str, str, str, str, str]:
    files, size = f"{outcome.files_before:,} files", _size(outcome.bytes_before)
    if outcome.changes and outcome.files_after != outcome.files_before:
        files = f"{outcome.files_before:,} → {outcome.files_after:,} files"
        size = f"{size} → {_size(outcome.bytes_after)}"
    note = f"FAILED: {outcome.note}" if outcome.is_fault else outcome.note
    return outcome.part, outcome.subject, files, size, note


def _summary(outcomes: Sequence[Outcome], *, is_dry_run: bool) -> str:
    changed = [outcome for outcome in outcomes if outcome.changes]
    left = [outcome.subject for outcome in outcomes if outcome.is_left]
    faults = sum(outcome.is_fault for outcome in outcomes)
    rest = f" Left for the next run: {', '.join(left)}." if left else ""
    if faults:
        rest += f" FAILED: {faults}; see above."
    if not changed:
        return f"Nothing was done.{rest}" if rest else "Nothing to do."
    joined = sum(_fewer(outcome) for outcome in changed if outcome.part not in REMOVING)
    removed = [outcome for outcome in changed if outcome.part in REMOVING]
    freed = sum(outcome.bytes_before - outcome.bytes_after for outcome in removed)
    if_real = "Were it no dry run: " if is_dry_run else ""
    return (
        f"{if_real}{joined:,} fewer files in use; {sum(map(_fewer, removed)):,} files "
        f"({_size(freed)}) removed.{rest}"
    )


def _fewer(outcome: Outcome) -> int:
    return outcome.files_before - outcome.files_after


def _size(count: int) -> str:
    if count < MIB:
        return f"{count / 1024:,.0f} KiB"
    return f"{count / MIB:,.1f} MiB"


if __name__ == "__main__":
    run(command)
