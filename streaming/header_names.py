"""Names of record headers that are no UTF-8: a record with one must not stop its partition."""

from __future__ import annotations

from typing import Any

from kafka.record.default_records import DefaultRecordBatch

_strictly = DefaultRecordBatch._read_msg


def accept_any_header_name() -> None:
    """Make kafka-python read such names with their odd bytes as `\\xff`.

    It would find the whole batch corrupt, at each attempt, and the partition could never be read
    past it; any producer can send such a record.
    """
    DefaultRecordBatch._read_msg = _read_leniently


def _read_leniently(batch: Any) -> Any:
    try:
        return _strictly(batch)
    except UnicodeDecodeError:
        # The batch's position is as it was before the record.
        strict = batch._buffer
        batch._buffer = _LenientBytes(strict)
        try:
            return _strictly(batch)
        finally:
            batch._buffer = strict


class _LenientBytes(bytes):
    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return _LenientBytes(part) if isinstance(part, bytes) else part

    def decode(self, encoding: str = "utf-8", errors: str = "") -> str:
        return super().decode(encoding, "backslashreplace")
