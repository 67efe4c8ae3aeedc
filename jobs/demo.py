"""`lmslake demo`: a small campus from JSON to features, with what was expected and found."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli import run
from jobs.demo_steps import Step, Steps
from jobs.ingest import format_option
from lake.errors import LakeError

if TYPE_CHECKING:
    from lake.ingest import FileReport
    from lake.settings import Settings

NOTHING_NEW = "nothing new"
KEY_FILE = "demo.key"
CAMPUS_FOLDER = "campus"
EXAMPLE = (
    "SELECT chapter_id, sum(unique_students) AS visitors, "
    "round(avg(dropoff_rate), 2) AS dropoff FROM gold.chapter_engagement "
    "WHERE course_id = 'physics-9' GROUP BY chapter_id ORDER BY chapter_id"
)


@click.command("demo")
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-data"),
    show_default=True,
    help="Folder of the demo's lake; it is made where it does not exist.",
)
@click.option(
    "--input",
    "inputs",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Real events to take as well: a file or a folder. Can be given more than once.",
)
@format_option
@click.option(
    "--students",
    type=click.IntRange(5, 5000),
    default=80,
    show_default=True,
    help="Size of the made-up campus.",
)
def command(root: Path, inputs: tuple[Path, ...], kind: str, students: int) -> None:
    """Take a small campus from raw JSON to sessions, gold tables and features.

    Needs nothing but Java: no service, no network, no account. The campus is made up and has
    faults on purpose; at the end you see that exactly these were found. Run it again: there is
    nothing new then. Remove the folder to start over.

    \b
      lmslake demo
      lmslake demo --input statements.json.gz
    """
    settings = demo_settings(root)
    steps = Steps()
    changed = False
    with steps.step("campus") as step:
        from lake.campus import write_campus

        campus = write_campus(root / CAMPUS_FOLDER, students)
        step.done(
            f"{campus.students} students, {campus.records:,} records, {campus.catalog.parent}"
        )
    with steps.step("ingest") as step:
        of_campus, of_inputs = _ingest(settings, campus.files, inputs, kind)
        changed |= not all(report.is_known for report in (*of_campus, *of_inputs))
        step.done(_ingested((*of_campus, *of_inputs)))
    with steps.step("catalog") as step:
        from lake.catalog import load_catalog
        from lake.storage import open_store

        titles = load_catalog(open_store(settings), campus.catalog)
        step.done(f"{titles.added} chapters added, {titles.unchanged} known")
    with steps.step("build") as step:
        built = _build(settings, step)
        changed |= built != NOTHING_NEW
        step.done(built)
    with steps.step("audit") as step:
        step.done(_audit(settings))
    from jobs.demo_report import print_findings, print_inputs, print_tables

    print_tables(settings)
    is_right = print_findings(settings, campus, [report.source for report in of_campus])
    print_inputs(settings, of_inputs)
    _print_next(root)
    click.echo(f"\n{'Done' if changed else 'Nothing new'} in {steps.seconds:.1f} s.")
    if not is_right:
        raise LakeError("What was found differs from what was put in: see `<- differs` above.")


def demo_settings(root: Path) -> Settings:
    """Settings of the environment, but with the demo's own folder and key.

    The key is made on first use: random, in the lake's folder, readable by its owner only.
    """
    from lake.settings import Settings

    if "://" in str(root) or ":/" in str(root):
        raise click.UsageError("The demo runs in a local folder; --root cannot be a bucket.")
    settings = Settings.from_env()
    key_file = root / KEY_FILE
    try:
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    except OSError as error:
        raise LakeError(
            f"{root} cannot be used: {error.strerror}. Choose another --root."
        ) from None
    else:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        click.echo(f"Made a random pseudonym key for this demo: {key_file} (keep real ones apart)")
    return settings.model_copy(
        update={"root": str(root), "pseudonym_key": None, "pseudonym_key_file": key_file}
    )


def _ingest(
    settings: Settings, campus: Sequence[Path], inputs: Sequence[Path], kind: str
) -> tuple[list[FileReport], list[FileReport]]:
    from lake.ingest import IngestOptions, ingest_files
    from lake.ledger import Ledger
    from lake.sources import find_files
    from lake.storage import open_store

    store = open_store(settings)
    ledger = Ledger(store)
    native = IngestOptions.from_settings(settings, format="native")
    of_campus = ingest_files(store, ledger, campus, native)
    if not inputs:
        return of_campus, []
    files, _ = find_files(str(path) for path in inputs)
    if not files:
        raise LakeError(f"There is no file of events in {', '.join(map(str, inputs))}.")
    options = IngestOptions.from_settings(settings, format=kind)
    return of_campus, ingest_files(store, ledger, files, options)


def _ingested(reports: Sequence[FileReport]) -> str:
    if all(report.is_known for report in reports):
        return f"{NOTHING_NEW}: all {len(reports)} files are known"
    accepted = sum(report.raw for report in reports)
    rejected = sum(report.quarantined.total() for report in reports)
    return f"{len(reports)} files: {accepted:,} records to raw, {rejected:,} to quarantine"


def _build(settings: Settings, step: Step) -> str:
    """Build what is new; without anything new no Spark is started."""
    from lake.ledger import Ledger
    from lake.pipelines.build import build
    from lake.pipelines.journal import Journal
    from lake.pipelines.opened import open_lake
    from lake.pipelines.pending import has_work
    from lake.storage import open_store

    store = open_store(settings)
    if not has_work(Ledger(store), Journal(store), None):
        return NOTHING_NEW
    step.progress("starting Spark")
    with open_lake(settings, "lmslake demo") as lake:
        reports = build(lake, progress=step.progress)
    events = sum(report.new_event_count for report in reports)
    dates = {day for report in reports for day in report.dates}
    return f"{events:,} events of {len(dates)} dates to silver, gold and features"


def _audit(settings: Settings) -> str:
    from jobs.audit import print_audit
    from lake.audit import audit

    outcome = audit(settings)
    if not outcome.is_proven:
        print_audit(outcome)
        raise LakeError("The audit found differences: see above. `lmslake audit` repeats it.")
    return f"{outcome.received:,} records: nothing is lost and nothing is doubled"


def _print_next(root: Path) -> None:
    program = shlex.quote(_program())
    folder = root.absolute()
    click.echo(f"\nThe lake: {folder}  (raw: events/raw, rejected: events/quarantine, tables/)")
    click.echo("Next, copy and paste:\n")
    click.echo(f"  export LMSLAKE_ROOT={shlex.quote(str(folder))}")
    click.echo(f"  export LMSLAKE_PSEUDONYM_KEY_FILE={shlex.quote(str(folder / KEY_FILE))}")
    click.echo(f'  {program} sql "{EXAMPLE}"')
    click.echo(f"  {program} tables")
    click.echo(f"  {program} quarantine list")


def _program() -> str:
    """How this shell calls lmslake: by its name, or by its path in the environment of this run."""
    if shutil.which("lmslake"):
        return "lmslake"
    path = Path(sys.executable).with_name("lmslake")
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    run(command)
