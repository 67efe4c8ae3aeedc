"""Law 6: a micro-batch on a short and on a long history, in one run.

Both lakes hold 100 days, one student per 100 events; the batches are the same 10,000 events of the
newest day, of students that both lakes know. `--late` moves a share of them up to 20 days back. The
builds run in one process with the session of the continuous query, the first ones unmeasured.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from zlib import crc32

import click

from benchmarks.inputs import DAY, generated_events
from benchmarks.processes import run_measured
from benchmarks.raw_to_gold import lake_environment
from jobs.cli import run

DAYS = 100
LATE_DAYS = 20
BATCH_EVENTS = 10_000
SHORT_HISTORY = 100_000
EVENTS_PER_STUDENT = 100
WARMING_UP = 2
NEWEST = date.fromisoformat(DAY)
# Where the generator's lines have the first digits of the event id, and the student id.
EVENT_ID = slice(13, 21)
STUDENT_ID = slice(65, 101)


def on_day(line: bytes, days_ago: int) -> bytes:
    day = (NEWEST - timedelta(days=days_ago)).isoformat()
    return line.replace(b'"timestamp":"' + DAY.encode(), b'"timestamp":"' + day.encode(), 1)


def lines_of(folder: Path) -> Iterator[bytes]:
    for file in sorted(folder.glob("*.gz")):
        with gzip.open(file, "rb") as lines:
            yield from lines


def write_history(source: Path, target: Path) -> None:
    """Spread one day's events over DAYS days: a student's hour of the day stays together."""
    with gzip.open(target, "wb", compresslevel=1) as out:
        for line in lines_of(source):
            hour = line.index(b'"timestamp":"') + len(b'"timestamp":"2025-11-15T')
            place = crc32(line[STUDENT_ID] + line[hour : hour + 2])
            out.write(on_day(line, place % DAYS))


def write_batches(source: Path, folder: Path, count: int, late: float) -> list[Path]:
    """Files of BATCH_EVENTS events each, that no history has."""
    files = [folder / f"batch-{number}.jsonl.gz" for number in range(count)]
    lines = lines_of(source)
    for number, file in enumerate(files):
        with gzip.open(file, "wb", compresslevel=1) as out:
            for _ in range(BATCH_EVENTS):
                line = next(lines)
                line = line[: EVENT_ID.start] + b"%08x" % (number + 1) + line[EVENT_ID.stop :]
                place = crc32(line[: STUDENT_ID.stop])
                is_late = place % 10_000 < late * 10_000
                out.write(on_day(line, place % LATE_DAYS + 1) if is_late else line)
    return files


@dataclass(frozen=True)
class Batches:
    """Seconds of the builds of the batches on a history, and their phases, the first left out."""

    events: int
    seconds: tuple[float, ...]
    phases: dict[str, float]


def prepared_lake(root: Path, source: Path, folder: Path) -> None:
    """A lake with the history built, by the commands."""
    history = folder / "history.jsonl.gz"
    write_history(source, history)
    environment = lake_environment(root)
    for command in (["jobs.ingest", "--format", "native", str(history)], ["jobs.build"]):
        run_measured([sys.executable, "-m", *command], environment)
    history.unlink()
    (folder / f"{root.name}.key").write_text(environment["LMSLAKE_PSEUDONYM_KEY"])


def measured_batches(root: Path, key: str, events: int, files: list[Path]) -> Batches:
    """Ingest and build the files one after the other, in this process."""
    from pydantic import SecretStr

    from lake.ingest import IngestOptions, ingest_files
    from lake.pipelines.build import build, open_lake
    from lake.settings import Settings

    settings = Settings(root=str(root), pseudonym_key=SecretStr(key))
    seconds: list[float] = []
    phases: dict[str, list[float]] = {}
    with open_lake(settings, "micro-batches", grows=True) as lake:
        for number, file in enumerate(files):
            options = IngestOptions.from_settings(settings)
            for _ in ingest_files(lake.store, lake.ledger, [file], options):
                pass
            begin = time.monotonic()
            (report,) = build(lake)
            if number >= WARMING_UP:
                seconds.append(time.monotonic() - begin)
                for phase, spent in report.seconds.items():
                    phases.setdefault(phase, []).append(spent)
    middle = {phase: median(spent) for phase, spent in phases.items()}
    return Batches(events, tuple(seconds), middle)


@click.command()
@click.argument("events", type=click.IntRange(min=SHORT_HISTORY), default=10_000_000)
@click.option("--batches", type=click.IntRange(min=1, max=8), default=5, show_default=True)
@click.option("--late", type=click.FloatRange(0, 1), default=0.0, show_default=True)
def command(events: int, batches: int, late: float) -> None:
    """Time micro-batches of 10,000 events on a history of EVENTS and on one of 100,000."""
    from lake.settings import Settings

    cache = Settings.from_env().cache_dir.expanduser()
    with tempfile.TemporaryDirectory(prefix="lmslake-bench-") as name:
        folder = Path(name)
        small = generated_events(SHORT_HISTORY, SHORT_HISTORY // EVENTS_PER_STUDENT, cache)
        files = write_batches(small, folder, WARMING_UP + batches, late)
        found = []
        for history in (SHORT_HISTORY, events):
            click.echo(f"… history of {history:,} events", err=True)
            source = generated_events(history, history // EVENTS_PER_STUDENT, cache)
            root = folder / f"lake-{history}"
            prepared_lake(root, source, folder)
            key = (folder / f"{root.name}.key").read_text()
            found.append(measured_batches(root, key, history, files))
            seconds = " ".join(f"{spent:.1f}" for spent in found[-1].seconds)
            click.echo(f"{history:>12,} events   {seconds} s")
            for phase, spent in found[-1].phases.items():
                click.echo(f"             {phase:<26}{spent:6.1f} s")
    short, long = (median(of_history.seconds) for of_history in found)
    click.echo(f"ratio of the medians {long / short:.2f}")


if __name__ == "__main__":
    run(command)
