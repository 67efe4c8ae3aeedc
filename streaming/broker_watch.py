"""Kafka as the archiver sees it: is it there, and how much is still to take?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from lake.errors import LakeError
from lake.raw_buffers import OriginBuffer
from streaming.consumer import gone, is_unavailable
from streaming.monitoring import ArchiverMetrics, Health
from streaming.outages import Outage

SECONDS_BETWEEN_QUESTIONS = 5.0
ANSWER_MS = 3_000
BOUNDS_MS = 10_000

Offsets = Mapping[TopicPartition, int]


class BrokerWatch:
    """Asks for the ends of the partitions from time to time: kafka-python says nothing by itself
    when no broker answers."""

    def __init__(self, consumer: KafkaConsumer, metrics: ArchiverMetrics, health: Health) -> None:
        self._consumer, self._metrics, self._health = consumer, metrics, health
        self._outage = Outage("Kafka")
        # Seconds that Kafka may be away; None: as long as it takes. `given_up`: it is over.
        self.patience: float | None = None
        self.given_up: LakeError | None = None
        self._lags: dict[TopicPartition, int] = {}
        self._asked = time.monotonic()

    @property
    def lag(self) -> int:
        """Offsets of all partitions that the ledger does not have yet."""
        return sum(self._lags.values())

    def ask(self, buffers: Mapping[TopicPartition, OriginBuffer]) -> None:
        """Note the lag of each partition, if it is time. Raises KafkaError."""
        partitions = list(buffers)
        if not partitions:
            # Who has no partition must see an outage, too.
            partitions = [TopicPartition(topic, 0) for topic in self._consumer.subscription()]
        if not partitions or time.monotonic() - self._asked < SECONDS_BETWEEN_QUESTIONS:
            return
        self._asked = time.monotonic()
        ends = self._consumer.end_offsets(partitions, timeout_ms=ANSWER_MS)
        for partition, buffer in buffers.items():
            lag = max(0, ends[partition] - buffer.committed_offset)
            self._lags[partition] = lag
            self._metrics.lag.labels(partition.topic, partition.partition).set(lag)
        self._note_there()

    def bounds(self, partitions: Iterable[TopicPartition]) -> tuple[Offsets, Offsets]:
        """The first offset of each partition, and the one after its last. Raises KafkaError."""
        partitions = list(partitions)
        begins = self._consumer.beginning_offsets(partitions, timeout_ms=BOUNDS_MS)
        ends = self._consumer.end_offsets(partitions, timeout_ms=BOUNDS_MS)
        self._note_there()
        return begins, ends

    def note_away(self, error: KafkaError) -> None:
        """Note that Kafka did not answer. Raises the error where waiting does not help."""
        if not is_unavailable(error):
            raise error
        self._outage.begins(error)
        self._note(is_up=False)
        self._asked = time.monotonic()
        if self.patience is not None and self._outage.seconds >= self.patience:
            servers = ",".join(self._consumer.config["bootstrap_servers"])
            self.given_up = gone(error, self._outage.seconds, servers)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These are watched by others."""
        for partition in partitions:
            if self._lags.pop(partition, None) is not None:
                self._metrics.lag.remove(partition.topic, partition.partition)

    def position(self, partition: TopicPartition) -> int:
        """The next offset that the consumer will read; 0 where it cannot say."""
        try:
            return self._consumer.position(partition, timeout_ms=ANSWER_MS) or 0
        except KafkaError as error:
            self.note_away(error)
            return 0

    def _note_there(self) -> None:
        self._outage.ends()
        self.given_up = None
        self._note(is_up=True)

    def _note(self, *, is_up: bool) -> None:
        self._health.is_kafka_up = is_up
        self._metrics.kafka_up.set(is_up)
