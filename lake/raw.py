"""The raw zone: immutable objects of events and of rejected records, committed flush by flush."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import BinaryIO

from lake.ledger import Ledger, LedgerRow
from lake.raw_buffers import Clock, OriginBuffer, utc_now
from lake.raw_objects import Origin
from lake.storage import ObjectStore
from lake.validation import Accepted, Rejected

FLUSH_BYTES = 128 << 20


def commit_flush(
    store: ObjectStore, ledger: Ledger, buffers: Sequence[OriginBuffer]
) -> list[LedgerRow]:
    """Put what the buffers hold and commit all of it to the ledger at once; gives the rows.

    One object per origin and day of events and one per origin of rejected records: what was put
    without a commit does not exist. Raises StaleWriterError where another process has committed
    for one of the origins, and then commits nothing. Failed, it may be tried again.
    """
    filled = [buffer for buffer in buffers if buffer.records]
    rows = [row for buffer in filled for row in buffer.put(store)]
    if rows:
        ledger.append_all(rows, [buffer.source_version for buffer in filled])
    for buffer in filled:
        buffer.restart()
    return rows


class RawWriter:
    """Takes the records of one origin and flushes them when they are many, each exactly once.

    Offsets must come in ascending order. Start at `next_offset`: everything before it is
    committed.
    """

    def __init__(
        self,
        store: ObjectStore,
        ledger: Ledger,
        origin: Origin,
        flush_records: int = 200_000,
        flush_bytes: int = FLUSH_BYTES,
        clock: Clock = utc_now,
    ) -> None:
        self._store, self._ledger = store, ledger
        self._flush_records, self._flush_bytes = flush_records, flush_bytes
        self._buffer = OriginBuffer(origin, ledger.version_of(origin.app_id), clock=clock)

    @property
    def next_offset(self) -> int:
        """The first offset that no flush has committed."""
        return self._buffer.committed_offset

    def accept(self, offset: int, event: Accepted) -> None:
        """Take an event; flushes when the buffers are full."""
        buffer = self._buffer
        buffer.accept(offset, event)
        if buffer.records >= self._flush_records or buffer.bytes >= self._flush_bytes:
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
        buffer = self._buffer
        more = self._stored_apart(offset, large) if large else None
        buffer.reject(offset, rejected, raw, recorded_at, more)
        if buffer.records >= self._flush_records or buffer.bytes >= self._flush_bytes:
            self.flush()

    def flush(self) -> int:
        """Put and commit what is buffered; gives the number of records.

        Raises StaleWriterError where another process has committed for the same origin.
        """
        records = self._buffer.records
        commit_flush(self._store, self._ledger, [self._buffer])
        return records

    def _stored_apart(self, offset: int, large: BinaryIO) -> dict[str, str | int]:
        key = self._buffer.apart_key(offset)
        large.seek(0)
        self._store.put_file(key, large)
        return {"raw_object": key, "raw_bytes": self._store.size(key)}
