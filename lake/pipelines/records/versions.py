"""Which of several rows of one key is in force: by what they say, never by when they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lake.pipelines.records.places import POINTER


@dataclass(frozen=True)
class Order:
    """What decides between rows of one key.

    keys: what tells records apart. versions: the greater is in force, nulls below all others.
    Rows of one version that say different things contradict each other: nothing in them tells
    which is right, and the greater _digest is in force, then the greater of `ties`, columns that
    the digest leaves out. Of copies one with the fewest doubts; by_pointer: of those the one that
    stands first, by file and row. partition: the column whose values are replaced as a whole.
    """

    keys: tuple[str, ...]
    versions: tuple[str, ...] = ()
    ties: tuple[str, ...] = ()
    by_pointer: bool = False
    partition: str | None = None

    @property
    def version(self) -> Column:
        """The versions as one value, of equal ones the same."""
        return F.struct(F.lit(0).alias("any"), *self.versions)

    @property
    def says(self) -> Column:
        """All that tells a row from others of its key: copies have the same."""
        return F.struct(*self.versions, "_digest", *self.ties)


def ranked(new: DataFrame, old: DataFrame, order: Order, *, rereads: bool = False) -> DataFrame:
    """New rows beside the old ones of their keys. Both have the same columns.

    Out: also is_old, rank (1: in force), is_same (says what the row in force says), contradicts
    (says another thing, and is of its version), repeats (says what another row of the key says,
    too) and old_partition (a struct of where the old row of the key lies, null where there is
    none).

    rereads: new rows may be of received rows that old ones were made of, when a date of theirs
    could not be told. Where that one says another thing now, the old row makes way.
    """
    rows = new.withColumn("is_old", F.lit(False)).unionByName(old.withColumn("is_old", F.lit(True)))
    of_key = Window.partitionBy(*order.keys)
    says, version = order.says, order.version
    precedence = _precedence(order, "quality_flags" in new.columns)
    makes_way = F.lit(False)
    if rereads:
        of_row = Window.partitionBy(*order.keys, *POINTER)
        now = F.max(F.when(~F.col("is_old"), says)).over(of_row)
        makes_way = F.col("is_old") & now.isNotNull() & ~now.eqNullSafe(says)
        rows = rows.withColumn("makes_way", makes_way)
        makes_way = F.col("makes_way")
        precedence = [F.asc(makes_way), *precedence]
    by_rank = of_key.orderBy(*precedence)
    place = F.col(order.partition) if order.partition else F.lit(0)
    is_same = makes_way | says.eqNullSafe(F.first(says).over(by_rank))
    return rows.withColumns(
        {
            "rank": F.row_number().over(by_rank),
            "is_same": is_same,
            "contradicts": ~is_same & version.eqNullSafe(F.first(version).over(by_rank)),
            "repeats": says.eqNullSafe(F.lag(says).over(by_rank)),
            "old_partition": F.max(F.when(F.col("is_old"), F.struct(place))).over(of_key),
        }
    )


def _precedence(order: Order, has_flags: bool) -> Sequence[Column]:
    greatest = [F.desc_nulls_last(name) for name in (*order.versions, "_digest", *order.ties)]
    doubts = [F.asc(F.size("quality_flags")), F.asc(F.array_join("quality_flags", ","))]
    content = [*greatest, *(doubts if has_flags else [])]
    pointer = [F.asc(name) for name in POINTER]
    # Else a copy changes nothing: the old row stays.
    is_old = [F.desc("is_old")]
    return [*content, *pointer, *is_old] if order.by_pointer else [*content, *is_old, *pointer]


def changed(rows: DataFrame) -> DataFrame:
    """Of `ranked` rows the new ones that are in force now."""
    return rows.where((F.col("rank") == 1) & ~F.col("is_old"))


def displaced(rows: DataFrame) -> DataFrame:
    """Of `ranked` rows those that are in force now, or were, and not both."""
    return rows.where((F.col("rank") == 1) != F.col("is_old"))


def outdone(rows: DataFrame) -> DataFrame:
    """Of `ranked` rows the old ones that a newer version takes out of force."""
    return rows.where(F.col("is_old") & _is_outdone())


def counts() -> tuple[Column, Column, Column, Column]:
    """Aggregates over `ranked` rows: of the new ones taken, superseded, conflicting, duplicates."""
    is_new, is_first = ~F.col("is_old"), F.col("rank") == 1
    is_other = is_new & ~is_first & ~F.col("repeats")
    return (
        F.count_if(is_new & is_first),
        F.count_if(is_other & ~F.col("contradicts")),
        F.count_if(is_other & F.col("contradicts")),
        F.count_if(is_new & ~is_first & F.col("repeats")),
    )


def news_aside() -> tuple[Column, Column]:
    """Aggregates over `ranked` rows: whether any contradicts the one in force, and whether any old
    one is `outdone`."""
    return F.bool_or("contradicts"), F.bool_or(F.col("is_old") & _is_outdone())


def _is_outdone() -> Column:
    return ~F.col("is_same") & ~F.col("contradicts")
