"""One pass of a build: some raw objects to silver, gold and features, behind the gates."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from lake.gates import Gate, GateFailed
from lake.gates.rules import kept_summary
from lake.pipelines import gold, publish, silver
from lake.pipelines.event_rows import EVENTS, SilverChange, volume
from lake.pipelines.journal import Touched, new_build_id
from lake.pipelines.received import RawObject, RawObjectFault, is_readable, readable_objects
from lake.progress import Progress

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lake.pipelines.opened import Lake


NOTHING = Touched()


@dataclass
class BuildReport:
    """What a build did."""

    build_id: str
    dates: tuple[date, ...] = ()
    object_count: int = 0
    received_count: int = 0
    new_event_count: int = 0
    quarantined_count: int = 0
    touched: Touched = field(default_factory=Touched)
    seconds: dict[str, float] = field(default_factory=dict)
    # Time of the newest event of its objects.
    newest_ts: datetime | None = None
    # Why the pass is held; empty where it is not.
    fault: str = ""


def build_pass(
    lake: Lake,
    objects: list[RawObject],
    progress: Progress,
    *,
    reset: bool = False,
    also: Touched = NOTHING,
    hold: bool = False,
) -> BuildReport:
    """One pass of a build; what follows from silver.events on the `also` days is derived too.

    With `hold` a pass that a gate stops is held and its report says why, instead of an error.
    """
    dates = sorted({item.date for item in objects})
    newest = max(item.max_ts for item in objects)
    report = BuildReport(new_build_id(), tuple(dates), len(objects), newest_ts=newest)
    try:
        _run_pass(lake, objects, report, progress, reset=reset, also=also)
    except (GateFailed, RawObjectFault) as fault:
        path = fault.path if isinstance(fault, RawObjectFault) else None
        # A store that was away looks like a damaged object to Spark.
        if not hold or (path is not None and is_readable(lake.store, path)):
            raise
        report.fault = str(fault)
        paths = [item.path for item in objects]
        lake.journal.record(report.build_id, "held", report.touched | also, paths, report.fault)
        progress(f"held, see `lmslake held list`: {report.fault.splitlines()[0]}")
    return report


def _run_pass(
    lake: Lake,
    objects: list[RawObject],
    report: BuildReport,
    progress: Progress,
    *,
    reset: bool,
    also: Touched,
) -> None:
    dates = report.dates
    clock = _Clock(report.seconds)
    days = f"{dates[0]}" if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    count = sum(item.record_count for item in objects)
    progress(f"{days}: {count:,} records in {len(objects)} objects")
    with Gate(lake.store, report.build_id) as gate, ExitStack() as caches:
        # A day may have very many objects: those of the pass, and of other flushes since.
        since = min(item.ingested_at for item in objects)
        ledger_rows = lake.ledger.rows(dates=dates, is_quarantine=None, since=since)
        gate.check_objects(ledger_rows, dates)
        clock.lap("raw gate")
        with readable_objects():
            change = silver.silver_change(lake, gate, objects, dates, caches, reset=reset)
        clock.lap("events")
        report.touched = publish.touched_by(change, dates) | also
        # What a crash left may be wrong for anybody, on the days that it touched.
        is_whole = reset or also or not change.has_history
        students = None if is_whole else publish.touched_students(change)
        _publish(lake, gate, change, objects, report, clock, reset, progress, students)
    clock.lap("results")


def _publish(
    lake: Lake,
    gate: Gate,
    change: SilverChange,
    objects: list[RawObject],
    report: BuildReport,
    clock: _Clock,
    reset: bool,
    progress: Progress,
    students: DataFrame | None,
) -> None:
    dates = report.dates
    checked = change.row_count + sum(change.violations.values())
    gate.check_summary(
        EVENTS,
        {**kept_summary(EVENTS, checked), **change.violations},
        dates,
        duplicates=change.duplicate_count,
        quarantines=True,
        also=[volume(change)],
    )
    clock.lap("silver gate")
    report.received_count = change.received_count
    touched = report.touched
    paths = [item.path for item in objects]
    lake.check_lease()
    lake.journal.record(report.build_id, "publishing", touched, paths)
    report.quarantined_count = publish.publish_quarantine(lake, change, objects)
    report.new_event_count = publish.publish_events(
        lake, change, objects, dates, report.build_id, reset=reset
    )
    clock.lap("silver.events")
    progress(f"silver.events: {report.new_event_count:,} new events")
    has_all_rows = not change.has_history and touched.dates <= set(dates)
    events = change.events if has_all_rows else None
    event_count = change.row_count if has_all_rows else None
    gold.publish_derived(lake, gate, touched, events, students, event_count)
    clock.lap("sessions, gold, features")
    lake.journal.record(report.build_id, "finished", touched, paths)


class _Clock:
    """Seconds of the named phases of a build."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def lap(self, phase: str) -> None:
        now = time.monotonic()
        self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._last
        self._last = now
