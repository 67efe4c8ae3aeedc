"""From produced to visible in gold.student_daily_activity, with everything on this machine.

    python -m benchmarks.stream_latency [RATE [SECONDS]] [--students N]

Starts a broker and a MinIO, then `lmslake archive`, `stream` and `produce` as processes, and counts
the events in gold once a second, as a reader sees them. Events become visible in the order in which
they were acknowledged (by partition), so that the n-th visible one is taken for the n-th that was
acknowledged. The first publication, which warms the JVM up, is not among the figures.

Each tenth of the run has a line of its own: a rate is sustained where the events that are not
visible yet do not become more from line to line, and memory is flat where it ends as it began. What
follows from a student's day is derived again with each of their events, so that the number of
students counts as much as the rate. Ctrl-C ends the run, and reports what it has seen.
"""

from __future__ import annotations

import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import quantiles

import click

from benchmarks.processes import ProcessTree
from jobs.cli import run
from jobs.stream_demo_services import prepared_folder, process_environment, started_services
from lake.delta_reading import is_written
from lake.query import connect
from lake.settings import Settings
from lake.storage import open_store
from schemas.tables import TABLES
from streaming.consumer import KafkaOptions
from streaming.demo_processes import AcknowledgedFile, Child
from streaming.producer import ensure_topics

RATE = 500.0
SECONDS = 300.0
# The last events become visible after the producer has ended.
PATIENCE_SECONDS = 300.0
STUDENTS = 5_000
GOLD = "gold.student_daily_activity"
STEP = 100
PARTS = 10
MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """What was so at one moment: running totals of events, and resident bytes."""

    at: float
    acknowledged: int
    visible: int
    archiver_bytes: int
    stream_bytes: int


@dataclass(frozen=True)
class Latency:
    """Seconds from acknowledged to visible of an event that became visible at `at`."""

    at: float
    seconds: float


@click.command()
@click.argument("rate", type=click.FloatRange(0, min_open=True), default=RATE)
@click.argument("seconds", type=click.FloatRange(0, min_open=True), default=SECONDS)
@click.option(
    "--students",
    type=click.IntRange(min=5),
    default=STUDENTS,
    show_default=True,
    help="Size of the made-up campus.",
)
def command(rate: float, seconds: float, students: int) -> None:
    """Time RATE events per second for SECONDS, from acknowledged to visible in gold."""
    samples: list[Sample] = []
    try:
        with tempfile.TemporaryDirectory(prefix="lmslake-bench-") as name, ExitStack() as stack:
            _observe(stack, Path(name), rate, seconds, students, samples)
    except KeyboardInterrupt:
        click.echo("ended early", err=True)
    finally:
        if samples:
            _report(rate, samples)


def _observe(
    stack: ExitStack,
    folder: Path,
    rate: float,
    seconds: float,
    students: int,
    samples: list[Sample],
) -> None:
    """Run everything below the folder, and add a sample each second."""
    demo = prepared_folder(folder)
    settings = started_services(stack, demo, None, None)
    ensure_topics(KafkaOptions.from_settings(settings), list(settings.topics), create=True)
    environment = process_environment(settings)

    def child(command: str, *arguments: str) -> Child:
        started = Child(command, arguments, environment, demo.logs)
        stack.callback(started.kill)
        return started

    children = [child("archive"), child("stream", "--interval", "5")]
    archiver, stream = (ProcessTree(process.pid) for process in children)
    limits = ("--rate", str(rate), "--seconds", str(seconds), "--students", str(students))
    producer = child("produce", *limits, "--acknowledged", str(demo.acknowledged))
    file = AcknowledgedFile(demo.acknowledged)
    end = time.monotonic() + seconds + PATIENCE_SECONDS
    while time.monotonic() < end:
        has_ended = not producer.is_running
        # Who is asked later has seen more: what is visible was acknowledged before.
        in_gold = _events_in_gold(settings)
        at = time.monotonic()
        acknowledged = max(file.read(), in_gold)
        archiver.sample()
        stream.sample()
        samples.append(
            Sample(at, acknowledged, in_gold, archiver.resident_bytes, stream.resident_bytes)
        )
        print(f"  acknowledged {acknowledged:,}, in gold {in_gold:,}", file=sys.stderr, flush=True)
        for process in children:
            process.check()
        if has_ended and in_gold >= acknowledged:
            break
        time.sleep(1.0)


def _events_in_gold(settings: Settings) -> int:
    if not is_written(TABLES[GOLD], open_store(settings)):
        return 0
    connection = connect(settings)
    try:
        row = connection.execute(f"SELECT coalesce(sum(events_count), 0) FROM {GOLD}").fetchone()
    finally:
        connection.close()
    return int(row[0]) if row else 0


def latencies(samples: Sequence[Sample]) -> list[Latency]:
    """Those of every STEP-th event after the first publication."""
    publications = [then for before, then in pairwise(samples) if then.visible > before.visible]
    acknowledged = [sample.acknowledged for sample in samples]
    found = []
    for before, then in pairwise(publications):
        for number in range(before.visible + 1, then.visible + 1, STEP):
            known = samples[bisect_left(acknowledged, number)].at
            found.append(Latency(then.at, then.at - known))
    return found


def _report(rate: float, samples: Sequence[Sample]) -> None:
    found = latencies(samples)
    last = samples[-1]
    print(f"{rate:,.0f} events/s, {last.acknowledged:,} acknowledged, {last.visible:,} in gold")
    if len(found) < 2:
        print("  fewer than two publications: nothing to tell")
        return
    percentiles = quantiles((latency.seconds for latency in found), n=100)
    print(f"  {percentiles[49]:6.1f} s   p50 from acknowledged to visible in {GOLD}")
    print(f"  {percentiles[94]:6.1f} s   p95")
    print(f"  {max(latency.seconds for latency in found):6.1f} s   longest")
    print("  until s   longest s   not visible   archiver MiB   stream MiB")
    begin = samples[0].at
    part_seconds = (last.at - begin) / PARTS
    for part in range(PARTS):
        since, until = begin + part * part_seconds, begin + (part + 1) * part_seconds
        in_part = [sample for sample in samples if since <= sample.at <= until]
        waits = [latency.seconds for latency in found if since < latency.at <= until]
        if in_part:
            _report_part(in_part[-1], begin, waits)


def _report_part(sample: Sample, begin: float, waits: Sequence[float]) -> None:
    longest = f"{max(waits):11.1f}" if waits else f"{'-':>11}"
    print(
        f"  {sample.at - begin:7.0f} {longest} {sample.acknowledged - sample.visible:13,} "
        f"{sample.archiver_bytes / MIB:14,.0f} {sample.stream_bytes / MIB:12,.0f}"
    )


if __name__ == "__main__":
    run(command)
