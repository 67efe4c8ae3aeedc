"""A range of dates, one build after the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from lake.errors import LakeError
from lake.pipelines.build import build
from lake.pipelines.pending import raw_objects
from lake.progress import Progress, silent

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake


@dataclass
class Backfill:
    """Outcome of a backfill: dates built, dates without anything to build, faults by date.

    repair_fault: why what an earlier, unfinished build left could not be repaired; else empty.
    """

    built: list[date] = field(default_factory=list)
    unchanged: list[date] = field(default_factory=list)
    failed: dict[date, str] = field(default_factory=dict)
    repair_fault: str = ""


def backfill(
    lake: Lake,
    days: Sequence[date],
    *,
    reset: bool = False,
    restart: bool = False,
    progress: Progress = silent,
) -> Backfill:
    """Build the days one by one; a failed day is kept in `failed` and the next one is taken.

    With `reset` the days that an interrupted run has finished are skipped, unless `restart`.
    Faults that are no LakeError (a bug, a full disk) end the backfill: they would hit every day.
    """
    marker = f"_backfill/{days[0]}_{days[-1]}.json"
    done = _finished_days(lake, marker) if reset and not restart else set()
    with_objects = {item.date for item in raw_objects(lake.ledger, days)}
    outcome = Backfill()
    try:
        build(lake, [], progress=progress)
    except LakeError as error:
        outcome.repair_fault = str(error)
        progress("what an unfinished build left cannot be repaired; going on")
    for number, day in enumerate(days, 1):
        if day not in with_objects or day in done:
            outcome.unchanged.append(day)
            continue
        progress(f"[{number}/{len(days)}] {day}")
        try:
            reports = build(lake, [day], reset=reset, repair=False, progress=progress)
        except LakeError as error:
            outcome.failed[day] = str(error)
            progress(f"[{number}/{len(days)}] {day} failed; going on")
            continue
        (outcome.built if reports else outcome.unchanged).append(day)
        if reset:
            done.add(day)
            lake.store.put(marker, json.dumps(sorted(map(str, done))).encode())
    if reset and not outcome.failed:
        lake.store.delete(marker)
    return outcome


def _finished_days(lake: Lake, marker: str) -> set[date]:
    if not lake.store.exists(marker):
        return set()
    return {date.fromisoformat(day) for day in json.loads(lake.store.get(marker))}
