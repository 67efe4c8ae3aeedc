"""What an audit of events found."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date


@dataclass
class Line:
    """One topic on one date: what is in raw, and where it is in silver.

    raw = events + duplicates + quarantined + missing. Counts are of records; `pending` records
    lie in raw objects that no build has taken yet and are not among the others.
    """

    topic: str
    day: date
    raw: int = 0
    events: int = 0
    duplicates: int = 0
    quarantined: int = 0
    missing: int = 0
    pending: int = 0
    raw_digest: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_proven(self) -> bool:
        return not self.faults and not self.missing


@dataclass
class Audit:
    """Outcome of an audit: a line per topic and date, faults of sources and of silver."""

    lines: list[Line] = field(default_factory=list)
    sources: int = 0
    received: int = 0
    rejected: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_proven(self) -> bool:
        return not self.faults and all(line.is_proven for line in self.lines)
