"""School records, full load to gold, against the same tables in DuckDB; and one day more.

The peer reads the same files and has no gates, no bronze, no history of classes, no held rows and
no transactions. Both get two cores and whatever the file cache holds.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click

from benchmarks.processes import Measured, run_measured
from benchmarks.raw_to_gold import GIB, lake_environment, process_line, working_folder
from jobs.cli import run
from lake.school.bulk import Bulk, write_assessments, write_attendance, write_register

# What is compared with the peer: (rows, a sum that every row has a part in).
COMPARED = {
    "silver.fact_attendance": "count(*), sum(is_present::int)",
    "silver.fact_assessments": "count(*), round(sum(score_pct), 3)",
    "gold.class_daily_performance": "count(*), sum(present_count + total_students)",
    "gold.student_performance_summary": "count(*), sum(present_days + total_assessments)",
}


@dataclass(frozen=True)
class Outcome:
    """rows: table → (lake, peer). rewritten: table → rows that the day's build wrote."""

    files: int
    file_rows: int
    land: Measured
    build: Measured
    peer: Measured
    rows: dict[str, tuple[object, object]]
    day_rows: int
    day: Measured
    rewritten: dict[str, int]

    @property
    def ratio(self) -> float:
        """Time from files to gold over the peer's."""
        return (self.land.seconds + self.build.seconds) / self.peer.seconds


def measure(attendance: int, assessments: int, students: int, folder: Path) -> Outcome:
    """Load `folder`'s lake, then the files of one school day more."""
    files, lake = folder / "files", folder / "lake"
    settings = lake_environment(lake)
    say("files")
    written = (
        write_register(files, students),
        write_attendance(files, attendance, students, files=10),
        write_assessments(files, assessments, students, files=2),
    )
    given = [path for bulk in written for path in bulk.files]
    say("land")
    land = run_measured([sys.executable, "-m", "jobs.land", *map(str, given)], settings)
    say("build")
    build = run_measured([sys.executable, "-m", "jobs.records", "build"], settings)
    say("peer")
    out = folder / "peer"
    peer = run_measured(
        [sys.executable, "-m", "benchmarks.records_peer", str(files), str(out)], settings
    )
    rows = {name: (_of_lake(lake, name), _of_peer(out, name)) for name in COMPARED}
    before = _versions(lake)
    say("one day more")
    more = one_day(folder / "day", students)
    run_measured([sys.executable, "-m", "jobs.land", *map(str, more.files)], settings)
    day = run_measured([sys.executable, "-m", "jobs.records", "build"], settings)
    rewritten = _rows_written(lake, before)
    total = sum(bulk.rows for bulk in written)
    return Outcome(len(given), total, land, build, peer, rows, more.rows, day, rewritten)


def one_day(folder: Path, students: int) -> Bulk:
    """Attendance of a day on which the school has none yet, under ids that are new."""
    bulk = write_attendance(folder, students, students, start=date(2027, 9, 1))
    for path in bulk.files:
        path.write_text(path.read_text().replace("ATT", "ATT9"))
    return bulk


def _of_lake(root: Path, name: str) -> object:
    from lake.query import connect
    from lake.settings import Settings

    with connect(Settings(root=str(root))) as tables:
        return tables.execute(f"SELECT {COMPARED[name]} FROM {name}").fetchone()


def _of_peer(out: Path, name: str) -> object:
    import duckdb

    file = out / f"{name.split('.')[1]}.parquet"
    return duckdb.execute(f"SELECT {COMPARED[name]} FROM '{file}'").fetchone()


def _written_tables(root: Path) -> Iterator[tuple[str, Path]]:
    from schemas.tables import TABLES

    for name, table in TABLES.items():
        if (root / table.path / "_delta_log").is_dir():
            yield name, root / table.path


def _versions(root: Path) -> dict[str, int]:
    from deltalake import DeltaTable

    return {name: DeltaTable(path).version() for name, path in _written_tables(root)}


def _rows_written(root: Path, before: dict[str, int]) -> dict[str, int]:
    """Rows in the files that were added to each table since."""
    from deltalake import DeltaTable

    found = {}
    for name, path in _written_tables(root):
        old = DeltaTable(path, version=before[name]) if name in before else None
        known = set(old.file_uris()) if old else set()
        files = DeltaTable(path).get_add_actions(flatten=True)
        pairs = zip(files["path"].to_pylist(), files["num_records"].to_pylist(), strict=True)
        rows = sum(count for file, count in pairs if not any(k.endswith(file) for k in known))
        if rows:
            found[name] = rows
    return found


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
    yield process_line(f"{outcome.day_rows:,} rows more", outcome.day)
    for name, count in outcome.rewritten.items():
        yield f"  {name:<36}{count:>12,} rows written"


def _differs(ours: object, theirs: object) -> str:
    return "" if ours == theirs else "  <- differs"


def say(text: str) -> None:
    click.echo(f"… {text}", err=True)


@click.command()
@click.option("--attendance", type=click.IntRange(min=1), default=5_000_000, show_default=True)
@click.option("--assessments", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--students", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the lake in this folder.")
def command(attendance: int, assessments: int, students: int, keep: Path | None) -> None:
    """Measure a full load of school records, files to gold, against DuckDB on the same files.

    Then lands the attendance of one school day more and says what its build rewrote. The exit code
    is 1 where tables differ from the peer's.
    """
    from lake.settings import Settings

    with working_folder(keep, Settings.from_env().cache_dir.expanduser()) as folder:
        outcome = measure(attendance, assessments, students, folder)
        shutil.rmtree(folder / "files", ignore_errors=True)
    click.echo("\n".join(lines_of(outcome)))
    if any(ours != theirs for ours, theirs in outcome.rows.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    run(command)
