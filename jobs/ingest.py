"""`lmslake ingest`: validate files of events and write them to the raw zone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from jobs.cli import run

if TYPE_CHECKING:
    from pathlib import Path

    from lake.ingest import FileReport

SECONDS_BETWEEN_LINES = 5.0

format_option = click.option(
    "--format",
    "kind",
    type=click.Choice(["auto", "native", "xapi"]),
    default="auto",
    show_default=True,
    help="native events, or statements of the xAPI video profile; auto looks at the first record.",
)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@format_option
@click.option(
    "--max-event-age",
    type=click.IntRange(min=1),
    metavar="DAYS",
    help="Quarantine older events as too_old. Files of history have no limit unless you set one.",
)
@click.option("--dry-run", is_flag=True, help="Validate and count only; write nothing.")
def command(paths: tuple[str, ...], kind: str, max_event_age: int | None, dry_run: bool) -> None:
    """Validate files of events and write them to the raw zone.

    PATH is a file, a folder (searched at every depth) or - for standard input. Taken are JSON
    lines (.jsonl, .ndjson), a JSON array or values one after the other (.json), and all of these
    compressed with gzip. Every record ends in the raw zone or, with a reason, in quarantine:
    nothing is lost, and rejected records are no failure.

    A file is known by its content: given twice, or interrupted and repeated, each of its records
    is in the lake once.

    \b
    Examples:
      lmslake ingest events.jsonl.gz
      lmslake ingest exports/2025-11/ more.json
      lmslake ingest --format xapi statements.json.gz
      zcat dump.gz | lmslake ingest -
      lmslake ingest --dry-run events.jsonl     what would be rejected, and why
    """
    from lake.ingest import IngestOptions, ingest_files
    from lake.ledger import Ledger
    from lake.settings import Settings
    from lake.sources import find_files
    from lake.storage import open_store
    from lake.validation import Limits

    settings = Settings.from_env()
    files, passed_over = find_files(paths)
    age = timedelta(days=max_event_age) if max_event_age else None
    options = IngestOptions.from_settings(
        settings,
        format=kind,
        dry_run=dry_run,
        limits=Limits(settings.max_clock_skew, age),
    )
    store = open_store(settings)
    started = time.monotonic()
    with _progress(files) as on_progress:
        reports = ingest_files(store, Ledger(store), files, options, on_progress)
    _print_passed_over(passed_over)
    print_summary(reports, time.monotonic() - started, dry_run)


@contextmanager
def _progress(files: Sequence[Path]) -> Iterator[Callable[[FileReport], None]]:
    """A bar on a terminal; elsewhere a line every few seconds."""
    import sys

    if sys.stderr.isatty():
        with _progress_bar(len(files)) as advance:
            yield advance
        return
    last = time.monotonic()

    def on_progress(report: FileReport) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            click.echo(f"  {report.name}: {report.records:,} records …", err=True)

    yield on_progress


@contextmanager
def _progress_bar(file_count: int) -> Iterator[Callable[[FileReport], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("files  {task.description}"))
    seen: dict[str, int] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=file_count)

        def on_progress(report: FileReport) -> None:
            seen[report.name] = report.records
            records = sum(seen.values())
            name = report.name[-40:].replace("[", "\\[")
            bar.update(task, completed=len(seen) - 1, description=f"{records:,} records  {name}")

        yield on_progress


def _print_passed_over(files: Sequence[Path]) -> None:
    if files:
        names = ", ".join(str(file) for file in files[:3])
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        click.echo(f"Passed over {_counted(len(files), 'file')} of other kinds: {names}{more}")


def print_summary(reports: Sequence[FileReport], seconds: float, dry_run: bool = False) -> None:
    """What came of the files, what was rejected and why, and what to type next."""
    if not reports:
        click.echo("No files of events found (.json, .jsonl, .ndjson, each also .gz).")
        return
    for report in reports:
        if report.records == 0:
            click.echo(f"{report.name}: empty, nothing to take")
        elif report.is_known:
            click.echo(f"{report.name}: already ingested ({report.records:,} records), nothing new")
        elif report.committed_before:
            click.echo(f"{report.name}: went on after {report.committed_before:,} records")
    raw = sum(report.raw for report in reports)
    reasons: Counter[str] = Counter()
    for report in reports:
        reasons.update(report.quarantined)
    rejected = reasons.total()
    verb = "would be" if dry_run else "now"
    click.echo(
        f"{_counted(len(reports), 'file')}, "
        f"{_counted(sum(r.records for r in reports), 'record')} in {seconds:.1f} s: "
        f"{raw:,} {verb} in raw, {rejected:,} {verb} in quarantine."
    )
    for reason, count in reasons.most_common():
        click.echo(f"  {reason:<24}{count:>10,}")
    if not dry_run:
        _print_next_steps(raw, rejected)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _print_next_steps(raw: int, rejected: int) -> None:
    if rejected:
        click.echo("Look at what was rejected:  lmslake quarantine show --limit 5")
    if raw:
        click.echo("Next:                       lmslake build")


if __name__ == "__main__":
    run(command)
