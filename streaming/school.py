"""Topics of school records into bronze: every message once, whoever is killed or runs twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from lake.errors import LakeError
from lake.landing.topic_rows import TopicBuffer, TopicPart
from lake.landing.topics import TopicBronze
from lake.landing.watching import LEASE
from lake.leases import awaited_lease
from lake.storage import ObjectStore
from streaming.consumer import KafkaOptions
from streaming.school_metrics import SchoolMetrics
from streaming.school_topics import SchoolOptions, open_school_consumer, topic_parts

ANSWER_MS = 10_000
CLOSE_MS = 3_000
SECONDS_BETWEEN_QUESTIONS = 5.0
SECONDS_BETWEEN_LOOKS = 60.0

log = logging.getLogger(__name__)


class SchoolReader:
    """Reads all partitions of the topics from where bronze ends.

    There is no consumer group. Of two readers that run at once both read everything; the one that
    commits later finds that its positions are stale, and goes on behind the other. After whatever
    goes wrong `forget` and `open` make a good state anew: Kafka still has what was held.
    """

    def __init__(
        self,
        kafka: KafkaOptions,
        store: ObjectStore,
        options: SchoolOptions,
        metrics: SchoolMetrics,
    ) -> None:
        self._kafka, self._store, self._options = kafka, store, options
        self._metrics = metrics
        self._bronze = TopicBronze(store)
        self._consumer: KafkaConsumer | None = None
        self._buffers: dict[TopicPartition, TopicBuffer] = {}
        self._asked = self._looked = 0.0
        self.landed_rows = 0

    @property
    def is_open(self) -> bool:
        return bool(self._buffers)

    @property
    def is_due(self) -> bool:
        """Whether what is held should be committed before more is read."""
        held = self._buffers.values()
        return (
            sum(buffer.rows for buffer in held) >= self._options.flush_rows
            or sum(buffer.bytes for buffer in held) >= self._options.flush_bytes
        )

    def open(self) -> None:
        """Find the topics and where each partition goes on.

        What expired in the broker since is told aloud and noted by a row. Raises LakeError where
        there is no topic, or where bronze is ahead of one; KafkaError, and what a store raises.
        """
        consumer = self._connected()
        parts = topic_parts(consumer, self._options)
        if self._bronze.has_unnoted(parts.values()):
            with awaited_lease(self._store, LEASE, self._options.patience, log.info) as lease:
                count = self._bronze.note_missing(parts.values(), lease.check)
            log.warning("%d contents were noted that a killed process had committed", count)
        positions = self._bronze.positions(parts.values())
        # After the positions: bronze may get ahead of ends that are older than they are.
        begins = consumer.beginning_offsets(list(parts), timeout_ms=ANSWER_MS)
        ends = consumer.end_offsets(list(parts), timeout_ms=ANSWER_MS)
        consumer.assign(list(parts))
        buffers = {}
        for partition, part in parts.items():
            buffer = self._new_buffer(part, positions[part])
            start = self._start(buffer, begins[partition], ends[partition])
            consumer.seek(partition, start)
            buffers[partition] = buffer
        self._buffers = buffers
        self._asked, self._looked = 0.0, time.monotonic()
        lost = [buffer for buffer in buffers.values() if buffer.rows]
        # A flush of its own: its row says exactly what was lost.
        self.flush()
        for buffer in lost:
            self._tell_lost(buffer)

    def poll(self, seconds: float) -> None:
        """Take what comes within so many seconds. Raises KafkaError, and as `flush`."""
        consumer = self._connected()
        try:
            records = consumer.poll(timeout_ms=int(seconds * 1_000))
        except OffsetOutOfRangeError:
            # Retention overtook a partition: what was taken first, then all positions anew.
            self.flush()
            self.forget()
            return
        for partition, messages in records.items():
            buffer = self._buffers[partition]
            for message in messages:
                buffer.take(message.offset, message.key, message.value)
            self._metrics.received.labels(partition.topic).inc(len(messages))
        self._metrics.held_rows.set(sum(buffer.rows for buffer in self._buffers.values()))
        if time.monotonic() - self._asked >= SECONDS_BETWEEN_QUESTIONS:
            self._note_lag(consumer)
        if time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS:
            self._look_for_new(consumer)

    def ends(self) -> dict[TopicPartition, int]:
        """Where each partition ends now."""
        partitions = list(self._buffers)
        ends: dict[TopicPartition, int] = self._connected().end_offsets(
            partitions, timeout_ms=ANSWER_MS
        )
        return ends

    def has_reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether everything before the ends was taken."""
        position = self._connected().position
        return self.is_open and all(
            (position(partition, timeout_ms=ANSWER_MS) or 0) >= ends.get(partition, 0)
            for partition in self._buffers
        )

    def flush(self) -> None:
        """Commit what is held; nothing is held afterwards, whatever is raised.

        Raises StaleWriterError where another process was faster, LeaseHeld where another landing
        takes too long, and what a store raises.
        """
        filled = [buffer for buffer in self._buffers.values() if buffer.rows]
        if not filled:
            return
        try:
            with awaited_lease(self._store, LEASE, self._options.patience, log.info) as lease:
                noted = self._bronze.add(filled, lease.check)
        except BaseException:
            self.forget()
            raise
        topics = {source: topic for topic, source in self._options.topics.items()}
        for landed in noted:
            self._metrics.count_landed(topics[landed.source], landed)
            self.landed_rows += landed.row_count
        for partition, buffer in self._buffers.items():
            if buffer.rows:
                self._buffers[partition] = self._new_buffer(buffer.part, buffer.last)
        self._metrics.held_rows.set(0)

    def forget(self) -> None:
        """Drop what is held: it is read again after the next `open`."""
        self._buffers = {}
        self._metrics.held_rows.set(0)

    def disconnect(self) -> None:
        """Forget, and make another connection at the next `open`."""
        self.forget()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            try:
                consumer.close(timeout_ms=CLOSE_MS)
            except KafkaError as error:
                log.info("the connection to Kafka did not end in order: %s", error)

    def _connected(self) -> KafkaConsumer:
        if self._consumer is None:
            self._consumer = open_school_consumer(self._kafka)
        return self._consumer

    def _new_buffer(self, part: TopicPart, committed: int | None) -> TopicBuffer:
        return TopicBuffer(part, committed, self._options.max_characters)

    def _start(self, buffer: TopicBuffer, begin: int, end: int) -> int:
        """The first offset to read. The broker has those from `begin` up to before `end`."""
        part, last = buffer.part, buffer.committed
        where = f"{part.topic} partition {part.partition}"
        if last is None:
            if begin > 0:
                log.warning(
                    "%s: read for the first time; offsets 0 … %d expired before", where, begin - 1
                )
            return begin
        if last + 1 > end:
            raise LakeError(
                f"{where} ends at offset {end}, but bronze.{part.source} holds its messages up to "
                f"{last}.\n"
                "  Was the topic deleted and made again? Then give the topics new names, "
                "LMSLAKE_SCHOOL_TOPICS_PREFIX=…; what was taken stays."
            )
        if last + 1 < begin:
            buffer.note_lost(last + 1, begin - 1)
        return max(begin, last + 1)

    def _tell_lost(self, buffer: TopicBuffer) -> None:
        part, count = buffer.part, buffer.last - buffer.first + 1
        self._metrics.lost.labels(part.topic, part.partition).inc(count)
        log.error(
            "LOST: %s partition %d: offsets %d … %d (%d) expired in the broker before they were "
            "taken; the topic's retention is too short for the time that nobody read it",
            part.topic,
            part.partition,
            buffer.first,
            buffer.last,
            count,
        )

    def _note_lag(self, consumer: KafkaConsumer) -> None:
        """Also how an absent Kafka is noticed: a poll says nothing of it."""
        self._asked = time.monotonic()
        ends = consumer.end_offsets(list(self._buffers), timeout_ms=ANSWER_MS)
        for partition, buffer in self._buffers.items():
            position = consumer.position(partition, timeout_ms=ANSWER_MS) or 0
            lag = max(0, ends[partition] - (buffer.first if buffer.rows else position))
            self._metrics.lag.labels(partition.topic, partition.partition).set(lag)

    def _look_for_new(self, consumer: KafkaConsumer) -> None:
        """Topics and partitions that were made since are opened with all others."""
        self._looked = time.monotonic()
        if topic_parts(consumer, self._options).keys() != self._buffers.keys():
            self.flush()
            self.forget()
