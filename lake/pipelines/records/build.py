"""The build of records: landed files to silver, source by source, behind the gates."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lake.gates import Gate
from lake.leases import awaited_lease
from lake.pipelines.build import Progress, silent
from lake.pipelines.identity import check_identity
from lake.pipelines.journal import Journal, Touched, Unfinished, new_build_id
from lake.pipelines.records.aside import QUARANTINE, publish_held, publish_quarantine
from lake.pipelines.records.contents import Content, pending_contents, records_journal
from lake.pipelines.records.facts import TARGETS, build_target
from lake.pipelines.records.people import Moved, build_students, publish_directory
from lake.pipelines.records.received import HELD, PARENTS, Pass, SourceReport, receive
from lake.transforms.records.conventions import Conventions

if TYPE_CHECKING:
    from lake.pipelines.build import Lake

# Parents before those who name them.
ORDER = (
    "students", "course_catalog", "students_enrollment", "attendance", "assessments",
    "student_progress", "support_tickets",
)  # fmt: skip
CONTACTS = ("student_name", "email", "phone", "date_of_birth")


@dataclass
class RecordsReport:
    """What a build did."""

    build_id: str
    files: int
    sources: list[SourceReport] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def days(self) -> set[date]:
        """Days whose facts changed."""
        return set().union(*(source.days for source in self.sources))


def build_records(
    lake: Lake, school: Conventions | None = None, progress: Progress = silent
) -> RecordsReport | None:
    """Take the landed files that no build has taken yet into silver; None where there are none.

    Which files come in one build, and in which order, makes no difference to any row. What a
    killed build left half done is derived anew from its own files. Raises GateFailed where a gate
    stops a table, and LeaseHeld where another process builds for longer than the settings let it
    wait.
    """
    with _only_builder(lake, progress):
        journal = records_journal(lake.store)
        unfinished = journal.unfinished()
        contents = pending_contents(lake.store, journal, unfinished)
        if not contents:
            return None
        if unfinished:
            progress("repairing what an unfinished build left")
        report = _build(lake, journal, contents, unfinished, school or Conventions(), progress)
        for left in unfinished:
            journal.record(left.build_id, "repaired", left.touched)
        return report


@contextmanager
def _only_builder(lake: Lake, progress: Progress) -> Iterator[None]:
    """Nobody else builds records meanwhile."""
    with awaited_lease(lake.store, "records", lake.settings.lock_wait, progress) as lease:
        before, lake.check_lease = lake.check_lease, lease.check
        try:
            check_identity(lake)
            # Most files reject and hold nothing, but "no rows" must not look like "no table".
            lake.tables.ensure(QUARANTINE)
            lake.tables.ensure(HELD)
            yield
        finally:
            lake.check_lease = before


def _build(
    lake: Lake,
    journal: Journal,
    contents: Sequence[Content],
    unfinished: Sequence[Unfinished],
    school: Conventions,
    progress: Progress,
) -> RecordsReport:
    started = time.monotonic()
    report = RecordsReport(new_build_id(), len(contents))
    paths = [content.path for content in contents]
    lake.check_lease()
    journal.record(report.build_id, "publishing", Touched(), paths)
    with Gate(lake.store, report.build_id) as gate:
        has_parents = any(content.source in PARENTS for content in contents)
        work = Pass(lake, gate, school, bool(unfinished), has_parents, ExitStack())
        moved: Moved | None = None
        for source in ORDER:
            of_source = [content for content in contents if content.source == source]
            with ExitStack() as work.caches:
                moved = _build_source(work, source, of_source, moved, report, progress)
        lake.check_lease()
    journal.record(report.build_id, "finished", Touched(frozenset(report.days)), paths)
    report.seconds = time.monotonic() - started
    return report


def _build_source(
    work: Pass,
    source: str,
    contents: Sequence[Content],
    moved: Moved | None,
    report: RecordsReport,
    progress: Progress,
) -> Moved | None:
    """Take the source's rows; returns whose class is another one, as far as it is known now."""
    received = receive(work, source, contents)
    if source == "students":
        moved = build_students(work, received) if received else None
    elif received:
        publish_quarantine(work, received)
        if source == "students_enrollment":
            publish_directory(work, received.good, CONTACTS, F.col("enrollment_date"))
    days: set[date] = set()
    for target in TARGETS:
        if target.source == source:
            days |= build_target(work, target, received, moved)
    if source not in PARENTS:
        publish_held(work, source, received)
    if received or days:
        told = received.report if received else SourceReport(source)
        told.days = days
        report.sources.append(told)
        progress(f"{source}: {told.rows:,} rows, {told.taken:,} taken")
    return moved
