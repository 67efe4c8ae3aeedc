"""What one origin has sent since its last flush, on its way into objects and ledger rows."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import orjson

from lake.ledger import LedgerRow, SourceVersion
from lake.raw_objects import EventBuffer, GzipLines, Origin, put_lines
from lake.storage import ObjectStore
from lake.timestamps import from_microseconds
from lake.validation import Accepted, Rejected

# Reason of the one record that stands for offsets that Kafka removed before they were archived.
EXPIRED = "expired_in_broker"

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class OriginBuffer:
    """Buffers the records of one origin between two flushes.

    Offsets come in ascending order. The span of a flush begins at `next_offset` as it was after
    the flush before (without one at `start`, else at the first record), so that spans chain;
    offsets that are passed over are counted as gaps. `put` may be repeated until the rows that
    it gives are in the ledger; then `restart` makes the buffer ready for what follows.
    """

    def __init__(
        self,
        origin: Origin,
        committed: int | None,
        start: int | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.origin = origin
        self._committed, self._clock = committed, clock
        self._start = committed + 1 if committed is not None else start
        self._reset()

    def _reset(self) -> None:
        self.records = self.bytes = 0
        self._first_offset = -1 if self._start is None else self._start
        self._next = self._start or 0
        self._gaps = 0
        self._events: dict[date, EventBuffer] = {}
        self._rejected = GzipLines()
        self._rejected_span = (-1, -1)
        self._reasons: Counter[str] = Counter()
        self._apart: dict[str, bytes] = {}
        self._rows: list[LedgerRow] | None = None

    @property
    def next_offset(self) -> int:
        """The first offset that may be offered; everything before it was taken."""
        return self._next

    @property
    def committed_offset(self) -> int:
        """The first offset that no flush has committed."""
        return self._start or 0

    @property
    def source_version(self) -> SourceVersion:
        """The step that a commit of this buffer makes in the ledger."""
        return SourceVersion(self.origin.app_id, self._next - 1, self._committed)

    def accept(self, offset: int, event: Accepted) -> None:
        """Take an event."""
        self._advance(offset, offset)
        buffer = self._events.get(event.date)
        if buffer is None:
            buffer = self._events[event.date] = EventBuffer(offset, event.ts_us)
        buffer.add(offset, event)
        self.bytes += len(event.line)

    def reject(
        self,
        offset: int,
        rejected: Rejected,
        raw: bytes,
        recorded_at: datetime,
        more: Mapping[str, Any] | None = None,
        last_offset: int | None = None,
    ) -> None:
        """Take a record that is refused, as it was sent; `more` is kept beside it.

        `last_offset` is the end of a range of offsets that the one record stands for.
        """
        last = offset if last_offset is None else last_offset
        self._advance(offset, last)
        record = {
            "topic": self.origin.topic,
            "source": self.origin.source,
            "partition": self.origin.partition,
            "offset": offset,
            "reason": rejected.reason,
            "detail": rejected.detail,
            "recorded_at": recorded_at.isoformat(),
            "ingested_at": self._clock().isoformat(),
            **({"schema": rejected.schema} if rejected.schema else {}),
            **as_text("raw", raw),
            **(more or {}),
        }
        line = orjson.dumps(record)
        first = self._rejected_span[0] if self._rejected.count else offset
        self._rejected.add(line)
        self._rejected_span = (first, last)
        self._reasons[rejected.reason] += 1
        self.bytes += len(line)

    def keep_apart(self, offset: int, large: bytes) -> dict[str, str | int]:
        """Put a large record into an object of its own with the next flush.

        Gives what its record in quarantine says of it (`more` of `reject`).
        """
        key = self.apart_key(offset)
        self._apart[key] = large
        self.bytes += len(large)
        return {"raw_object": key, "raw_bytes": len(large)}

    def apart_key(self, offset: int) -> str:
        """The object of a record that is too large to lie among others."""
        day = self._clock().astimezone(UTC).date()
        return (
            f"events/quarantine/{self.origin.topic}/date={day}/"
            f"{self.origin.prefix}-{offset:012d}.large"
        )

    def skip_to(self, offset: int) -> None:
        """Offsets before this one hold no more records. Without records nothing changes."""
        if self.records and offset > self._next:
            self._gaps += offset - self._next
            self._next = offset

    def put(self, store: ObjectStore) -> list[LedgerRow]:
        """Put the objects; gives their rows. Put again after a failure, they are the same."""
        if self._rows is None:
            now = self._clock()
            for key, body in self._apart.items():
                store.put(key, body)
            rows = [
                self._put_events(store, day, buffer, now)
                for day, buffer in sorted(self._events.items())
            ]
            if self._rejected.count:
                rows.append(self._put_rejected(store, now))
            self._rows = rows
        return self._rows

    def restart(self) -> None:
        """What was put is committed: begin the next flush."""
        self._committed = self._next - 1
        self._start = self._next
        self._reset()

    def _advance(self, offset: int, last: int) -> None:
        if offset < self._next:
            raise ValueError(f"offset {offset} was taken before")
        if self._first_offset < 0:
            self._first_offset = self._next = offset
        self._gaps += last - self._next  # all but the one that holds the record
        self._next = last + 1
        self.records += 1

    def _put_events(
        self, store: ObjectStore, day: date, buffer: EventBuffer, now: datetime
    ) -> LedgerRow:
        span = buffer.span
        path, size = put_lines(store, "raw", self.origin, day, span, buffer.lines)
        return self._row(
            path,
            day,
            span,
            now,
            size,
            record_count=buffer.lines.count,
            min_ts=from_microseconds(buffer.min_us),
            max_ts=from_microseconds(buffer.max_us),
            is_quarantine=False,
            reasons=None,
            id_digest=buffer.id_digest,
        )

    def _put_rejected(self, store: ObjectStore, now: datetime) -> LedgerRow:
        day, span = now.astimezone(UTC).date(), self._rejected_span
        path, size = put_lines(store, "quarantine", self.origin, day, span, self._rejected)
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
            topic=self.origin.topic,
            source=self.origin.source,
            partition=self.origin.partition,
            date=day,
            path=path,
            first_offset=span[0],
            last_offset=span[1],
            flush_first_offset=self._first_offset,
            flush_last_offset=self._next - 1,
            flush_gap_count=self._gaps,
            bytes=size,
            ingested_at=now,
            **rest,
        )


def as_text(name: str, value: bytes) -> dict[str, str]:
    """The bytes under `name` as text, or under `name`_base64 where they are no UTF-8."""
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}
