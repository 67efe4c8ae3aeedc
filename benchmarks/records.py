"""School records, full load to gold, against the same tables in DuckDB; and days more (law 6).

The peer reads the same files and has no gates, no bronze, no history of classes, no held rows and
no transactions. Both get two cores and whatever the file cache holds.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click

from benchmarks.processes import Measured, run_measured
from benchmarks.raw_to_gold import GIB, lake_environment, process_line, working_folder
from benchmarks.records_day import MONTH_DAYS, NEXT_DAYS, Days, lines_of_days, measure_days
from benchmarks.records_files import START, school_days, write_days
from jobs.cli import run
from lake.school.bulk import write_register

# To the 10th of a month, so that a day more finds its month under way.
SCHOOL_YEARS_DAYS = 790
LAND = (sys.executable, "-m", "jobs.land")
BUILD = (sys.executable, "-m", "jobs.records", "build")

# What is compared with the peer: (rows, a sum that every row has a part in).
COMPARED = {
    "silver.fact_attendance": "count(*), sum(is_present::int)",
    "silver.fact_assessments": "count(*), round(sum(score_pct), 3)",
    "gold.class_daily_performance": "count(*), sum(present_count + total_students)",
    "gold.student_performance_summary": "count(*), sum(present_days + total_assessments)",
}


@dataclass(frozen=True)
class Outcome:
    """rows: table → (lake, peer). long, short: days more on the whole history, and on a month."""

    files: int
    file_rows: int
    land: Measured
    build: Measured
    peer: Measured
    rows: dict[str, tuple[object, object]]
    history: int
    long: Days
    short: Days

    @property
    def ratio(self) -> float:
        """Time from files to gold over the peer's."""
        return (self.land.seconds + self.build.seconds) / self.peer.seconds

    @property
    def is_right(self) -> bool:
        """Whether the tables are the peer's, and days more wrote nothing but what is theirs."""
        is_same = all(ours == theirs for ours, theirs in self.rows.values())
        return is_same and not any(written.outside for written in self.long.written.values())


def measure(history: int, students: int, folder: Path) -> Outcome:
    """Load `folder`'s lake with so many school days, then the days after them, one by one."""
    files, lake = folder / "files", folder / "lake"
    settings = lake_environment(lake)
    days = school_days(history + NEXT_DAYS)
    say("files")
    register = write_register(files, students, START)
    written = [*register.files, *write_days(files, days[:history], students)]
    # What the peer does not have comes after the measured load.
    others = [path for path in written if path.name.startswith(("course", "student_"))]
    given = [path for path in written if path not in others]
    say("land")
    land = run_measured([*LAND, *map(str, given)], settings)
    say("build")
    build = run_measured(BUILD, settings)
    say("peer")
    out = folder / "peer"
    peer = run_measured(
        [sys.executable, "-m", "benchmarks.records_peer", str(files), str(out)], settings
    )
    rows = {name: (_of_lake(lake, name), _of_peer(out, name)) for name in COMPARED}
    total = _landed_rows(lake)
    say("progress")
    run_measured([*LAND, *map(str, others)], settings)
    run_measured(BUILD, settings)
    say("days more")
    long = measure_days(settings, folder / "long", days[history:], students)
    say("days more on a month")
    short = _on_a_month(folder / "short", days, register.files, students)
    return Outcome(len(given), total, land, build, peer, rows, history, long, short)


def _on_a_month(
    folder: Path, days: Sequence[date], register: Sequence[Path], students: int
) -> Days:
    settings = lake_environment(folder / "lake")
    of_month = days[-NEXT_DAYS - MONTH_DAYS : -NEXT_DAYS]
    files = write_days(folder / "files", of_month, students)
    run_measured([*LAND, *map(str, (*register, *files))], settings)
    run_measured(BUILD, settings)
    return measure_days(settings, folder / "days", days[-NEXT_DAYS:], students)


def _landed_rows(root: Path) -> int:
    from lake.query import connect
    from lake.settings import Settings

    with connect(Settings(root=str(root))) as tables:
        (found,) = tables.execute("SELECT sum(row_count) FROM bronze.landed_files").fetchall()[0]
    return int(found)


def _of_lake(root: Path, name: str) -> object:
    from lake.query import connect
    from lake.settings import Settings

    with connect(Settings(root=str(root))) as tables:
        return tables.execute(f"SELECT {COMPARED[name]} FROM {name}").fetchone()


def _of_peer(out: Path, name: str) -> object:
    import duckdb

    file = out / f"{name.split('.')[1]}.parquet"
    return duckdb.execute(f"SELECT {COMPARED[name]} FROM '{file}'").fetchone()


def lines_of(outcome: Outcome) -> Iterator[str]:
    """The outcome as text."""
    yield f"{outcome.files} files, {outcome.file_rows:,} rows"
    yield f"{'':<22}seconds    CPU-s   peak GiB"
    yield process_line("land", outcome.land)
    yield process_line("records build", outcome.build) + (
        f"   (JVM {outcome.build.java_bytes / GIB:.2f})"
    )
    yield process_line("DuckDB", outcome.peer)
    yield f"ratio        {outcome.ratio:16.2f}"
    for name, (ours, theirs) in outcome.rows.items():
        yield f"  {name:<36}{ours!s:>28}{theirs!s:>28}{_differs(ours, theirs)}"
    yield from lines_of_days(outcome.long, outcome.short, outcome.history)


def _differs(ours: object, theirs: object) -> str:
    return "" if ours == theirs else "  <- differs"


def say(text: str) -> None:
    click.echo(f"… {text}", err=True)


@click.command()
@click.option(
    "--days",
    type=click.IntRange(min=MONTH_DAYS),
    default=SCHOOL_YEARS_DAYS,
    show_default=True,
    help="School days of the history: of three years.",
)
@click.option("--students", type=click.IntRange(min=1), default=6_400, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the lakes in this folder.")
def command(days: int, students: int, keep: Path | None) -> None:
    """Measure a full load of school records, files to gold, against DuckDB on the same files.

    By default 5 million rows of attendance and 1 million of assessments. Then the next school days
    are landed and built one by one, also on the history of one month: times, their ratio, and what
    each table was written. The exit code is 1 where tables differ from the peer's, or where the
    last day wrote rows of another day that are neither of its month nor of a student in its files.
    """
    from lake.settings import Settings

    with working_folder(keep, Settings.from_env().cache_dir.expanduser()) as folder:
        outcome = measure(days, students, folder)
        shutil.rmtree(folder / "files", ignore_errors=True)
    click.echo("\n".join(lines_of(outcome)))
    if not outcome.is_right:
        raise SystemExit(1)


if __name__ == "__main__":
    run(command)
