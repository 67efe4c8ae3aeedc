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

from lake.audit_outcome import Audit
from lake.audit_sources import check_sources
from lake.ledger import ledger_rows
from lake.storage import ObjectStore
from streaming.archiver import Archiver
from streaming.consumer import KafkaOptions, open_consumer, partitions_of
from streaming.monitoring import ArchiverMetrics, Health
from streaming.options import ArchiveOptions
from tests.lake.raw_zone import RawZone
from tests.services import Kafka

PATIENCE_SECONDS = 300.0
# Short for those that are killed or stand still; long for those that should keep what they hold,
# however slow the machine is.
SESSION_SECONDS = 6
LONG_SESSION_SECONDS = 60
# Longer than any test: a flush comes by count, by size or at the end.
NEVER_SECONDS = 3_600.0


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


def outages_in(messages: Iterable[str], what: str) -> list[str]:
    """How each outage of `what` was told to begin; asserts that each was told once, and its end.

    A slow machine makes outages of its own; the last one may go on.
    """
    told = [m for m in messages if f"{what} is not available" in m or is_end(m, what)]
    assert not any(is_end(message, what) for message in told[::2]), told
    assert all(is_end(message, what) for message in told[1::2]), told
    return told[::2]


def is_end(message: str, what: str) -> bool:
    return f"{what} is available again" in message


def is_away(messages: Iterable[str], what: str) -> bool:
    """By the last that was said of it."""
    told = list(messages)
    return len(outages_in(told, what)) > sum(is_end(message, what) for message in told)


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
        thread.join(PATIENCE_SECONDS)
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
        acknowledged = []
        for number in numbers:
            body = canonical(event(number))
            acknowledged.append(
                producer.send(self.topic, value=body, partition=number % partitions)
            )
            self.sent[body] += 1
        producer.flush()
        for answer in acknowledged:
            answer.get(PATIENCE_SECONDS)
        producer.close()

    def send_raw(self, value: bytes | None, **more: Any) -> None:
        """One record as it is."""
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers)
        producer.send(self.topic, value=value, **more).get(PATIENCE_SECONDS)
        producer.close()

    def archiver(self, session_seconds: int = LONG_SESSION_SECONDS, **options: Any) -> Archiver:
        """An archiver in this process, alone in its group. `archive_once` runs one."""
        consumer = open_consumer(
            KafkaOptions(self.kafka.bootstrap_servers, uuid4().hex, session_seconds)
        )
        chosen = ArchiveOptions(**{"topics": {self.topic: 1}, **options})
        return Archiver(consumer, self.store, self.zone.ledger, chosen, ArchiverMetrics(), Health())

    def archive_once(self, **options: Any) -> Archiver:
        """Archive up to now. Without options in one flush, however long it takes."""
        archiver = self.archiver(**{"flush_seconds": NEVER_SECONDS, **options})
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
            bootstrap_servers=self.kafka.bootstrap_servers, auto_offset_reset="earliest"
        )
        partition = TopicPartition(self.topic, 0)
        consumer.assign([partition])
        (end,) = consumer.end_offsets([partition]).values()
        count = 0
        while consumer.position(partition) < end:
            count += sum(map(len, consumer.poll(1_000).values()))
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
