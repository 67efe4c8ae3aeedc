"""Records to Kafka: sent in order, counted only when acknowledged, held in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, TextIO

from kafka import KafkaProducer
from kafka.errors import AuthorizationError, KafkaError, KafkaTimeoutError

from lake.errors import LakeError
from streaming.consumer import refused
from streaming.outages import Outage
from streaming.traffic import Record

# What is sent and not acknowledged: more of it waits outside. A record costs objects as well
# (measured: 130 MB for 22,000 records).
BUFFER_BYTES = 32 << 20
RECORD_OVERHEAD_BYTES = 5_000
SILENCE_SECONDS = 5.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """Records so far. `waiting`: sent, and neither acknowledged nor failed."""

    acknowledged: int
    failed: int
    waiting: int
    by_kind: Counter[str]
    by_topic: Counter[str]


class Delivery:
    """Sends records; each is counted when all replicas that are in sync have it.

    acknowledged_file gets a line for each of these: topic, partition, offset, event_id, separated
    by tabs. `tick` is to be called each second, by a thread of its own; after `close` once more.
    """

    def __init__(
        self,
        producer: KafkaProducer,
        servers: str,
        stopping: threading.Event,
        acknowledged_file: TextIO | None = None,
    ) -> None:
        self._producer, self._servers, self._stopping = producer, servers, stopping
        self._file = acknowledged_file
        self._outage = Outage(f"Kafka at {servers}")
        self._changed = threading.Condition()
        self._acknowledged = self._failed = self._waiting = self._waiting_bytes = 0
        self._by_kind: Counter[str] = Counter()
        self._by_topic: Counter[str] = Counter()
        self._lines: list[str] = []
        self._last_answer = time.monotonic()
        self._first_failure: BaseException | None = None
        self._file_error: OSError | None = None
        self._gave_up = False

    def send(self, record: Record) -> bool:
        """Send a record; waits while too many are not acknowledged. False: told to stop meanwhile.

        Raises LakeError where Kafka refuses all records, or the file cannot be written.
        """
        size = len(record.value) + RECORD_OVERHEAD_BYTES
        with self._changed:
            while self._waiting and self._waiting_bytes + size > BUFFER_BYTES:
                self._check()
                if self._stopping.is_set():
                    return False
                self._changed.wait(0.5)
            self._check()
            if not self._waiting:
                self._last_answer = time.monotonic()
            self._waiting += 1
            self._waiting_bytes += size
        while not self._stopping.is_set():
            try:
                future = self._producer.send(record.topic, value=record.value, key=record.key)
            except KafkaTimeoutError:  # a broker that starts does not know its topics yet
                continue
            except KafkaError as error:  # larger than a request may be
                self._on_failed(record, error)
                return True
            future.add_callback(self._on_acknowledged, record)
            future.add_errback(self._on_failed, record)
            return True
        self._answered(record)
        return False

    def tick(self) -> DeliveryCounts:
        """Write and flush the file, tell an outage once, and give the counts."""
        with self._changed:
            lines, self._lines = self._lines, []
            silence = time.monotonic() - self._last_answer if self._waiting else 0.0
            counts = DeliveryCounts(
                self._acknowledged, self._failed, self._waiting,
                self._by_kind.copy(), self._by_topic.copy(),
            )  # fmt: skip
        if silence > SILENCE_SECONDS:
            self._outage.begins(TimeoutError(f"no acknowledgement for {silence:.0f} s"))
        elif not self._gave_up:
            self._outage.ends()
        if self._file is not None and self._file_error is None:
            try:
                self._file.writelines(lines)
                self._file.flush()
            except OSError as error:
                self._file_error = error
        return counts

    def finish(self) -> None:
        """Wait until all is acknowledged; after a signal not for long."""
        deadline: float | None = None
        with self._changed:
            while self._waiting:
                if deadline is None and self._stopping.is_set():
                    deadline = time.monotonic() + STOP_SECONDS
                if deadline is not None and time.monotonic() > deadline:
                    return
                self._changed.wait(0.5)

    def close(self) -> None:
        """End at once; what is not acknowledged counts as failed."""
        with self._changed:
            self._gave_up = self._gave_up or self._waiting > 0
        if self._gave_up:
            silence = KafkaTimeoutError(f"no answer within {STOP_SECONDS:.0f} s of the signal")
            self._first_failure = self._first_failure or silence
            # close() would wait for them, as long as Kafka is away; kafka-python is held to ~=3.0.
            self._producer._sender.force_close()
        self._producer.close(timeout=STOP_SECONDS)

    def check(self) -> None:
        """Raises LakeError where records were not acknowledged, or not written to the file."""
        self._check()
        if self._failed:
            raise LakeError(
                f"{self._failed:,} of the records were not acknowledged: {self._first_failure}\n"
                "  They may be in Kafka or not. Is it running, and does it take records so large?"
            )

    def _on_acknowledged(self, record: Record, metadata: Any) -> None:
        line = f"{metadata.topic}\t{metadata.partition}\t{metadata.offset}\t{record.event_id}\n"
        with self._changed:
            self._acknowledged += 1
            self._by_kind[record.kind] += 1
            self._by_topic[record.topic] += 1
            if self._file is not None:
                self._lines.append(line)
            self._answered(record)

    def _on_failed(self, record: Record, error: BaseException) -> None:
        with self._changed:
            self._failed += 1
            self._first_failure = self._first_failure or error
            self._answered(record)

    def _answered(self, record: Record) -> None:
        with self._changed:
            self._waiting -= 1
            self._waiting_bytes -= len(record.value) + RECORD_OVERHEAD_BYTES
            self._last_answer = time.monotonic()
            self._changed.notify_all()

    def _check(self) -> None:
        if isinstance(self._first_failure, AuthorizationError):
            refused(self._first_failure, self._servers)
        if self._file_error is not None:
            raise LakeError(
                f"The file of acknowledged records cannot be written: {self._file_error.strerror}\n"
                "  Give --acknowledged another file, or make room."
            )
