"""The raw zone: immutable objects of events and of rejected records, committed flush by flush."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, BinaryIO

import orjson

from lake.ledger import Ledger, LedgerRow
from lake.raw_objects import EventBuffer, GzipLines, Origin, put_lines
from lake.storage import ObjectStore
from lake.timestamps import from_microseconds
from lake.validation import Accepted, Rejected

FLUSH_BYTES = 128 << 20


class RawWriter:
    """Buffers the records of one origin and writes them flush by flush, each exactly once.

    Offsets must come in ascending order, without gaps in what is offered between two flushes.
    A flush puts one object per day of events and one of rejected records, then commits all of
    them to the ledger at once: what was put without a commit does not exist. Start at
    `next_offset`: everything before it is committed.
    """

    def __init__(
        self,
        store: ObjectStore,
        ledger: Ledger,
        origin: Origin,
        flush_records: int = 200_000,
        flush_bytes: int = FLUSH_BYTES,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._ledger, self._origin = store, ledger, origin
        self._flush_records, self._flush_bytes, self._clock = flush_records, flush_bytes, clock
        self._committed = ledger.version_of(origin.app_id)
        self.next_offset = 0 if self._committed is None else self._committed + 1
        self._reset()

    def _reset(self) -> None:
        self._events: dict[date, EventBuffer] = {}
        self._rejected = GzipLines()
        self._rejected_offsets = (-1, -1)
        self._reasons: Counter[str] = Counter()
        self._first_offset = -1
        self._last_offset = -1
        self._records = self._bytes = 0

    def accept(self, offset: int, event: Accepted) -> None:
        """Take an event; flushes when the buffers are full."""
        self._advance(offset)
        buffer = self._events.get(event.date)
        if buffer is None:
            buffer = self._events[event.date] = EventBuffer(offset, event.ts_us)
        buffer.add(offset, event)
        self._bytes += len(event.line)
        if self._records >= self._flush_records or self._bytes >= self._flush_bytes:
            self.flush()

    def reject(
        self,
        offset: int,
        rejected: Rejected,
        raw: bytes,
        recorded_at: datetime,
        large: BinaryIO | None = None,
    ) -> None:
        """Take a record that is refused, as it was sent.

        `large` holds the bytes of a record that is too large for memory; they are stored as an
        object of their own beside the quarantine, and `raw` is only its beginning.
        """
        self._advance(offset)
        record = {
            "topic": self._origin.topic,
            "source": self._origin.source,
            "partition": self._origin.partition,
            "offset": offset,
            "reason": rejected.reason,
            "detail": rejected.detail,
            "recorded_at": recorded_at.isoformat(),
            "ingested_at": self._clock().isoformat(),
            **({"schema": rejected.schema} if rejected.schema else {}),
            **_as_text(raw),
            **(self._stored_apart(offset, large) if large else {}),
        }
        line = orjson.dumps(record)
        first = self._rejected_offsets[0] if self._rejected.count else offset
        self._rejected.add(line)
        self._rejected_offsets = (first, offset)
        self._reasons[rejected.reason] += 1
        self._bytes += len(line)
        if self._records >= self._flush_records or self._bytes >= self._flush_bytes:
            self.flush()

    def flush(self) -> int:
        """Put and commit what is buffered; gives the number of records.

        Raises StaleWriterError where another process has committed for the same origin.
        """
        records = self._records
        if self._first_offset < 0:
            return records
        now = self._clock()
        rows = [self._put_events(day, buffer, now) for day, buffer in sorted(self._events.items())]
        if self._rejected.count:
            rows.append(self._put_rejected(now))
        self._ledger.append(rows, self._origin.app_id, self._last_offset, self._committed)
        self._committed = self._last_offset
        self.next_offset = self._last_offset + 1
        self._reset()
        return records

    def _advance(self, offset: int) -> None:
        if offset <= self._last_offset or offset < self.next_offset:
            raise ValueError(f"offset {offset} was taken before")
        if self._first_offset < 0:
            self._first_offset = offset
        self._last_offset = offset
        self._records += 1

    def _put_events(self, day: date, buffer: EventBuffer, now: datetime) -> LedgerRow:
        span = buffer.span
        record_count = buffer.lines.count
        path, size = put_lines(self._store, "raw", self._origin, day, span, buffer.lines)
        return self._row(
            path,
            day,
            span,
            now,
            size,
            record_count=record_count,
            min_ts=from_microseconds(buffer.min_us),
            max_ts=from_microseconds(buffer.max_us),
            is_quarantine=False,
            reasons=None,
            id_digest=buffer.id_digest,
        )

    def _put_rejected(self, now: datetime) -> LedgerRow:
        day, span = now.astimezone(UTC).date(), self._rejected_offsets
        path, size = put_lines(self._store, "quarantine", self._origin, day, span, self._rejected)
        return self._row(
            path,
            day,
            span,
            now,
            size,
            record_count=self._reasons.total(),
            min_ts=None,
            max_ts=None,
            is_quarantine=True,
            reasons=orjson.dumps(dict(sorted(self._reasons.items()))).decode(),
            id_digest=None,
        )

    def _row(
        self, path: str, day: date, span: tuple[int, int], now: datetime, size: int, **rest: Any
    ) -> LedgerRow:
        return LedgerRow(
            topic=self._origin.topic,
            source=self._origin.source,
            partition=self._origin.partition,
            date=day,
            path=path,
            first_offset=span[0],
            last_offset=span[1],
            flush_first_offset=self._first_offset,
            flush_last_offset=self._last_offset,
            bytes=size,
            ingested_at=now,
            **rest,
        )

    def _stored_apart(self, offset: int, large: BinaryIO) -> dict[str, str | int]:
        day = self._clock().astimezone(UTC).date()
        key = (
            f"events/quarantine/{self._origin.topic}/date={day}/"
            f"{self._origin.prefix}-{offset:012d}.large"
        )
        large.seek(0)
        self._store.put_file(key, large)
        return {"raw_object": key, "raw_bytes": self._store.size(key)}


def _as_text(raw: bytes) -> dict[str, str]:
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}
