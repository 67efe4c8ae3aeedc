"""The build of records: landed files to silver, source by source, and gold; behind the gates."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lake.gates import Gate
from lake.pipelines.identity import (
    check_student_ids,
    has_other_rules,
    keep_rules,
    known_conventions,
    other_conventions,
)
from lake.pipelines.journal import Journal, Touched, new_build_id
from lake.pipelines.opened import only_builder
from lake.pipelines.records.again import again_paths, with_unfinished
from lake.pipelines.records.aside import note_passed, publish_held, release_passed
from lake.pipelines.records.contents import Content, pending_contents, records_journal
from lake.pipelines.records.facts import build_target
from lake.pipelines.records.gold import CLASSES, RISKS, fact_days, is_derived, publish_gold
from lake.pipelines.records.people import build_students, publish_directory
from lake.pipelines.records.places import HELD, PARENTS, QUARANTINE
from lake.pipelines.records.publish import Published
from lake.pipelines.records.received import Pass, SourceReport, receive
from lake.pipelines.records.targets import TARGETS
from lake.pipelines.records.touch import Moved, Touch
from lake.progress import Progress, silent
from lake.transforms.records.conventions import Conventions
from lake.transforms.records.risk import RiskRules
from schemas.tables.tickets import TICKET_LABELS

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake
    from lake.pipelines.records.again import Again

# Parents before those who name them.
ORDER = (
    "students", "course_catalog", "students_enrollment", "attendance", "assessments",
    "student_progress", "support_tickets",
)  # fmt: skip
CONTACTS = ("student_name", "email", "phone", "date_of_birth")


@dataclass
class RecordsReport:
    """What a build did. contents: hashes of the files that it took. let_go: rows that it judged
    again and that left quarantine."""

    build_id: str
    contents: frozenset[str]
    sources: list[SourceReport] = field(default_factory=list)
    gold: list[Published] = field(default_factory=list)
    let_go: int = 0
    seconds: float = 0.0

    @property
    def files(self) -> int:
        return len(self.contents)

    @property
    def days(self) -> set[date]:
        """Days whose facts changed."""
        return set().union(*(source.days for source in self.sources))


def build_records(
    lake: Lake,
    school: Conventions | None = None,
    progress: Progress = silent,
    rules: RiskRules | None = None,
    *,
    rederive: bool = False,
    again: Again | None = None,
) -> RecordsReport | None:
    """Take the landed files that no build has taken yet into silver, and gold with it.

    None where there are none; with `rederive` all of gold is derived anew from silver in any case,
    and of it what tells risk where the rules are others than those that it was derived by.
    `again`: rows of quarantine that are judged like rows of new files, and leave it if they pass;
    where it names dates that could not be told, rows that were taken without them are read again.
    Which files come in one build, and in which order, makes no difference to any row. What a
    killed build left half done is derived anew: silver from its own rows, and all of gold, as
    nothing tells which of its days and students the build had changed. Raises GateFailed where a
    gate stops a table, and LeaseHeld where another process builds for longer than the settings let
    it wait, and LakeError where an older version divided a table of the lake otherwise.
    """
    school, rules = school or Conventions(), rules or RiskRules()
    with _only_builder(lake, progress):
        check_student_ids(lake.store, school)
        for target in TARGETS:
            lake.tables.check_partition(target.name)
            lake.tables.allow_nulls(target.name)
        lake.tables.allow_nulls(TICKET_LABELS.name)
        journal = records_journal(lake.store, lake.tables.fence)
        unfinished = journal.unfinished()
        contents = pending_contents(lake.store, journal, unfinished)
        has_new_rules = has_other_rules(lake.store, rules)
        again = with_unfinished(again or {}, unfinished)
        if not (contents or unfinished or rederive or has_new_rules or again):
            return None
        if unfinished:
            progress("repairing what an unfinished build left")
        if has_new_rules:
            progress("the rules of risk were changed (LMSLAKE_RISK_…): all days are judged anew")
        others = other_conventions(lake.store, school) if contents or again else []
        if contents and others:
            progress(
                f"WARNING: rows of this lake were built under another {', '.join(others)}; they "
                "keep what was made of them (docs/runbook.md, “A convention changed”)"
            )
        # What was read by another order has a day, and keeps it.
        orders = {known.date_order for known in known_conventions(lake.store, school)}
        rereads = orders - {None} == {school.date_order}
        is_whole = bool(unfinished) or rederive or not is_derived(lake.tables)
        has_parents = not {*again, *(content.source for content in contents)}.isdisjoint(PARENTS)
        hashes = frozenset(content.content_hash for content in contents)
        report = RecordsReport(new_build_id(), hashes)
        with Gate(lake.store, report.build_id) as gate:
            work = Pass(
                lake, gate, school, bool(unfinished), has_parents, Touch(is_whole), ExitStack(),
                rereads, again,
            )  # fmt: skip
            _build(work, journal, contents, report, rules, progress, judges_all=has_new_rules)
        for left in unfinished:
            journal.record(left.build_id, "repaired", left.touched)
        return report


@contextmanager
def _only_builder(lake: Lake, progress: Progress) -> Iterator[None]:
    """Nobody else builds records meanwhile."""
    with only_builder(lake, "records", progress):
        # Most files reject and hold nothing, but "no rows" must not look like "no table".
        lake.tables.ensure(QUARANTINE)
        lake.tables.ensure(HELD)
        yield


def _build(
    work: Pass,
    journal: Journal,
    contents: Sequence[Content],
    report: RecordsReport,
    rules: RiskRules,
    progress: Progress,
    *,
    judges_all: bool,
) -> None:
    """judges_all: the rules are others than those that days were judged by."""
    started = time.monotonic()
    paths = [*(content.path for content in contents), *again_paths(work.again)]
    work.lake.check_lease()
    journal.record(report.build_id, "publishing", Touched(), paths)
    moved: Moved | None = None
    for source in ORDER:
        of_source = [content for content in contents if content.source == source]
        with ExitStack() as work.caches:
            moved = _build_source(work, source, of_source, moved, report, progress)
    report.gold = publish_gold(work, rules, progress, judges_all=judges_all)
    keep_rules(work.lake.store, rules)
    with ExitStack() as work.caches:
        report.let_go = release_passed(work)
    work.lake.check_lease()
    journal.record(report.build_id, "finished", Touched(_changed_days(work, report)), paths)
    report.seconds = time.monotonic() - started


def _changed_days(work: Pass, report: RecordsReport) -> frozenset[date]:
    """Days of which any table says another thing now; the register says it from its one on."""
    derived = (told.days for told in report.gold if told.name in (CLASSES, RISKS))
    days = report.days.union(*derived)
    if work.touch.register_since is not None:
        days.add(work.touch.register_since)
    if work.repairs:
        # What the killed build had changed is not known.
        days |= fact_days(work.lake.tables)
    return frozenset(days)


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
    if received:
        note_passed(work, received)
    if source == "students":
        moved = build_students(work, received) if received else None
    elif received and source == "students_enrollment":
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
