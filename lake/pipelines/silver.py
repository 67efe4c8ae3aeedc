"""Raw objects to silver.events: what changes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from lake.gates.rules import first_violation, guarded, is_broken_guard
from lake.pipelines.event_rows import (
    BASE,
    EVENTS,
    IDENTITY,
    LINEAGE,
    PLACEMENT,
    RECEIVED,
    SilverChange,
    cached,
    with_lineage,
)
from lake.pipelines.history import has_history, touched_history
from lake.pipelines.received import RawObject, RawObjectFault, partitions_for, read_lines
from lake.transforms.clean import clean_events
from lake.transforms.enrich import enrich_events
from lake.transforms.metrics import page_dwell_seconds, video_watch_pct
from lake.transforms.pseudonymise import pseudonym_keys, pseudonymise_events
from lake.transforms.sessionise import MICROS, drop_identical_duplicates, sessionise

if TYPE_CHECKING:
    from lake.gates import Gate
    from lake.pipelines.opened import Lake


def received_events(lake: Lake, objects: Sequence[RawObject]) -> DataFrame:
    """Clean, pseudonymous and enriched events of the objects, one row per record.

    Out: BASE columns, ts_us, object_index, and violation (the first failed expectation or null).
    """
    lines = read_lines(lake.spark, lake.store, objects)
    keys = pseudonym_keys(lake.spark, lake.key, lake.settings.tenant)
    events = enrich_events(pseudonymise_events(clean_events(lines), keys))
    violation = first_violation(EVENTS, RECEIVED)
    return events.select(*BASE, "ts_us", "object_index", violation.alias("violation"))


def valid_events(events: DataFrame, counted: Observation) -> DataFrame:
    """Events without a violation; how many there were, and how many with one, goes to `counted`.

    Counting between the parse and the filter also keeps Spark from moving the filter below the
    parse, where every line would be parsed once for each of them.
    """
    everything = events.observe(
        counted,
        F.count(F.lit(1)).alias("received"),
        F.count("violation").alias("violations"),
    )
    return everything.where(F.col("violation").isNull()).drop("violation")


def _received_as_placed(received: DataFrame, with_old: bool) -> DataFrame:
    """Received events with the columns that history rows have."""
    rows = received.withColumn("is_new", F.lit(True))
    if not with_old:
        return rows
    schema = {column.name: column.type for column in EVENTS.columns}
    nothing = {f"old_{name}": F.lit(None).cast(schema[name]) for name in (*PLACEMENT, *LINEAGE)}
    return rows.withColumns(nothing)


def _history_as_placed(history: DataFrame) -> DataFrame:
    return history.select(
        *BASE,
        F.unix_micros("ts").alias("ts_us"),
        F.lit(None).cast("int").alias("object_index"),
        F.lit(False).alias("is_new"),
        *(F.col(name).alias(f"old_{name}") for name in (*PLACEMENT, *LINEAGE)),
    )


def place(rows: DataFrame, gap: timedelta, partitions: int) -> DataFrame:
    """Deduplicate, sessionise and measure events: one shuffle, by student.

    In: BASE columns, ts_us, is_new, …. Out: the same and PLACEMENT and video_watch_pct.
    """
    by_student = rows.repartition(partitions, "student_hash")
    sessions = sessionise(drop_identical_duplicates(by_student), gap)
    seconds = sessions.withColumns(
        {
            "gap_before_seconds": F.col("gap_before_us") / MICROS,
            "gap_after_seconds": F.col("gap_after_us") / MICROS,
        }
    ).drop("gap_before_us", "gap_after_us")
    return seconds.withColumns(
        {"page_dwell_seconds": page_dwell_seconds(gap), "video_watch_pct": video_watch_pct()}
    )


@dataclass(frozen=True)
class Identities:
    """Rows of a frame, and those that lose against another body of their identity (or None)."""

    row_count: int
    losers: DataFrame | None


def identities(events: DataFrame) -> Identities:
    """Count rows and find conflicting duplicates of (date, event_id).

    The winner has the smallest (ts, _body_hash). Ids are compared by 64-bit hashes first, which
    keeps the shuffle small; a collision of hashes only costs a comparison.
    """
    hashed = events.select(F.xxhash64(*IDENTITY).alias("identity")).groupBy("identity").count()
    totals = hashed.agg(
        F.coalesce(F.sum("count"), F.lit(0)).alias("rows"),
        F.count_if(F.col("count") > 1).alias("suspects"),
    ).collect()[0]
    if not totals["suspects"]:
        return Identities(totals["rows"], None)
    suspects = hashed.where("count > 1").select("identity")
    rank = F.struct("ts_us", "_body_hash")
    candidates = events.withColumn("identity", F.xxhash64(*IDENTITY)).join(
        F.broadcast(suspects), "identity"
    )
    winners = candidates.groupBy(*IDENTITY).agg(F.min(rank).alias("winner"))
    losers = candidates.join(winners, list(IDENTITY)).where(rank != F.col("winner"))
    return Identities(totals["rows"], losers)


def silver_change(
    lake: Lake,
    gate: Gate,
    objects: Sequence[RawObject],
    dates: Sequence[date],
    caches: ExitStack,
    *,
    reset: bool = False,
) -> SilverChange:
    """Compute, without publishing, what the objects change in silver.events.

    The frames of the change are cached until `caches` is closed.
    Raises GateFailed where an event breaks an expectation, RawObjectFault where the objects hold
    another number of records than the ledger says.
    """
    partitions = partitions_for(objects, lake.parallelism)
    expected = sum(item.record_count for item in objects)
    counted = Observation()
    received = valid_events(received_events(lake, objects), counted)
    history = has_history(lake, dates)
    if history:
        received = cached(received, caches, at_once=True)
        old = touched_history(lake, received, dates, reset, caches, expected)
        rows = _received_as_placed(received, True).unionByName(_history_as_placed(old))
    else:
        rows = _received_as_placed(received, False)
    placed = place(rows, lake.settings.session_gap, partitions)
    try:
        # What is observed on the way is known once the rows are.
        events = cached(guarded(placed, EVENTS), caches, at_once=True)
    except (PySparkException, Py4JJavaError) as error:
        if is_broken_guard(error):
            gate.check(EVENTS, with_lineage(lake, placed, objects), dates)
        raise
    found = identities(events)
    losers, duplicate_count = found.losers, 0
    if losers is not None:
        losers = cached(losers, caches)
        survivors = events.join(
            F.broadcast(losers.select(*IDENTITY, "_body_hash")),
            [*IDENTITY, "_body_hash"],
            "left_anti",
        )
        base = survivors.drop(*PLACEMENT, "video_watch_pct")
        placed = place(base, lake.settings.session_gap, partitions)
        events = cached(guarded(placed, EVENTS), caches)
        found = identities(events)
        duplicate_count = found.losers.count() if found.losers is not None else 0
    observed = _observed(counted)
    if observed["received"] != expected:
        raise RawObjectFault(
            f"The raw objects of {dates[0]} … {dates[-1]} hold {observed['received']} records, "
            f"the ledger says {expected}. Run `lmslake audit` to see which object differs."
        )
    rejected, violations = None, dict[str, int]()
    if observed["violations"]:
        found_bad = received_events(lake, objects).where(F.col("violation").isNotNull())
        rejected = cached(found_bad, caches)
        violations = dict(rejected.groupBy("violation").count().collect())
    return SilverChange(
        events=events,
        losers=losers,
        has_history=history,
        received_count=observed["received"],
        row_count=found.row_count,
        duplicate_count=duplicate_count,
        rejected=rejected,
        violations=violations,
    )


def _observed(counted: Observation) -> dict[str, int]:
    try:
        return counted.get
    except Py4JJavaError:
        # Without a single row Spark's optimizer leaves out the part of the plan that counts.
        return {"received": 0, "violations": 0}
