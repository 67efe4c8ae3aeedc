"""Law 6: a micro-batch on a short and on a long history, in one run.

Both lakes hold 100 days, one student per 100 events; the batches are the same 10,000 events of the
newest day, of students that both lakes know. `--late` moves a share of them up to 20 days back.
With `--objects` a third lake is the short history again, whose ledger and journal hold so many
more raw objects, all of the newest day: so many has a day of small topics at a flush every 10 s.
With `--lakes` the histories are built once and copied from there: to measure two versions of the
code, or with and without late events.
What is measured is the continuous query's trigger, from its look at the ledger to the end of the
build, in one process and session; the first ones are not measured.
"""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from zlib import crc32

import click

from benchmarks.inputs import DAY, generated_events
from benchmarks.processes import run_measured
from benchmarks.raw_to_gold import lake_environment
from jobs.cli import run

if TYPE_CHECKING:
    from lake.ledger import LedgerRow
    from lake.pipelines.build_pass import BuildReport
    from lake.pipelines.opened import Lake

DAYS = 100
LATE_DAYS = 20
BATCH_EVENTS = 10_000
SHORT_HISTORY = 100_000
EVENTS_PER_STUDENT = 100
WARMING_UP = 2
# Raw objects of one flush, and of one build, where there are very many.
FLUSH_OBJECTS = 4
BUILD_OBJECTS = 40
# Flushes of one commit here, which saves time; the archiver commits each.
COMMIT_FLUSHES = 50
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
    """Seconds of the triggers of the batches on a lake, and the phases of their builds, the first
    left out."""

    seconds: tuple[float, ...]
    phases: dict[str, float]


def prepared_lake(root: Path, source: Path, folder: Path) -> None:
    """Make a lake with the history built, by the commands; its key is beside it."""
    history = folder / "history.jsonl.gz"
    write_history(source, history)
    environment = lake_environment(root)
    for command in (["jobs.ingest", "--format", "native", str(history)], ["jobs.build"]):
        run_measured([sys.executable, "-m", *command], environment)
    history.unlink()
    key_file(root).write_text(environment["LMSLAKE_PSEUDONYM_KEY"])


def key_file(root: Path) -> Path:
    return root.with_suffix(".key")


def copied_lake(kept: Path, root: Path) -> None:
    """Copy a prepared lake and its key."""
    shutil.copytree(kept, root)
    shutil.copy(key_file(kept), key_file(root))


def add_objects(root: Path, count: int) -> None:
    """Ledger and journal of a long life: so many more raw objects, all of them built."""
    import pyarrow as pa
    from deltalake import write_deltalake

    from lake.ledger import Ledger
    from lake.storage_local import LocalStore
    from schemas.derivations import arrow_schema
    from schemas.tables.bronze import BUILDS

    store = LocalStore(root)
    ledger = Ledger(store)
    rows = [_object(number) for number in range(count)]
    step = FLUSH_OBJECTS * COMMIT_FLUSHES
    for first in range(0, count, step):
        ledger.append(
            rows[first : first + step], "benchmark", first, first - step if first else None
        )
        ledger.compact()
    builds = [rows[first : first + BUILD_OBJECTS] for first in range(0, count, BUILD_OBJECTS)]
    states = [
        _state(f"benchmark-{number}", state, taken)
        for number, taken in enumerate(builds)
        for state in ("publishing", "finished")
    ]
    write_deltalake(
        store.delta_uri(BUILDS.path),
        pa.Table.from_pylist(states, arrow_schema(BUILDS)),
        mode="append",
    )


def _state(build_id: str, state: str, taken: list[LedgerRow]) -> dict[str, Any]:
    days = sorted({row.date for row in taken})
    return {
        "build_id": build_id, "state": state, "at": taken[0].ingested_at,
        "paths": [row.path for row in taken], "dates": days, "session_dates": days, "reason": None,
    }  # fmt: skip


def _object(number: int) -> LedgerRow:
    from lake.ledger import LedgerRow

    at = datetime(NEWEST.year, NEWEST.month, NEWEST.day, tzinfo=UTC)
    path = f"events/raw/clickstream/date={NEWEST}/0-{number:012d}.jsonl.gz"
    return LedgerRow(
        "clickstream", "benchmark", 0, NEWEST, path, number, number, number, number, 1, 100, at, at,
        at, is_quarantine=False, reasons=None, id_digest="0",
    )  # fmt: skip


def measured_batches(root: Path, files: list[Path]) -> Batches:
    """Ingest and build the files one after the other, in this process."""
    from pydantic import SecretStr

    from lake.ingest import IngestOptions, ingest_files
    from lake.pipelines.opened import open_lake
    from lake.settings import Settings

    key = SecretStr(key_file(root).read_text())
    settings = Settings(root=str(root), pseudonym_key=key)
    seconds: list[float] = []
    phases: dict[str, list[float]] = {}
    with open_lake(settings, "micro-batches", grows=True) as lake:
        for number, file in enumerate(files):
            options = IngestOptions.from_settings(settings)
            for _ in ingest_files(lake.store, lake.ledger, [file], options):
                pass
            spent, report = _measured_trigger(lake)
            if number >= WARMING_UP:
                seconds.append(spent)
                for phase, part in report.seconds.items():
                    phases.setdefault(phase, []).append(part)
    return Batches(tuple(seconds), {phase: median(parts) for phase, parts in phases.items()})


def _measured_trigger(lake: Lake) -> tuple[float, BuildReport]:
    """The query takes what waits; the seconds of its triggers, as Spark's listener tells them."""
    from streaming.ledger_stream import StreamOptions
    from streaming.query import LakeStream
    from streaming.query_metrics import QueryHealth, StreamMetrics

    metrics, options = StreamMetrics(), StreamOptions(once=True)
    reports: list[BuildReport] = []
    LakeStream(lake, options, metrics, QueryHealth(), on_batch=reports.extend).run()
    (report,) = reports
    spent = metrics.registry.get_sample_value(
        "lmslake_stream_trigger_seconds_sum", {"phase": "triggerExecution"}
    )
    return spent or 0.0, report


def shown_batches(name: str, batches: Batches) -> None:
    seconds = " ".join(f"{spent:.1f}" for spent in batches.seconds)
    click.echo(f"{name}   {seconds} s")
    for phase, spent in batches.phases.items():
        click.echo(f"             {phase:<26}{spent:6.1f} s")


@click.command()
@click.argument("events", type=click.IntRange(min=SHORT_HISTORY), default=10_000_000)
@click.option(
    "--batches",
    type=click.IntRange(min=1, max=8),
    default=5,
    show_default=True,
    help="Micro-batches that are measured on each lake.",
)
@click.option(
    "--late",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help=f"Share of the events that are up to {LATE_DAYS} days late.",
)
@click.option(
    "--objects",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Measure a third lake, whose ledger holds so many more raw objects.",
)
@click.option(
    "--lakes",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the lakes there as they are before batches come, and take those that are there.",
)
def command(events: int, batches: int, late: float, objects: int, lakes: Path | None) -> None:
    """Time micro-batches of 10,000 events on a history of EVENTS and on one of 100,000."""
    from lake.settings import Settings

    cache = Settings.from_env().cache_dir.expanduser()
    with tempfile.TemporaryDirectory(prefix="lmslake-bench-") as name:
        folder = Path(name)
        small = generated_events(SHORT_HISTORY, SHORT_HISTORY // EVENTS_PER_STUDENT, cache)
        files = write_batches(small, folder, WARMING_UP + batches, late)
        sizes = [(SHORT_HISTORY, 0), (events, 0)] if events > SHORT_HISTORY else [(events, 0)]
        if objects:
            sizes.append((SHORT_HISTORY, objects))
        medians = []
        for history, more in sizes:
            title = f"{history:>12,} events" + (f" and {more:,} more raw objects" if more else "")
            click.echo(f"… {title.strip()}", err=True)
            source = generated_events(history, history // EVENTS_PER_STUDENT, cache)
            kept = (lakes or folder / "lakes") / f"lake-{history}"
            if not key_file(kept).exists():
                prepared_lake(kept, source, folder)
            root = folder / f"measured-{history}-{more}"
            copied_lake(kept, root)
            if more:
                add_objects(root, more)
            measured = measured_batches(root, files)
            shown_batches(title, measured)
            medians.append(median(measured.seconds))
            shutil.rmtree(root)
    for (history, more), spent in list(zip(sizes, medians, strict=True))[1:]:
        click.echo(
            f"ratio of the medians {spent / medians[0]:.2f}: {history:,} events, {more:,} more "
            f"objects, to {SHORT_HISTORY:,} events"
        )


if __name__ == "__main__":
    run(command)
