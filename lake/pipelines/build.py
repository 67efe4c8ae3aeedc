"""The build: raw objects of the ledger to silver, gold and features, behind the gates."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date

from lake.errors import LakeError
from lake.pipelines.build_pass import BuildReport, build_pass
from lake.pipelines.journal import Touched, Unfinished
from lake.pipelines.opened import Lake, only_builder
from lake.pipelines.pending import passes, pending_objects, raw_objects, waiting
from lake.pipelines.received import RawObject
from lake.progress import Progress, silent


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
        reports += [build_pass(lake, chunk, progress, reset=reset) for chunk in passes(objects)]
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
        return reports + [build_pass(lake, chunk, progress, hold=True) for chunk in chunks]


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
    reports = [build_pass(lake, chunk, progress, hold=hold) for chunk in first]
    reports.append(build_pass(lake, last, progress, also=touched, hold=hold))
    for left in unfinished:
        lake.journal.record(left.build_id, "repaired", left.touched)
    return reports
