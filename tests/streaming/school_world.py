"""Topics of a school's records, a lake, and readers between them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from lake.storage import ObjectStore
from schemas.records import SOURCES
from streaming.consumer import KafkaOptions
from streaming.school import SchoolReader
from streaming.school_metrics import SchoolHealth, SchoolMetrics
from streaming.school_stream import Builder, Rounds, SchoolStream
from streaming.school_topics import SchoolOptions
from tests.landing.files import bronze_rows, table_rows
from tests.pipelines.killing import Command
from tests.services import Kafka
from tests.streaming.world import PATIENCE_SECONDS, wait_until

PARTITIONS = 2


def attendance(number: int) -> bytes:
    record = {
        "attendance_id": f"A{number}",
        "student_id": f"STU{number % 7:03}",
        "attendance_date": "2025-09-01",
        "status": "P",
        "created_at": "2025-09-01T12:00:00Z",
    }
    return json.dumps(record).encode()


@dataclass
class SchoolWorld:
    """A prefix of its own for the topics. `sent`: ids of attendance that the broker has."""

    kafka: Kafka
    store: ObjectStore
    prefix: str = field(default_factory=lambda: f"t{uuid4().hex[:8]}.")
    sent: Counter[str] = field(default_factory=Counter)
    metrics: SchoolMetrics = field(default_factory=SchoolMetrics)
    health: SchoolHealth = field(default_factory=SchoolHealth)

    def create_topics(self, *sources: str) -> None:
        for source in sources or SOURCES:
            self.kafka.create_topic(PARTITIONS, f"{self.prefix}{source}")

    def send(self, numbers: Iterable[int]) -> None:
        """Records of attendance, round the partitions."""
        values = []
        for number in numbers:
            values.append((attendance(number), number % PARTITIONS))
            self.sent[f"A{number}"] += 1
        self.send_raw("attendance", values)

    def send_raw(self, source: str, values: Iterable[tuple[bytes | None, int]]) -> None:
        """Values as they are, each with its partition."""
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers)
        topic = f"{self.prefix}{source}"
        answers = [
            producer.send(topic, value=value, key=b"k", partition=partition)
            for value, partition in values
        ]
        producer.flush()
        for answer in answers:
            answer.get(PATIENCE_SECONDS)
        producer.close()

    def delete_before(self, offset: int, partition: int = 0, source: str = "attendance") -> None:
        """What retention does."""
        admin = KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
        admin.delete_records({TopicPartition(f"{self.prefix}{source}", partition): offset})
        admin.close()

    def stream(
        self, builder: Builder | None = None, *, servers: str = "", interval: float = 0.5,
        once: bool = True, **options: Any,
    ) -> SchoolStream:  # fmt: skip
        kafka = KafkaOptions(servers or self.kafka.bootstrap_servers)
        chosen = SchoolOptions(
            **{"prefix": self.prefix, "patience": timedelta(minutes=2), **options}
        )
        reader = SchoolReader(kafka, self.store, chosen, self.metrics)
        rounds = Rounds(interval, once)
        return SchoolStream(
            reader, builder, rounds, kafka.bootstrap_servers, self.metrics, self.health
        )

    def take(self, **options: Any) -> None:
        """Take what is in Kafka now."""
        self.stream(**options).run()

    @contextmanager
    def running(self, stream: SchoolStream) -> Iterator[None]:
        """The stream runs during the block, and ends well after it."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                stream.run()
            except BaseException as error:
                failures.append(error)

        thread = Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stream.stop()
            thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
        assert failures == []

    def process(self, log: Path, *arguments: str, **environment: str) -> Command:
        """`lmslake records stream` in a process of its own, on a local lake, without builds."""
        return Command(
            ("records", "stream", "--no-build", *arguments),
            {
                "LMSLAKE_ROOT": self.store.uri(""),
                "LMSLAKE_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
                "LMSLAKE_SCHOOL_TOPICS_PREFIX": self.prefix,
                "LMSLAKE_SCHOOL_METRICS_PORT": "0",
                **environment,
            },
            log,
        )

    def landed(self) -> Counter[str]:
        """Ids of attendance in bronze."""
        return Counter(row.fields[0] or "" for row in bronze_rows(self.store))

    def wait_for_sent(self) -> None:
        wait_until(lambda: self.landed() == self.sent, "all is in bronze")

    def check_exactly_once(self) -> None:
        """Every record is in bronze once; the ranges that were noted hold all, and chain."""
        assert self.landed() == self.sent
        noted = [
            row
            for row in table_rows(self.store, "bronze.landed_files")
            if row["file_name"].startswith("kafka:") and row["source"] == "attendance"
        ]
        counts = Counter(
            row["_content_hash"]
            for row in table_rows(self.store, "bronze.attendance")
            if row["_source_file"].startswith("kafka:")
        )
        assert counts == {row["content_hash"]: row["row_count"] for row in noted}
        spans: dict[str, list[tuple[int, int]]] = {}
        for row in noted:
            where, _, span = row["file_name"].rpartition("/")
            first, _, last = span.partition("-")
            spans.setdefault(where, []).append((int(first), int(last)))
        for where, ranges in spans.items():
            ends = [-1, *(last for _, last in sorted(ranges))]
            assert [first for first, _ in sorted(ranges)] == [end + 1 for end in ends[:-1]], where
