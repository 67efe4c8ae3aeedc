"""What upkeep is asked for, and what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lake.errors import LakeError

if TYPE_CHECKING:
    pass

PARTS = ("optimize", "vacuum", "sweep", "ledger")
# Written by every flush, every landed file and every build, in commits of a few rows each.
LOGS = (
    "bronze.raw_objects", "bronze.builds", "bronze.gate_results", "bronze.landed_files",
    "bronze.record_builds",
)  # fmt: skip

# Delta itself remembers a removed file for so long (delta.deletedFileRetentionDuration).
LONGEST_RETENTION = timedelta(days=7)
SHORTEST_RETENTION = timedelta(days=1)
SHORTEST_ORPHAN_AGE = timedelta(hours=1)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and within which limits.

    now: the moment that ages are counted to. min_files: so many small files of a partition are
    worth a new one. target_bytes: size of a file that is large enough. patience: how long a lock
    is waited for. is_forced: whether ages may lie below what is safe. Raises LakeError where they
    do.
    """

    now: datetime
    parts: frozenset[str] = frozenset(PARTS)
    min_files: int = 8
    target_bytes: int = 64 << 20
    retention: timedelta = LONGEST_RETENTION
    orphan_age: timedelta = timedelta(hours=24)
    patience: timedelta = timedelta(minutes=3)
    is_dry_run: bool = False
    is_forced: bool = False

    def __post_init__(self) -> None:
        if self.retention > LONGEST_RETENTION:
            raise LakeError(
                f"Removed files cannot be kept for {self.retention.days} days: Delta forgets after "
                f"{LONGEST_RETENTION.days} days which they are.\n"
                f"  Choose --retention-days {LONGEST_RETENTION.days} or fewer."
            )
        if self.is_forced:
            return
        if self.retention < SHORTEST_RETENTION:
            raise LakeError(
                "Readers and builds that run now may still need files that were removed less than "
                "a day ago.\n  Choose --retention-days 1 or more; or --force, with nothing running."
            )
        if self.orphan_age < SHORTEST_ORPHAN_AGE:
            raise LakeError(
                "A writer may still commit an object that it put less than an hour ago.\n"
                "  Choose --orphan-age-hours 1 or more; or --force, with nothing running."
            )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one part did to one subject (a table, a zone): files and bytes before and after.

    changes: files joined or removed, log steps taken; 0 where there was nothing to do. In a dry
    run, what it would be. is_left: something was left for later; is_fault: it failed. The note
    says why.
    """

    part: str
    subject: str
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    changes: int = 0
    note: str = ""
    is_left: bool = False
    is_fault: bool = False
