"""A topic, a lake, and archivers between them, in this process or as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from lake.audit import Audit
from lake.audit_sources import check_sources
from lake.ledger import ledger_rows
from lake.storage import ObjectStore
from streaming.archiver import Archiver
from streaming.consumer import KafkaOptions, open_consumer, partitions_of
from streaming.monitoring import ArchiverMetrics, Health
from streaming.options import ArchiveOptions
from tests.lake.raw_zone import RawZone
from tests.services import Kafka

PATIENCE_SECONDS = 60.0
SESSION_SECONDS = 6


def event(number: int, **changes: Any) -> dict[str, Any]:
    """A valid page view of now."""
    return {
        "event_id": f"e-{number}",
        "student_id": f"s-{number % 7}",
        "event_type": "page_view",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **changes,
    }


def canonical(record: dict[str, Any]) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@contextmanager
def in_background(archiver: Archiver) -> Iterator[list[BaseException]]:
    """It runs during the block; the list has what it raised, after the block."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            archiver.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failures
    finally:
        archiver.stop()
        thread.join(60)
    assert not thread.is_alive()


@dataclass
class World:
    """One topic on its way into one lake. `sent`: the events that the broker acknowledged."""

    kafka: Kafka
    topic: str
    store: ObjectStore
    sent: Counter[bytes] = field(default_factory=Counter)

    @property
    def zone(self) -> RawZone:
        return RawZone(self.store)

    def send(self, numbers: Iterable[int], partitions: int = 4, **more: Any) -> None:
        """Events, round the partitions; `more` are options of the producer."""
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers, **more)
        for number in numbers:
            body = canonical(event(number))
            producer.send(self.topic, value=body, partition=number % partitions)
            self.sent[body] += 1
        producer.flush()
        producer.close()

    def send_raw(self, value: bytes | None, **more: Any) -> None:
        """One record as it is."""
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers)
        producer.send(self.topic, value=value, **more).get(20)
        producer.close()

    def archiver(self, store: ObjectStore | None = None, **options: Any) -> Archiver:
        """An archiver in this process, alone in its group. `archive_once` runs one."""
        store = store or self.store
        consumer = open_consumer(
            KafkaOptions(self.kafka.bootstrap_servers, uuid4().hex, SESSION_SECONDS)
        )
        chosen = ArchiveOptions(**{"topics": {self.topic: 1}, **options})
        return Archiver(consumer, store, RawZone(store).ledger, chosen, ArchiverMetrics(), Health())

    def archive_once(self, **options: Any) -> Archiver:
        archiver = self.archiver(**options)
        archiver.run(self.ends())
        return archiver

    def ends(self) -> dict[TopicPartition, int]:
        consumer = KafkaConsumer(bootstrap_servers=self.kafka.bootstrap_servers)
        try:
            ends: dict[TopicPartition, int] = consumer.end_offsets(
                partitions_of(consumer, [self.topic])
            )
        finally:
            consumer.close()
        return ends

    def readable(self) -> int:
        """Records of partition 0 that the broker still has."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap_servers,
            auto_offset_reset="earliest",
            consumer_timeout_ms=2_000,
        )
        consumer.assign([TopicPartition(self.topic, 0)])
        count = sum(1 for _ in consumer)
        consumer.close()
        return count

    def delete_before(self, offset: int, partition: int = 0) -> None:
        """What retention does."""
        admin = KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
        admin.delete_records({TopicPartition(self.topic, partition): offset})
        admin.close()

    def faults(self) -> list[str]:
        """What the audit finds wrong with the sources."""
        outcome = Audit()
        check_sources(ledger_rows(self.zone.ledger.rows(is_quarantine=None)), outcome)
        return outcome.faults

    def check_exactly_once(self) -> None:
        """Every event that was sent is in raw once, and spans chain from the first to the end."""
        assert self.zone.lines() == self.sent
        assert self.faults() == []
        ends: dict[int, int] = {}
        for row in ledger_rows(self.zone.ledger.rows(is_quarantine=None)):
            ends[row.partition] = max(ends.get(row.partition, 0), row.flush_last_offset + 1)
        assert ends == {p.partition: end for p, end in self.ends().items() if end}

    def process(self, log: Path, *arguments: str, **environment: str) -> ArchiveProcess:
        """`lmslake archive` in a process of its own, on a local lake."""
        return ArchiveProcess(
            log,
            arguments,
            {
                "LMSLAKE_ROOT": self.store.uri(""),
                "LMSLAKE_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
                "LMSLAKE_KAFKA_TOPICS": self.topic,
                "LMSLAKE_KAFKA_GROUP_ID": self.topic,
                "LMSLAKE_KAFKA_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
                "LMSLAKE_METRICS_PORT": "0",
                **environment,
            },
        )


class ArchiveProcess:
    """What is left of it ends with the block."""

    def __init__(self, log: Path, arguments: Iterable[str], environment: dict[str, str]) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("lmslake")), "archive", *arguments],
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
            )

    def __enter__(self) -> ArchiveProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()

    @property
    def output(self) -> str:
        return self._log.read_text()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        return self._process.wait(seconds)
