"""Rows behind the gate into tables: whole partitions, some students' rows of them, or a table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame

from lake.delta_reading import PartitionValue
from schemas.tables import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

    from lake.gates import Gate
    from lake.pipelines.opened import Lake
    from lake.table_reading import Students

BY_STUDENT = (
    "silver.sessions", "gold.student_daily_activity", "gold.student_chapter_progress",
    "gold.student_question_attempts", "features.student_features",
)  # fmt: skip


def publish_rows(
    lake: Lake,
    gate: Gate,
    name: str,
    rows: DataFrame,
    at_most: int,
    partitions: Collection[PartitionValue] | None = None,
    *,
    of: Students | None = None,
    made: DataFrame | None = None,
    event_count: int | None = None,
) -> None:
    """Put rows, `at_most` so many, in place of those of the partitions (None: all) of a table.

    With `of` in place of those of these students alone. made: what the rows were before they were
    cached. event_count: see `Gate.look`. Raises GateFailed and LeaseHeld; nothing was published.
    """
    table, tables = TABLES[name], lake.tables
    listed = sorted(partitions or (), key=str)
    days = [value for value in listed if isinstance(value, date)]

    def look(collected: pa.Table) -> None:
        gate.look(table, collected, days, event_count)

    def write(checked: DataFrame) -> int:
        if partitions is None:
            return tables.replace_all(name, checked, gate.build_id, at_most, look)
        return tables.replace_dates(name, checked, listed, gate.build_id, at_most, of, look)

    lake.check_lease()
    if tables.is_collected(name, at_most, listed, of):
        gate.publish(table, rows, days, write)
    else:
        gate.publish(table, rows, days, write, rows if made is None else made)


@dataclass(frozen=True)
class Publication:
    """Puts rows of the touched days in place of what the derived tables have, behind the gate.

    students: those whose rows are derived, the others' rows stay; None: everybody's are derived.
    event_count: events that the rows are derived from; None where it is not known. events_of:
    the same for tables in whose rows each of these events is counted once.
    """

    lake: Lake
    gate: Gate
    students: Students | None = None
    event_count: int | None = None
    events_of: Mapping[str, int] = field(default_factory=dict)

    def replace(
        self,
        name: str,
        rows: DataFrame,
        dates: Iterable[date],
        at_most: int | None = None,
        made: DataFrame | None = None,
    ) -> None:
        """Publish the rows, `at_most` so many: no more than events, unless it is said.

        made: what they were before they were cached.
        """
        publish_rows(
            self.lake,
            self.gate,
            name,
            rows,
            self.events_at_most(dates) if at_most is None else at_most,
            list(dates),
            of=self.students if name in BY_STUDENT else None,
            made=made,
            event_count=self.events_of.get(name),
        )

    def replace_summary(self, name: str, rows: DataFrame, dates: Iterable[date]) -> None:
        """As `replace`, for a table whose rows follow from those of all students."""
        known = 0 if self.students is None else self.lake.tables.rows_at_most(name, dates)
        self.replace(name, rows, dates, self.events_at_most(dates) + known)

    def complete(self, name: str, rows: DataFrame, dates: Iterable[date]) -> DataFrame:
        """The rows, and those of the other students as the table has them."""
        if self.students is None:
            return rows
        return self.lake.tables.with_others(name, rows, dates, self.students)

    def events_at_most(self, dates: Iterable[date]) -> int:
        if self.event_count is not None:
            return self.event_count
        return self.lake.tables.rows_at_most("silver.events", dates)
