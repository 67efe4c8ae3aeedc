"""Rate of the archiver, validation included: a topic that is full already into a local lake.

    python -m benchmarks.archiver [EVENTS]

The broker is the tests' own, on the same machine. Seconds of the archiver's process alone, its
CPU seconds, and what a core of it does.
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.inputs import generated_events
from benchmarks.processes import run_measured
from lake.errors import LakeError
from lake.settings import Settings
from tests.services import Kafka, running_kafka

EVENTS = 200_000
STUDENTS = 5_000
PARTITIONS = 4
# Generated events lie on one day of the past.
MAX_AGE_DAYS = "36500"


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    inputs = generated_events(events, STUDENTS, Settings.from_env().cache_dir)
    with tempfile.TemporaryDirectory(prefix="lmslake-bench-") as name:
        folder = Path(name)
        (folder / "kafka").mkdir()
        with running_kafka(folder / "kafka") as kafka:
            topic = kafka.create_topic(PARTITIONS, "clickstream")
            sent = _send(kafka, topic, inputs)
            _measure(kafka, topic, folder / "lake", sent)


def _send(kafka: Kafka, topic: str, inputs: Path) -> int:
    from kafka import KafkaProducer

    producer = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, linger_ms=50, batch_size=1 << 18
    )
    sent = 0
    for sent, line in enumerate(_lines(inputs), 1):
        producer.send(topic, value=line, partition=sent % PARTITIONS)
    producer.flush()
    producer.close()
    return sent


def _lines(inputs: Path) -> Iterator[bytes]:
    for path in sorted(inputs.rglob("*.gz")):
        with gzip.open(path) as lines:
            for line in lines:
                yield line.rstrip(b"\n")


def _measure(kafka: Kafka, topic: str, root: Path, sent: int) -> None:
    environment = {
        **os.environ,
        "LMSLAKE_ROOT": str(root),
        "LMSLAKE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "LMSLAKE_KAFKA_TOPICS": topic,
        "LMSLAKE_MAX_EVENT_AGE_DAYS": MAX_AGE_DAYS,
        "LMSLAKE_METRICS_PORT": "0",
    }
    command = [str(Path(sys.executable).with_name("lmslake")), "archive", "--once"]
    # Twice: what it takes to start, join the group and end is in both.
    full = run_measured(command, environment)
    idle = run_measured(command, environment)
    _check(root, sent)
    seconds, cpu = full.seconds - idle.seconds, full.cpu_seconds - idle.cpu_seconds
    print(f"{sent:,} events, {PARTITIONS} partitions, validation included")
    print(f"  {full.seconds:8.1f} s   wall clock ({idle.seconds:.1f} s of it start and end)")
    print(f"  {full.cpu_seconds:8.1f} s   CPU ({idle.cpu_seconds:.1f} s of it start and end)")
    print(f"  {full.peak_bytes / 2**20:8.0f} MiB peak memory")
    print(f"  {sent / seconds:8,.0f} events/s")
    print(f"  {sent / cpu:8,.0f} events per CPU second")


def _check(root: Path, sent: int) -> None:
    from lake.ledger import Ledger
    from lake.storage_local import LocalStore

    archived = sum(Ledger(LocalStore(root)).rows()["record_count"].to_pylist())
    if archived != sent:
        raise LakeError(f"{sent:,} events were sent, {archived:,} are in raw")


if __name__ == "__main__":
    main()
