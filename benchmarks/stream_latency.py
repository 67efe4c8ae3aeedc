"""From produced to visible in gold.student_daily_activity, with everything on this machine.

    python -m benchmarks.stream_latency [RATE [SECONDS]]

Starts a broker and a MinIO, then `lmslake archive`, `stream` and `produce` as processes, and counts
the events in gold once a second, as a reader sees them. Events become visible in the order in which
they were acknowledged (by partition), so that the n-th visible one is taken for the n-th that was
acknowledged. The first publication, which warms the JVM up, is not among the figures.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import quantiles

from jobs.stream_demo_services import prepared_folder, process_environment, started_services
from lake.query import connect, is_written
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
GOLD = "gold.student_daily_activity"
STEP = 100

Counts = list[tuple[float, int]]


def main() -> None:
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else RATE
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    with tempfile.TemporaryDirectory(prefix="lmslake-bench-") as name, ExitStack() as stack:
        acknowledged, visible = _observed(stack, Path(name), rate, seconds)
    _report(rate, acknowledged, visible)


def _observed(stack: ExitStack, folder: Path, rate: float, seconds: float) -> tuple[Counts, Counts]:
    """Running totals by time: records acknowledged, and events in gold."""
    demo = prepared_folder(folder)
    settings = started_services(stack, demo, None, None)
    ensure_topics(KafkaOptions.from_settings(settings), list(settings.topics), create=True)
    environment = process_environment(settings)

    def child(command: str, *arguments: str) -> Child:
        started = Child(command, arguments, environment, demo.logs)
        stack.callback(started.kill)
        return started

    children = [child("archive"), child("stream", "--interval", "5")]
    limits = ("--rate", str(rate), "--seconds", str(seconds))
    child("produce", *limits, "--acknowledged", str(demo.acknowledged))
    file = AcknowledgedFile(demo.acknowledged)
    acknowledged: Counts = []
    visible: Counts = []
    end = time.monotonic() + seconds + PATIENCE_SECONDS
    while time.monotonic() < end:
        acknowledged.append((time.monotonic(), file.read()))
        in_gold = _events_in_gold(settings)
        visible.append((time.monotonic(), in_gold))
        print(f"  acknowledged {file.count:,}, in gold {in_gold:,}", flush=True)
        for process in children:
            process.check()
        if in_gold >= rate * seconds * 0.99:
            break
        time.sleep(1.0)
    return acknowledged, visible


def _events_in_gold(settings: Settings) -> int:
    if not is_written(TABLES[GOLD], open_store(settings)):
        return 0
    connection = connect(settings)
    try:
        row = connection.execute(f"SELECT coalesce(sum(events_count), 0) FROM {GOLD}").fetchone()
    finally:
        connection.close()
    return int(row[0]) if row else 0


def latencies(acknowledged: Counts, visible: Counts) -> list[float]:
    """Seconds from acknowledged to visible of every STEP-th event after the first publication."""
    publications = [later for earlier, later in pairwise(visible) if later[1] > earlier[1]]
    found = []
    for (_, before), (at, count) in pairwise(publications):
        for number in range(before + 1, count + 1, STEP):
            known = next((then for then, total in acknowledged if total >= number), at)
            found.append(at - known)
    return found


def _report(rate: float, acknowledged: Counts, visible: Counts) -> None:
    found = latencies(acknowledged, visible)
    print(f"{rate:,.0f} events/s, {acknowledged[-1][1]:,} acknowledged, {visible[-1][1]:,} in gold")
    if len(found) < 2:
        print("  fewer than two publications: nothing to tell")
        return
    percentiles = quantiles(found, n=100)
    print(f"  {percentiles[49]:6.1f} s   p50 from acknowledged to visible in {GOLD}")
    print(f"  {percentiles[94]:6.1f} s   p95")
    print(f"  {max(found):6.1f} s   longest")


if __name__ == "__main__":
    main()
