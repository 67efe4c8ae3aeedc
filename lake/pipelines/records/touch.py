"""What a build changed of silver, as far as gold follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# One schema for all: Spark says of some columns that they are never null.
FACTS = pa.schema([("student_hash", pa.string()), ("since", pa.date32())])


@dataclass(frozen=True)
class Moved:
    """Students of whom the register may say another thing, on days from `since` (None: on all)."""

    students: DataFrame
    since: date | None


@dataclass
class Touch:
    """Filled while silver is built.

    is_whole: all of gold is derived anew, and the rest is not filled. days: days whose facts
    changed. facts: student_hash and since, the first day on which a fact of the student changed;
    students may come twice. moved: students whose class, grade or status changed. register_since:
    the first day on which the register says another thing of anybody than before; None: it does
    not.
    """

    is_whole: bool
    days: set[date] = field(default_factory=set)
    facts: list[pa.Table] = field(default_factory=list)
    moved: Moved | None = None
    register_since: date | None = None

    def add(self, rows: DataFrame, day: str) -> None:
        """Note the facts that changed: student_hash, and their day in the column `day`.

        One without a day is in no row of gold.

        Collected: what a change displaces can't be told any more once it is published.
        """
        if self.is_whole:
            return
        dated = rows.where(F.col(day).isNotNull())
        told = dated.groupBy("student_hash").agg(F.min(day).alias("since")).toArrow()
        if told.num_rows:
            self.facts.append(told.cast(FACTS))

    def students(self) -> pa.Table:
        """student_hash, each once, and since."""
        told = pa.concat_tables(self.facts).group_by("student_hash").aggregate([("since", "min")])
        return told.rename_columns({"since_min": "since"})
