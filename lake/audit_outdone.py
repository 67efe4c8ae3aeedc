"""Rows of records that no table points to: whether others of their keys outdo them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lake.pipelines.event_rows import cached
from lake.pipelines.records.aside import QUARANTINE, conflicting
from lake.pipelines.records.facts import COURSES, TARGETS
from lake.pipelines.records.people import VERSION_ORDER, VERSIONS
from lake.pipelines.records.received import HELD, POINTER, clean_rows
from lake.pipelines.records.versions import Order, changed, ranked
from schemas.tables import TABLES

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

    from lake.pipelines.build import Lake

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
    nor quarantine nor held rows name. They are cleaned as a build cleans them.
    """
    with ExitStack() as caches:
        stored = lake.spark.createDataFrame(rest)
        rows = cached(clean_rows(lake, lake.settings.school, source, stored), caches)
        rejected = rows.where(F.col("reason").isNotNull())
        good = rows.where(F.col("reason").isNull())
        if name == VERSIONS:
            lost = _lost_versions(lake, good, caches)
        else:
            lost = _named(changed(_ranked_facts(lake, name, good)), _not_in(name))
        why = F.concat(F.lit("not in silver.records_quarantine: "), F.col("reason"))
        found = lost.unionByName(_named(rejected, why)).collect()
    return sorted(Lost(*row) for row in found)


def _ranked_facts(lake: Lake, name: str, good: DataFrame) -> DataFrame:
    (target,) = (target for target in TARGETS if target.name == name)
    new = good.withColumns({column: make() for column, make in target.derived.items()})
    return _ranked(lake, name, new.select(*target.columns), target.order)


def _ranked(lake: Lake, name: str, new: DataFrame, order: Order) -> DataFrame:
    """The rows beside those of the table that have their keys."""
    keys = list(order.keys)
    old = lake.tables.read_little(name).select(*new.columns)
    theirs = old.join(new.select(*keys).distinct(), keys, "left_semi").select(*new.columns)
    return ranked(new, theirs, order)


def _lost_versions(lake: Lake, good: DataFrame, caches: ExitStack) -> DataFrame:
    """Of registers, too: a version that contradicts the one in force is in quarantine, once."""
    new = good.select(*TABLES[VERSIONS].column_names)
    rows = cached(_ranked(lake, VERSIONS, new, VERSION_ORDER), caches)
    losers = conflicting(rows.where(~F.col("is_same") & ~F.col("is_old")))
    told = lake.tables.read_little(QUARANTINE).select("detail")
    unknown = losers.join(told, "detail", "left_anti")
    why = F.concat(F.lit("not in silver.records_quarantine: "), F.col("reason"))
    return _named(changed(rows), _not_in(VERSIONS)).unionByName(_named(unknown, why))


def _named(rows: DataFrame, why: Column) -> DataFrame:
    return rows.select(*POINTER, why.alias("why"))


def _not_in(name: str) -> Column:
    can_wait = name not in (VERSIONS, COURSES.name)
    return F.lit(f"neither in {name} nor in {HELD}" if can_wait else f"not in {name}")
