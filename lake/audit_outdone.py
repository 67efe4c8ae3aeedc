"""Rows of records that no table points to: whether others of their keys outdo them."""

from __future__ import annotations

from collections.abc import Set
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.pipelines.identity import known_conventions
from lake.pipelines.records.aside import conflicting
from lake.pipelines.records.people import VERSION_ORDER, VERSIONS
from lake.pipelines.records.places import HELD, POINTER, QUARANTINE
from lake.pipelines.records.received import clean_rows
from lake.pipelines.records.targets import COURSES, TARGETS
from lake.pipelines.records.versions import Order, changed, ranked
from schemas.tables import TABLES

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

    from lake.pipelines.opened import Lake
    from lake.transforms.records.conventions import Conventions

# Sources and the tables that take their rows; the last one of a source is the one that counts.
TAKEN_BY = (("students", VERSIONS), *((target.source, target.name) for target in TARGETS))


@dataclass(frozen=True, order=True)
class Lost:
    """A row of bronze that is nowhere in silver, and should be."""

    content_hash: str
    row: int
    why: str


def lost_rows(lake: Lake, source: str, name: str, rest: pa.Table) -> list[Lost]:
    """Those of the rows that a build would take into the table, or set aside, were it to see them.

    rest: rows of bronze (fields as text, _defect, POINTER) that neither the lineage of the table
    nor quarantine nor held rows name. They are cleaned as a build cleans them: where conventions
    were changed nothing tells under which a row was built, and one is lost that is so under all.
    """
    told: list[Lost] | None = None
    for school in known_conventions(lake.store, lake.settings.school):
        lost = _lost(lake, school, source, name, rest)
        places = {(row.content_hash, row.row) for row in lost}
        told = lost if told is None else [r for r in told if (r.content_hash, r.row) in places]
        if not told:
            return []
        rest = _of_places(rest, places)
    return told or []


def _of_places(rows: pa.Table, places: Set[tuple[str, int]]) -> pa.Table:
    pointers = zip(*(rows[name].to_pylist() for name in POINTER), strict=True)
    return rows.take([n for n, pointer in enumerate(pointers) if pointer in places])


def _lost(lake: Lake, school: Conventions, source: str, name: str, rest: pa.Table) -> list[Lost]:
    with ExitStack() as caches:
        stored = lake.spark.createDataFrame(rest)
        rows = cached(clean_rows(lake, school, source, stored), caches)
        rejected = rows.where(F.col("reason").isNotNull())
        good = rows.where(F.col("reason").isNull())
        compared, order, is_counted = _compared(lake, name, good)
        ranked_rows = cached(compared, caches)
        lost = _named(changed(ranked_rows), _not_in(name))
        if is_counted:
            lost = lost.unionByName(_unknown_conflicts(lake, ranked_rows, order))
        found = lost.unionByName(_named(rejected, _not_in_quarantine())).collect()
    return sorted(Lost(*row) for row in found)


def _compared(lake: Lake, name: str, good: DataFrame) -> tuple[DataFrame, Order, bool]:
    """The rows as `ranked` for the table, by which order, and whether the table is counted."""
    if name == VERSIONS:
        new = good.select(*TABLES[VERSIONS].column_names)
        return _ranked(lake, VERSIONS, new, VERSION_ORDER), VERSION_ORDER, True
    (target,) = (target for target in TARGETS if target.name == name)
    rows = _ranked(lake, name, target.rows(good), target.order)
    return rows, target.order, target.is_counted


def _ranked(lake: Lake, name: str, new: DataFrame, order: Order) -> DataFrame:
    """The rows beside those of the table that have their keys."""
    keys = list(order.keys)
    old = lake.tables.read_little(name).select(*new.columns)
    theirs = old.join(new.select(*keys).distinct(), keys, "left_semi").select(*new.columns)
    return ranked(new, theirs, order)


def _unknown_conflicts(lake: Lake, rows: DataFrame, order: Order) -> DataFrame:
    """What contradicts the row in force is in quarantine, once for all copies."""
    losers = conflicting(rows.where(F.col("contradicts") & ~F.col("is_old")), order)
    told = lake.tables.read_little(QUARANTINE).select("detail")
    return _named(losers.join(told, "detail", "left_anti"), _not_in_quarantine())


def _named(rows: DataFrame, why: Column) -> DataFrame:
    return rows.select(*POINTER, why.alias("why"))


def _not_in_quarantine() -> Column:
    return F.concat(F.lit("not in silver.records_quarantine: "), F.col("reason"))


def _not_in(name: str) -> Column:
    can_wait = name not in (VERSIONS, COURSES.name)
    return F.lit(f"neither in {name} nor in {HELD}" if can_wait else f"not in {name}")
