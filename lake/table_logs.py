"""What the logs of the declared Delta tables say: files, days, numbers of rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from lake.delta_reading import PartitionValue, days_of, is_written, missing_columns, opened_table
from schemas.tables import TABLES

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lake.storage import ObjectStore
    from lake.time_spans import TimeSpans


class TableLogs:
    """The logs of the declared tables of one lake; no row is read."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        # A log is read whole once, and then only what was added to it.
        self._known: dict[str, DeltaTable] = {}

    def path(self, name: str) -> str:
        return self._store.uri(TABLES[name].path)

    def exists(self, name: str) -> bool:
        return is_written(TABLES[name], self._store)

    def _newest(self, name: str) -> DeltaTable | None:
        """The table at its newest version; None where it was never written."""
        if name in self._known:
            self._known[name].update_incremental()
        elif (found := opened_table(self._store, TABLES[name])) is not None:
            self._known[name] = found
        return self._known.get(name)

    def _opened(self, name: str) -> DeltaTable:
        table = self._newest(name)
        if table is None:
            raise ValueError(f"{name} was never written")
        return table

    def row_count(self, name: str) -> int:
        """Rows of the table, from its log alone."""
        if (table := self._newest(name)) is None:
            return 0
        return sum(table.get_add_actions(flatten=True)["num_records"].to_pylist())

    def rows_at_most(
        self, name: str, dates: Iterable[PartitionValue], within: TimeSpans | None = None
    ) -> int:
        """A number of rows that the partitions do not exceed, from the table's log alone.

        `within`: of those of these times.
        """
        if (table := self._newest(name)) is None:
            return 0
        wanted = set(map(_text, dates))
        files = pa.table(table.get_add_actions(flatten=True))
        days = files[f"partition.{TABLES[name].partition_by}"].to_pylist()
        counts = files["num_records"].to_pylist()
        listed = zip(days, counts, _may_hold(files, within), strict=True)
        return sum(count for day, count, may_hold in listed if may_hold and _text(day) in wanted)

    def may_hold(self, name: str, column: str, value: str) -> bool:
        """False where no row has the value in the column, by the statistics in the log alone."""
        if (table := self._newest(name)) is None:
            return False
        files = pa.table(table.get_add_actions(flatten=True))
        least, most = (files[f"{end}.{column}"].to_pylist() for end in ("min", "max"))
        pairs = zip(least, most, strict=True)
        # A file without statistics may hold anything.
        return any(low is None or high is None or low <= value <= high for low, high in pairs)

    def days(self, name: str) -> list[date]:
        """Days that have rows, ascending, from the table's log alone."""
        if TABLES[name].partition_by is None:
            raise ValueError(f"{name} has no days")
        table = self._newest(name)
        return [] if table is None else days_of(table)

    def has_declared_columns(self, name: str) -> bool:
        """Whether the table exists and no column was declared since it was last written."""
        table = self._newest(name)
        return table is not None and not missing_columns(table, TABLES[name].column_names)


def _text(value: PartitionValue) -> str | None:
    return None if value is None else str(value)


def _may_hold(files: pa.Table, within: TimeSpans | None) -> Iterable[bool]:
    """Whether each file may have rows of the times, by its statistics."""
    if within is None or f"min.{within.column}" not in files.column_names:
        return [True] * files.num_rows
    least, most = (files[f"{end}.{within.column}"].to_pylist() for end in ("min", "max"))
    return map(within.may_hold, least, most)
