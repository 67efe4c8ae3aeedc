"""Rows behind the gate into the derived tables: whole days, or some students' rows of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame

from lake import limits
from schemas.tables import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

    from lake.gates import Gate
    from lake.pipelines.build import Lake
    from lake.table_reading import Students

BY_STUDENT = (
    "silver.sessions", "gold.student_daily_activity", "gold.student_chapter_progress",
    "gold.student_question_attempts", "features.student_features",
)  # fmt: skip


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
        days = sorted(dates)
        limit = self.events_at_most(days) if at_most is None else at_most
        others = self.students if name in BY_STUDENT else None
        self.lake.check_lease()
        table, tables = TABLES[name], self.lake.tables

        def look(collected: pa.Table) -> None:
            self.gate.look(table, collected, days, self.events_of.get(name))

        self.gate.publish(
            table,
            rows,
            days,
            lambda checked: tables.replace_dates(
                name, checked, days, self.gate.build_id, limit, but_of=others, look=look
            ),
            None if self._is_collected(name, days, limit) else (rows if made is None else made),
        )

    def _is_collected(self, name: str, days: Iterable[date], at_most: int) -> bool:
        """Whether the rows are written without Spark, and so shown to the gate."""
        if at_most > limits.COLLECTED_ROWS:
            return False
        if self.students is None or name not in BY_STUDENT:
            return True
        return self.lake.tables.rows_at_most(name, days) <= limits.COPIED_ROWS

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
