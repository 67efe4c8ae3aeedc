"""Whether each key comes once: by the plan that makes the rows, or counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, GroupedData


def repeated_keys(rows: DataFrame, keys: Sequence[str], made: DataFrame | None = None) -> int:
    """Rows beyond the first of their key, exactly. No job runs where their plan leaves none.

    made: the same rows before they were cached, which hides the plan.
    """
    if has_unique_keys(rows if made is None else made, keys):
        return 0
    return duplicate_keys(rows.select(*keys), keys)


def has_unique_keys(rows: DataFrame, keys: Sequence[str]) -> bool:
    """Whether the plan of the rows proves that no two have the same key; False: it does not say.

    Spark's optimiser knows which columns tell a plan's rows apart: those of a GROUP BY, also behind
    filters, projections and joins that repeat no row. It drops aggregates by that.
    """
    plan = rows._jdf.queryExecution().optimizedPlan()
    # An attribute's text has its id: student_hash#12.
    named = {a.name(): a.toString() for a in _each(plan.output())}
    wanted = {named[key] for key in keys}
    found = ({part.toString() for part in _each(apart)} for apart in _each(plan.distinctKeys()))
    return any(apart <= wanted for apart in found)


def duplicate_keys(rows: DataFrame, keys: Sequence[str]) -> int:
    """Rows beyond the first of their key, exactly; two null parts of a key are the same.

    A 64-bit hash is grouped first, which shuffles eight bytes per row; only where a hash comes
    twice the keys themselves decide.
    """
    surplus = _surplus(rows.groupBy(F.xxhash64(*keys).alias("key_hash")))
    return _surplus(rows.groupBy(*keys)) if surplus else 0


def _surplus(grouped: GroupedData) -> int:
    counted = grouped.agg(F.count(F.lit(1)).alias("rows"))
    row = counted.agg(F.sum(F.col("rows") - 1).alias("surplus")).first()
    return int(row["surplus"] or 0) if row else 0


def _each(collection: Any) -> Iterator[Any]:
    """The elements of a collection of Scala's."""
    elements = collection.iterator()
    while elements.hasNext():
        yield elements.next()
