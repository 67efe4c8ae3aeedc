"""Kafka into the raw zone: every record once, whatever happens to archivers, brokers and stores."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from lake.errors import LakeError
from lake.ledger import Ledger, StaleWriterError
from lake.storage import ObjectStore
from lake.validation import Validator
from streaming.broker_watch import BrokerWatch
from streaming.consumer import PATIENCE_ONCE_SECONDS, cluster_id, is_settled, keep_joining, refused
from streaming.flushing import Flusher
from streaming.holdings import Holdings, Records
from streaming.monitoring import ArchiverMetrics, Health
from streaming.options import ArchiveOptions, ArchiveProgress
from streaming.outages import STORE_ERRORS
from streaming.positions import opened_buffer, origin_of
from streaming.rebalances import Rebalances
from streaming.records import RecordTaker

POLL_SECONDS = 0.2
# A revocation holds up the whole group; a stop must end before a scheduler's kill.
REVOKE_SECONDS = 15.0
STOP_SECONDS = 20.0
# Of each flush of one who is to end: a scheduler tries again.
ONCE_SECONDS = 120.0
CLOSE_MS = 3_000
PROGRESS_SECONDS = 10.0

log = logging.getLogger(__name__)


class Archiver:
    """One member of the consumer group. `run` returns after `stop`, or at its ends.

    Where a partition goes on is read from the ledger, each time that it is assigned; the offsets
    that the group keeps are written for those who watch its lag.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        store: ObjectStore,
        ledger: Ledger,
        options: ArchiveOptions,
        metrics: ArchiverMetrics,
        health: Health,
        on_progress: Callable[[ArchiveProgress], None] = lambda progress: None,
    ) -> None:
        self.metrics, self.health = metrics, health
        self._consumer, self._options, self._on_progress = consumer, options, on_progress
        self._cluster = cluster_id(consumer)
        self._taker = RecordTaker(Validator(options.limits), options.max_record_bytes)
        self._flusher = Flusher(store, ledger, metrics, health, self._idle)
        self._broker = BrokerWatch(consumer, metrics, health)
        self._held = Holdings(options)
        self._stopping = threading.Event()
        self._records = 0
        self._started = self._reported = time.monotonic()

    def stop(self) -> None:
        """Ask for the end: what is held is flushed first. For a signal handler."""
        self._stopping.set()
        self._flusher.deadline = time.monotonic() + STOP_SECONDS

    def run(self, ends: Mapping[TopicPartition, int] | None = None) -> None:
        """Archive until `stop`; with `ends` until the partitions that it was given reach them.

        Raises LakeError where it cannot go on without a hand, or could not flush at the end; with
        `ends` also where the store or Kafka is away for long.
        """
        if ends is not None:
            self._flusher.patience, self._broker.patience = ONCE_SECONDS, PATIENCE_ONCE_SECONDS
        listener = Rebalances(self._assigned, self._revoked, self._lost)
        self._consumer.subscribe(list(self._options.topics), listener=listener)
        gone: LakeError | None = None
        try:
            while not (self._stopping.is_set() or gone):
                self._one_turn()
                if ends is not None and self._has_reached(ends):
                    break
                gone = self._broker.given_up
            self._flush()
            if gone:
                raise gone
        except KafkaError as error:
            refused(error, ", ".join(self._consumer.config["bootstrap_servers"]))
        finally:
            self._close()

    def progress(self) -> ArchiveProgress:
        """What was done so far."""
        seconds, done = time.monotonic() - self._started, self._flusher
        return ArchiveProgress(seconds, self._records, done.events, done.rejected, self._broker.lag)

    def _one_turn(self) -> None:
        self._tick()
        try:
            if self._held.unopened:
                self._open_partitions()
            self._take(self._poll(POLL_SECONDS))
            self._broker.ask(self._held.buffers)
        except OffsetOutOfRangeError as error:
            # Retention overtook a partition that we read: what was taken first, then its position.
            self._flush()
            self._reopen(error.args[0])
        except KafkaError as error:
            self._broker.note_away(error)
            self._stopping.wait(POLL_SECONDS)  # kafka-python itself backs off from its brokers
        if self._held.is_due:
            self._flush()

    def _poll(self, seconds: float) -> Records:
        keep_joining(self._consumer)
        records: Records = self._consumer.poll(timeout_ms=int(seconds * 1_000))
        return records

    def _take(self, records: Records) -> None:
        for topic, count in self._held.take(records, self._taker.take).items():
            self._records += count
            self.metrics.records.labels(topic).inc(count)

    def _has_reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        if self._held.unopened or not (self.health.is_assigned and is_settled(self._consumer)):
            return False
        return all(self._broker.position(p) >= ends.get(p, 0) for p in self._held.buffers)

    def _flush(self) -> None:
        """Commit everything that is held; nothing more is read until the store has taken it."""
        if assigned := self._consumer.assignment():
            self._consumer.pause(*assigned)
        for partition, buffer in self._held.buffers.items():
            if buffer.records:
                # Offsets behind the last record that hold none belong to this span.
                buffer.skip_to(self._broker.position(partition))
        while True:
            try:
                self._flusher.flush(self._held.filled)
                break
            except StaleWriterError as error:
                self._drop_stale(self._held.of_sources(error.app_ids))
        self._held.flushed()
        if committed := self._held.committed():
            self._consumer.commit_async(committed)
        self._resume()

    def _drop_stale(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            count = self._held.buffers[partition].records
            log.warning("another archiver has committed %s: %d records are its", partition, count)
            self.metrics.stale.labels(partition.topic, partition.partition).inc()
        self._reopen(partitions)

    def _reopen(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget what is held of the partitions and read their positions again."""
        for partition in partitions:
            if self._held.reopen(partition):
                self._consumer.pause(partition)

    def _resume(self) -> None:
        if readable := self._consumer.assignment() & self._held.buffers.keys():
            self._consumer.resume(*readable)

    def _open_partitions(self) -> None:
        """Go on where the ledger ends, with every partition whose position is not known."""
        partitions = sorted(self._held.unopened)
        begins, ends = self._broker.bounds(partitions)
        origins = [
            origin_of(self._cluster, p.topic, p.partition, self._options.topics[p.topic])
            for p in partitions
        ]
        committed = self._flusher.committed_offsets([origin.app_id for origin in origins])
        has_lost = False
        for partition, origin, last in zip(partitions, origins, committed, strict=True):
            if partition not in self._held.unopened:
                continue  # it went while we asked
            buffer = opened_buffer(origin, last, begins[partition], ends[partition])
            if buffer.records:
                has_lost = True
                lost = buffer.next_offset - buffer.committed_offset
                self.metrics.lost.labels(partition.topic, partition.partition).inc(lost)
            self._held.open(partition, buffer)
            self._consumer.seek(partition, buffer.next_offset)
        if has_lost:
            # A flush of its own: its row says exactly what was lost.
            self._flush()
        self._resume()

    def _assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """The group gave these partitions. They wait until their positions are read."""
        for partition in partitions:
            # Any position: without one the consumer would ask for the group's.
            self._consumer.seek(partition, 0)
            self._consumer.pause(partition)
            self._held.unopened.add(partition)
        self.health.is_assigned = True

    def _revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """The group takes these partitions: commit what is held of them, if that is quick."""
        going = set(partitions)
        try:
            if self._held.filled(going):
                self._flusher.flush_within(REVOKE_SECONDS, lambda: self._held.filled(going))
        except Exception as error:
            if not isinstance(error, STORE_ERRORS):
                raise
            log.warning("partitions go unflushed, their next owner reads them again: %s", error)
        self._lost(going)

    def _lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Others own these partitions already: what is held of them is theirs to archive."""
        self._held.drop(partitions)
        self._broker.forget(partitions)

    def _idle(self, seconds: float) -> None:
        """Stay in the group while the store is waited for. Everything is paused meanwhile."""
        started = time.monotonic()
        try:
            # Nothing should come; what comes can't be added to a flush that is under way.
            self._reopen(self._poll(seconds))
            # The lag grows most while the store is away.
            self._broker.ask(self._held.buffers)
        except KafkaError as error:
            self._broker.note_away(error)
        # Without partitions a poll may return at once.
        time.sleep(max(0.0, seconds - (time.monotonic() - started)))
        self._tick()

    def _tick(self) -> None:
        self.health.beat()
        self.metrics.buffered_records.set(self._held.records)
        self.metrics.buffered_bytes.set(self._held.bytes)
        if time.monotonic() - self._reported >= PROGRESS_SECONDS:
            self._reported = time.monotonic()
            self._on_progress(self.progress())

    def _close(self) -> None:
        self.health.is_assigned = False
        try:
            self._consumer.close(timeout_ms=CLOSE_MS)
        except KafkaError as error:
            log.warning("the group was not left in order: %s", error)
        self._flusher.close()
