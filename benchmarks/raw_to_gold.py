"""Raw to gold against the same work in DuckDB, on the same raw objects, in one run.

The peer has no gates, no ledger, no features and no transactions; it is what the batch job has to
keep up with. Both get two cores and whatever the file cache holds.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.inputs import DAY, PEER, PROJECT, bench_folder, generated_events
from benchmarks.processes import Measured, run_measured
from jobs.cli import run

if TYPE_CHECKING:
    import duckdb

GIB = 1024**3
# What is compared with the peer's file of the same grain: rows, and sums that both define alike.
COMPARED = {
    "silver.events": "count(*), count(DISTINCT student_hash), count(course_id)",
    "silver.sessions": "count(*), sum(events_count), round(sum(session_duration_seconds), 3)",
    "gold.student_daily_activity": "count(*), sum(total_sessions), sum(pages_viewed), "
    "sum(quizzes_attempted), sum(assignments_submitted)",
    "gold.chapter_engagement": "count(*), sum(unique_students)",
    "gold.question_attempts_summary": "count(*), sum(attempts_count), sum(correct_count)",
}
Figures = tuple[float, ...]
# Settings of the caller that a run may have; everything else would make runs differ.
KEPT_SETTINGS = ("LMSLAKE_CACHE_DIR", "LMSLAKE_DRIVER_MEMORY", "LMSLAKE_MAVEN_REPOSITORY")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Build:
    """A build as a process, and the seconds of its phases."""

    process: Measured
    phases: dict[str, float]

    @property
    def phase_seconds(self) -> float:
        return sum(self.phases.values())


@dataclass(frozen=True)
class Round:
    """The build, the same without gates, and the peer, one after the other.

    figures: table → (the lake's, the peer's); see COMPARED.
    """

    build: Build
    gateless: Build
    peer: Measured
    figures: Mapping[str, tuple[Figures, Figures]]

    @property
    def ratio(self) -> float:
        """Time of the build over the peer's, both from the start of the process to its end."""
        return self.build.process.seconds / self.peer.seconds

    @property
    def phases_ratio(self) -> float:
        """The same without the start of Python and Spark and their end."""
        return self.build.phase_seconds / self.peer.seconds

    @property
    def gates_share(self) -> float:
        """What the gates add, as a share of the build's time; below zero where noise is more."""
        return 1 - self.gateless.process.seconds / self.build.process.seconds

    @property
    def gates_cpu_share(self) -> float:
        """The same of the CPU time, which other processes disturb less."""
        return 1 - self.gateless.process.cpu_seconds / self.build.process.cpu_seconds

    @property
    def figures_agree(self) -> bool:
        return all(ours == theirs for ours, theirs in self.figures.values())


@dataclass(frozen=True)
class Outcome:
    """Ingestion once, then rounds on the same raw objects."""

    records: int
    ingest: Measured
    rounds: tuple[Round, ...]

    @property
    def ingest_rate(self) -> float:
        """Records per CPU-second: decompression, validation, compression and commits included."""
        return self.records / self.ingest.cpu_seconds


def measure(
    events: int, students: int, repeat: int, folder: Path, cache: Path, say: Say
) -> Outcome:
    """Ingest and build `events` in lakes below `folder`. Raises LakeError where a command fails."""
    peer = bench_folder() / PEER
    say(f"events: {events:,} of {students:,} students (generated once)")
    source = generated_events(events, students, cache)
    raw_lake = folder / "raw"
    settings = lake_environment(raw_lake)
    say("ingest")
    ingest = run_measured(
        [sys.executable, "-m", "jobs.ingest", "--format", "native", str(source)],
        settings,
    )
    records = ledger_records(raw_lake)
    rounds = []
    for number in range(1, repeat + 1):
        rounds.append(one_round(raw_lake, folder / f"round-{number}", settings, peer, say))
        say(f"round {number} of {repeat}: ratio {rounds[-1].ratio:.2f}")
    return Outcome(records, ingest, tuple(rounds))


def one_round(
    raw_lake: Path, folder: Path, settings: Mapping[str, str], peer: Path, say: Say
) -> Round:
    """Build fresh lakes from the raw lake's objects, then let the peer read the same files."""
    out = folder / "peer"
    say("build")
    build = one_build(raw_lake, folder / "lake", settings)
    say("peer")
    raw = raw_lake / "events" / "raw" / "native" / f"date={DAY}"
    measured = run_measured([sys.executable, str(peer), str(raw), str(out)], settings)
    say("build without gates")
    gateless = one_build(raw_lake, folder / "gateless", settings, "--no-gates")
    found = zip(lake_figures(folder / "lake"), peer_figures(out), strict=True)
    return Round(build, gateless, measured, dict(zip(COMPARED, found, strict=True)))


def one_build(raw_lake: Path, lake: Path, settings: Mapping[str, str], *options: str) -> Build:
    """Build a new lake `lake` from the objects of the raw lake, in a process of its own."""
    # Hard links: the same files on the disk and in its cache.
    shutil.copytree(raw_lake, lake, copy_function=os.link)
    report_file = lake.with_name(f"{lake.name}.json")
    process = run_measured(
        [sys.executable, "-m", "benchmarks.timed_build", str(report_file), *options],
        {**settings, "LMSLAKE_ROOT": str(lake)},
    )
    return Build(process, json.loads(report_file.read_text()))


def lake_environment(root: Path) -> dict[str, str]:
    """Environment of the commands: a lake of its own, two cores as the peer has, UTC."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LMSLAKE_", "PYSPARK_", "SPARK_")) or name in KEPT_SETTINGS
    }
    return {
        **kept,
        "LMSLAKE_ROOT": str(root),
        "LMSLAKE_PSEUDONYM_KEY": secrets.token_hex(32),
        "LMSLAKE_SPARK_MASTER": "local[2]",
        "PYTHONPATH": str(PROJECT),
        "TZ": "UTC",
    }


def _settings_of(root: Path) -> Any:
    from lake.settings import Settings

    return Settings(root=str(root))


def ledger_records(root: Path) -> int:
    """Records in the raw zone, by its ledger."""
    import pyarrow.compute as pc

    from lake.ledger import Ledger
    from lake.storage import open_store

    rows = Ledger(open_store(_settings_of(root))).rows(is_quarantine=None)
    return int(pc.sum(rows["record_count"]).as_py() or 0)


def lake_figures(root: Path) -> list[Figures]:
    """Figures of the lake's tables, in the order of COMPARED."""
    from lake.query import connect

    with connect(_settings_of(root)) as tables:
        return [_figures(tables, name, sums) for name, sums in COMPARED.items()]


def peer_figures(out: Path) -> list[Figures]:
    """The same of the peer's files."""
    import duckdb

    with duckdb.connect() as files:
        return [
            _figures(files, f"'{out}/{name.partition('.')[2]}.parquet'", sums)
            for name, sums in COMPARED.items()
        ]


def _figures(connection: duckdb.DuckDBPyConnection, source: str, sums: str) -> Figures:
    (row,) = connection.execute(f"SELECT {sums} FROM {source}").fetchall()
    return tuple(float(figure or 0) for figure in row)


def lines_of(outcome: Outcome) -> Iterator[str]:
    """The outcome as text."""
    ingest = outcome.ingest
    yield (
        f"ingest   {ingest.seconds:8.1f} s {ingest.cpu_seconds:8.1f} CPU-s "
        f"{ingest.peak_bytes / GIB:6.2f} GiB   {outcome.records:,} records, "
        f"{outcome.ingest_rate:,.0f} per CPU-second"
    )
    for number, one in enumerate(outcome.rounds, 1):
        yield ""
        yield f"{f'round {number}':<22}seconds    CPU-s   peak GiB"
        jvm = one.build.process.java_bytes / GIB
        yield process_line("lmslake", one.build.process) + f"   (JVM {jvm:.2f})"
        yield process_line("  without gates", one.gateless.process)
        yield process_line("DuckDB", one.peer)
        yield f"ratio        {one.ratio:16.2f}   {one.phases_ratio:.2f} without start and end"
        yield f"gates' share {one.gates_share:16.1%}   {one.gates_cpu_share:.1%} of CPU time"
        for phase, seconds in one.build.phases.items():
            yield f"  {phase:<24}{seconds:8.1f} s"
        rest = one.build.process.seconds - one.build.phase_seconds
        yield f"  {'start and end':<24}{rest:8.1f} s"
        for name, (ours, theirs) in one.figures.items():
            differs = "as the peer's" if ours == theirs else f"DIFFER, the peer's: {_told(theirs)}"
            yield f"  {name:<32}{_told(ours)}   {differs}"


def _told(figures: Figures) -> str:
    return " ".join(f"{figure:,.16g}" for figure in figures)


def process_line(name: str, measured: Measured) -> str:
    return (
        f"{name:<19}{measured.seconds:10.1f}{measured.cpu_seconds:9.1f}"
        f"{measured.peak_bytes / GIB:11.2f}"
    )


@contextmanager
def working_folder(chosen: Path | None, cache: Path) -> Iterator[Path]:
    """The folder given, kept; else one in the cache folder, removed at the end."""
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(prefix="run-", dir=chosen))
        return
    (cache / "benchmarks").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=cache / "benchmarks") as folder:
        yield Path(folder)


@click.command()
@click.argument("events", type=click.IntRange(min=1_000), default=2_000_000)
@click.option("--students", type=click.IntRange(min=1), help="Default: one per 100 events.")
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the lakes in this folder.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures too.")
def command(
    events: int, students: int | None, repeat: int, keep: Path | None, json_file: Path | None
) -> None:
    """Measure raw to gold on EVENTS generated events (default 2,000,000) against DuckDB.

    The exit code is 1 where rows or sums of the tables differ from the peer's. Run it on a quiet
    machine: every figure is wall or CPU time.

    \b
      make bench
      make bench ARGS="10000000 --json bench.json"
    """
    from lake.settings import Settings

    def say(text: str) -> None:
        click.echo(f"… {text}", err=True)

    cache = Settings.from_env().cache_dir.expanduser()
    with working_folder(keep, cache) as folder:
        outcome = measure(events, students or max(1, events // 100), repeat, folder, cache, say)
    click.echo("\n".join(lines_of(outcome)))
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(outcome), indent=2) + "\n")
    if not all(one.figures_agree for one in outcome.rounds):
        click.echo("Error: the tables differ from the peer's.", err=True)
        raise SystemExit(1)


if __name__ == "__main__":
    run(command)
