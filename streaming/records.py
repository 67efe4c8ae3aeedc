"""A record of Kafka on its way into the raw zone or into quarantine."""

from __future__ import annotations

import base64
import time
from typing import Any, Protocol

from lake.raw_buffers import OriginBuffer, as_text
from lake.splitting import KEPT_OF_LARGE
from lake.timestamps import from_microseconds
from lake.validation import Accepted, Rejected, Validator

# A day past which no clock of ours is: a stamp out of this range says nothing.
LAST_STAMP_MS = 4_102_444_800_000  # 2100-01-01


class KafkaRecord(Protocol):
    """What is used of kafka-python's ConsumerRecord."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> list[tuple[str, bytes | None]]: ...


class RecordTaker:
    """Validates records one by one and hands each to a buffer.

    An event's time is held against the time that the broker keeps for the record.
    """

    def __init__(self, validator: Validator, max_record_bytes: int) -> None:
        self._check = validator.check_at
        self._max_record_bytes = max_record_bytes

    def take(self, buffer: OriginBuffer, record: KafkaRecord) -> None:
        """Every record ends in the buffer, as an event or as it was sent with a reason."""
        value = record.value
        stamp = record.timestamp
        if stamp is None or not 0 <= stamp < LAST_STAMP_MS:
            stamp = time.time_ns() // 1_000_000
        if value is None:
            rejected = Rejected("tombstone", "the record has no value")
            self._reject(buffer, record, rejected, b"", stamp, {"is_null": True})
        elif len(value) > self._max_record_bytes:
            detail = f"the record has {len(value):,} bytes, at most {self._max_record_bytes:,}"
            apart = buffer.keep_apart(record.offset, value)
            beginning = value[:KEPT_OF_LARGE]
            self._reject(buffer, record, Rejected("too_large", detail), beginning, stamp, apart)
        else:
            checked = self._check(value, stamp * 1_000)
            if isinstance(checked, Accepted):
                buffer.accept(record.offset, checked)
            else:
                self._reject(buffer, record, checked, value, stamp, {})

    @staticmethod
    def _reject(
        buffer: OriginBuffer,
        record: KafkaRecord,
        rejected: Rejected,
        raw: bytes,
        stamp_ms: int,
        more: dict[str, Any],
    ) -> None:
        if record.key is not None:
            more.update(as_text("key", record.key))
        if record.headers:
            more["headers"] = [
                {"key": key, "value_base64": None if v is None else base64.b64encode(v).decode()}
                for key, v in record.headers
            ]
        recorded_at = from_microseconds(stamp_ms * 1_000)
        buffer.reject(record.offset, rejected, raw, recorded_at, more)
