"""Publication of a change to silver.events and silver.quarantine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.pipelines.event_rows import (
    EVENTS,
    PLACEMENT,
    SilverChange,
    cached,
    is_moved,
    with_lineage,
)
from lake.pipelines.journal import Touched
from lake.pipelines.received import RawObject
from lake.time_spans import TimeSpans, slots_of
from schemas.tables import TABLES
from schemas.tables.silver import SET_ASIDE

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake

# Not which body won: that can change while a later body of the same id is still to come.
LOST = "another body of this id is earlier, or as early with a smaller hash"


def touched_by(change: SilverChange, dates: Sequence[date]) -> Touched:
    """Days whose events, and days whose sessions, the change alters."""
    if not change.has_history:
        return Touched(frozenset(dates), frozenset(dates))
    changed = change.events.where(F.col("is_new") | is_moved())
    touched = _days_of(changed, "session_start", "old_session_start")
    if change.losers is not None:
        touched |= _days_of(change.losers.where(~F.col("is_new")), "old_session_start")
    return touched


def touched_students(change: SilverChange) -> DataFrame:
    """student_hash of those who have a row that is new, moved or gone, with repetitions."""
    changed = change.events.where(F.col("is_new") | is_moved()).select("student_hash")
    if change.losers is not None:
        changed = changed.union(change.losers.select("student_hash"))
    return changed


def _days_of(rows: DataFrame, *starts: str) -> Touched:
    """Days of the rows, and days of the session starts that the columns `starts` hold."""
    sets = [F.collect_set(F.to_date(name)) for name in ("date", *starts)]
    dates, *days = rows.agg(*sets).collect()[0]
    return Touched(frozenset(dates), frozenset().union(*days))


def publish_quarantine(lake: Lake, change: SilverChange, objects: Sequence[RawObject]) -> int:
    """Add what did not become an event to silver.quarantine; adding it again changes nothing.

    What an earlier build had set aside leaves it where the objects are taken again.
    """
    table = TABLES["silver.quarantine"]
    frames = []
    if change.losers is not None:
        lost = {"reason": F.lit("conflicting_duplicate"), "detail": F.lit(LOST)}
        frames.append(with_lineage(lake, change.losers, objects).withColumns(lost))
    if change.rejected is not None:
        aside = {
            "reason": F.lit(SET_ASIDE),
            "detail": F.col("violation"),
            # What a row lacks is no reason to lose it: these are keys.
            "date": F.coalesce("date", "object_date"),
            "event_id": F.coalesce("event_id", F.lit("")),
        }
        frames.append(with_lineage(lake, change.rejected, objects).withColumns(aside))
    _release(lake, [change.events, *frames], sorted({item.date for item in objects}))
    count = 0
    for frame in frames:
        rows = lake.tables.declared(table, frame).dropDuplicates(list(table.keys))
        with ExitStack() as caches:
            rows = cached(rows, caches)
            days, row_count = rows.agg(F.collect_set("date"), F.count(F.lit(1))).collect()[0]
            lake.tables.merge("silver.quarantine", rows, days, row_count, insert=True)
        count += row_count
    return count


def _release(lake: Lake, received: Sequence[DataFrame], dates: Sequence[date]) -> None:
    """Take out of silver.quarantine what was set aside and is received again.

    It is an event now, or is added again with what fails today. A crash before that leaves objects
    that the next build takes again.
    """
    table = TABLES["silver.quarantine"]
    if not lake.tables.may_hold(table.name, "reason", SET_ASIDE):
        return
    keys = reduce(DataFrame.union, [frame.select(*table.keys) for frame in received])
    aside = lake.tables.read_days(table.name, dates).where(F.col("reason") == SET_ASIDE)
    with ExitStack() as caches:
        released = aside.join(keys, list(table.keys), "left_semi").select(*table.keys)
        released = cached(released, caches)
        if count := released.count():
            was_aside = f"old.reason = '{SET_ASIDE}'"
            lake.tables.merge(
                table.name, released, dates, count, delete_when="TRUE", extra_condition=was_aside
            )


def publish_events(
    lake: Lake,
    change: SilverChange,
    objects: Sequence[RawObject],
    dates: Sequence[date],
    build_id: str,
    *,
    reset: bool,
) -> int:
    """Write the change to silver.events; returns how many events are new.

    Old rows move first and new rows are appended last: a crash between the two leaves a state
    from which the same change is computed again.
    """
    if change.has_history:
        lake.check_lease()
        _move_old_rows(lake, change)
    lake.check_lease()
    new = with_lineage(lake, change.events.where("is_new"), objects)
    at_most = change.received_count
    if reset:
        return lake.tables.replace_dates("silver.events", new, dates, build_id, at_most)
    return lake.tables.append("silver.events", new, build_id, at_most)


def _move_old_rows(lake: Lake, change: SilverChange) -> None:
    moved = change.events.where(is_moved()).withColumn("is_gone", F.lit(False))
    if change.losers is not None:
        gone = change.losers.where(~F.col("is_new")).withColumn("is_gone", F.lit(True))
        moved = moved.unionByName(gone.select(*moved.columns))
    moved = moved.select(*EVENTS.keys, "ts", "is_gone", "_body_hash", *PLACEMENT)
    with ExitStack() as caches:
        moved = cached(moved, caches)
        counted = (F.collect_set("date"), F.count(F.lit(1)), slots_of("ts"))
        days, row_count, slots = moved.agg(*counted).collect()[0]
        if not row_count:
            return
        lake.tables.merge(
            "silver.events",
            moved,
            days,
            row_count,
            delete_when="new.is_gone",
            update={name: f"new.{name}" for name in PLACEMENT},
            extra_condition="old._body_hash = new._body_hash",
            within=TimeSpans.of_slots("ts", slots),
        )
