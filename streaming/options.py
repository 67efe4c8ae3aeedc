"""What an archiver is asked to do, and what it tells of its work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lake.validation import Limits


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """What is archived and when it is flushed. `topics` are names with their generations."""

    topics: Mapping[str, int]
    limits: Limits = field(default_factory=Limits)
    max_record_bytes: int = 1_000_000
    flush_bytes: int = 8 << 20
    flush_records: int = 50_000
    flush_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class ArchiveProgress:
    """So far: records taken, events in raw, records in quarantine, offsets still to take."""

    seconds: float
    records: int
    events: int
    rejected: int
    lag: int
