"""The build: raw objects of the ledger to silver, gold and features, behind the gates."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from lake.errors import LakeError
from lake.fencing import NO_FENCE, keep_out_others
from lake.gates import Gate, GateFailed, prepare
from lake.gates.rules import kept_summary
from lake.leases import awaited_lease
from lake.ledger import Ledger
from lake.pipelines import gold, publish, silver
from lake.pipelines.event_rows import EVENTS, SilverChange, volume
from lake.pipelines.identity import check_identity
from lake.pipelines.journal import Journal, Touched, Unfinished, new_build_id
from lake.pipelines.pending import is_small, passes, pending_objects, raw_objects, waiting
from lake.pipelines.received import RawObject, RawObjectFault, is_readable, readable_objects
from lake.session import spark_session
from lake.settings import Settings
from lake.storage import open_store
from lake.tables import LakeTables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lake.storage import ObjectStore

NOTHING = Touched()

Progress = Callable[[str], None]


def silent(_: str) -> None:
    return None


def _no_lease() -> None:
    return None


@dataclass
class Lake:
    """An open lake: its settings, store, ledger, journal, and Spark session with its tables."""

    settings: Settings
    store: ObjectStore
    ledger: Ledger
    journal: Journal
    spark: SparkSession
    tables: LakeTables
    key: bytes = field(repr=False)
    # Raises LeaseHeld where another process may build by now. Called before each publication, so
    # that less is done in vain: what keeps a late commit out is the fence of tables and journal.
    check_lease: Callable[[], None] = field(default=_no_lease, repr=False)

    @property
    def parallelism(self) -> int:
        """Tasks that run at once: few rows should not become many small files."""
        return self.spark.sparkContext.defaultParallelism


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


@contextmanager
def open_lake(
    settings: Settings,
    app_name: str = "lmslake",
    spark: SparkSession | None = None,
    *,
    grows: bool = False,
    store: ObjectStore | None = None,
) -> Iterator[Lake]:
    """Open a lake for builds; stops the Spark session on exit unless it was given.

    `grows`: the session outlives the size that the lake has now. `store`: that of the settings,
    where the caller has opened it.
    """
    key = settings.key()
    store = store or open_store(settings)
    prepare()
    ledger = Ledger(store)
    session = spark or spark_session(settings, app_name, small=not grows and is_small(ledger))
    try:
        yield Lake(
            settings, store, ledger, Journal(store), session, LakeTables(session, store), key
        )
    finally:
        if spark is None:
            session.stop()


def build(
    lake: Lake,
    dates: Sequence[date] | None = None,
    *,
    reset: bool = False,
    repair: bool = True,
    progress: Progress = silent,
) -> list[BuildReport]:
    """Take the raw objects of the dates that no build has taken yet into the tables.

    `dates` None means every date that has such objects. With `reset` all raw objects of the dates
    are taken and the dates' rows are replaced. What an unfinished build left, on whatever dates,
    is repaired first, unless `repair` is False. Returns one report per pass; none where there is
    nothing to do. Raises GateFailed where a gate stops a table, and LeaseHeld where another
    process builds for longer than the settings let it wait.
    """
    with _only_builder(lake, progress):
        reports = _take_again(lake, lake.journal.unfinished(), progress) if repair else []
        objects = (
            raw_objects(lake.ledger, dates)
            if reset
            else pending_objects(lake.ledger, lake.journal, dates)
        )
        reports += [_build_pass(lake, chunk, progress, reset=reset) for chunk in passes(objects)]
        return reports


def build_objects(
    lake: Lake, objects: Sequence[RawObject], progress: Progress = silent
) -> list[BuildReport]:
    """Take those of the objects that no build has taken yet into the tables.

    A pass that a gate stops, or whose raw objects are at fault, is held: its report says why, the
    journal keeps what it took and touched, and the others go on.
    """
    with _only_builder(lake, progress):
        reports = _take_again(lake, lake.journal.unfinished(), progress, hold=True)
        chunks = passes(waiting(objects, lake.journal))
        return reports + [_build_pass(lake, chunk, progress, hold=True) for chunk in chunks]


def retry_held(
    lake: Lake, build_ids: Collection[str] | None = None, progress: Progress = silent
) -> list[BuildReport]:
    """Build again what the held builds (all, or the given ones) took and touched.

    What fails again is held again, under a new build. Raises LakeError for an unknown build.
    """
    with _only_builder(lake, progress):
        held = {left.build_id: left for left in lake.journal.held()}
        if unknown := sorted(set(build_ids or ()) - held.keys()):
            raise LakeError(
                f"Not a held build: {', '.join(unknown)}\n  `lmslake held list` shows them."
            )
        reports = []
        for build_id, left in held.items():
            if build_ids is None or build_id in build_ids:
                reports += _take_again(lake, [left], progress, hold=True)
        return reports


@contextmanager
def _only_builder(lake: Lake, progress: Progress) -> Iterator[None]:
    """Nobody else builds meanwhile; the journal is read anew."""
    with only_builder(lake, "build", progress):
        lake.journal.refresh()
        # Most builds reject nothing, but "no rows" must not look like "no table".
        lake.tables.ensure("silver.quarantine")
        yield


@contextmanager
def only_builder(lake: Lake, lock: str, progress: Progress) -> Iterator[None]:
    """Nobody else holds the lock meanwhile, and nobody who held it before commits any more.

    `lake.check_lease` looks whether that is so, and each commit to the tables proves it. Raises
    LeaseHeld where another process holds it for longer than the settings let this one wait, and
    LakeError where the lake has another identity.
    """
    with awaited_lease(lake.store, lock, lake.settings.lock_wait, progress) as lease:
        lake.check_lease = lease.check
        lake.tables.fence = lake.journal.fence = lease.fence
        try:
            check_identity(lake)
            keep_out_others(lake.store, lease, lock, lambda table: lake.tables.ensure(table.name))
            yield
        finally:
            lake.check_lease = _no_lease
            lake.tables.fence = lake.journal.fence = NO_FENCE


def _take_again(
    lake: Lake, unfinished: Sequence[Unfinished], progress: Progress, *, hold: bool = False
) -> list[BuildReport]:
    """Take the objects of unfinished builds again, and derive anew what they touched.

    Events are the same however often their objects are taken; only where a build ended between
    two tables do the later ones not follow from silver.events.
    """
    if not unfinished:
        return []
    touched = Touched()
    for left in unfinished:
        touched |= left.touched
    progress(f"repairing what an unfinished build left on {len(touched.dates)} dates")
    paths = frozenset().union(*(left.paths for left in unfinished))
    objects = [item for item in raw_objects(lake.ledger, None) if item.path in paths]
    *first, last = passes(objects)
    reports = [_build_pass(lake, chunk, progress, hold=hold) for chunk in first]
    reports.append(_build_pass(lake, last, progress, also=touched, hold=hold))
    for left in unfinished:
        lake.journal.record(left.build_id, "repaired", left.touched)
    return reports


def _build_pass(
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
