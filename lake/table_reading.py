"""Reading the declared Delta tables: little without Spark, much with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Self

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lake import limits
from lake.delta_reading import (
    between_predicate,
    days_of,
    delta_parts,
    delta_rows,
    is_written,
    missing_columns,
    opened_table,
    rows_sharing,
    values_predicate,
)
from schemas.derivations import arrow_schema, struct_type
from schemas.table import Table
from schemas.tables import TABLES

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lake.storage import ObjectStore

# SQL that selects all rows.
EVERYTHING = "TRUE"


@dataclass(frozen=True)
class Students:
    """Some students. rows: their student_hash, each once; hashes: the same as Arrow."""

    rows: DataFrame
    hashes: pa.Array

    @classmethod
    def collected(cls, rows: DataFrame) -> Self:
        return cls(rows, rows.toArrow()["student_hash"].combine_chunks())

    @property
    def having(self) -> pa.Table:
        return pa.table({"student_hash": self.hashes})


class TableReader:
    """The declared tables of one lake, as seen by one Spark session.

    A table that was never written has no rows.
    """

    def __init__(self, spark: SparkSession, store: ObjectStore) -> None:
        self.spark = spark
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

    def read(self, name: str) -> DataFrame:
        """The table's rows."""
        if not self.exists(name):
            return self._no_rows(TABLES[name])
        return self.spark.read.format("delta").load(self.path(name))

    def read_little(self, name: str) -> DataFrame:
        """As `read`; without Spark's jobs for the table's log where there are few rows."""
        return self._selected(name, EVERYTHING, F.lit(True))

    def read_columns(self, name: str, columns: Sequence[str]) -> DataFrame:
        """As `read_little`, of these columns alone."""
        if self.row_count(name) > limits.FEW_ROWS:
            return self.read(name).select(*columns)
        return self._frame(name, EVERYTHING, columns)

    def read_in(self, name: str, column: str, values: Iterable[str]) -> DataFrame:
        """The table's rows whose column has one of the values."""
        listed = sorted(set(values))
        return self._selected(name, values_predicate(column, listed), F.col(column).isin(listed))

    def read_between(self, name: str, column: str, first: str, last: str) -> DataFrame:
        """The table's rows whose column is from `first` to `last`: file statistics skip others."""
        where = between_predicate(column, first, last)
        return self._selected(name, where, F.col(column).between(first, last))

    def _selected(self, name: str, where: str, condition: Column) -> DataFrame:
        if self.row_count(name) > limits.FEW_ROWS:
            return self.read(name).where(condition)
        return self._frame(name, where)

    def read_days(
        self,
        name: str,
        dates: Iterable[date | str],
        of: Students | None = None,
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """The table's rows of the given days, or of other values of its partition.

        With `of` those of these students among them; of the given columns alone.
        """
        days, where = _partitions(name, dates)
        count = self.rows_at_most(name, days)
        if not count or (of is None and count <= limits.FEW_ROWS):
            return self._frame(name, where if count else None, columns)
        if of is not None and count <= limits.COPIED_ROWS:
            few = self._chosen(name, where, columns, of.having)
            if few is not None:
                return few
        rows = self.read(name).where(F.col(str(TABLES[name].partition_by)).isin(days))
        rows = rows if columns is None else rows.select(*columns)
        return rows if of is None else rows.join(F.broadcast(of.rows), "student_hash", "left_semi")

    def read_sharing(
        self, name: str, dates: Iterable[date | str], columns: Sequence[str], having: DataFrame
    ) -> DataFrame:
        """Columns of the days' rows that share a value of any column of `having` with it.

        `having` has few rows. All rows of the days, where they are too many to be looked at
        without Spark, or too many share a value.
        """
        days, where = _partitions(name, dates)
        if 0 < self.rows_at_most(name, days) <= limits.COPIED_ROWS:
            few = self._chosen(name, where, columns, having.distinct().toArrow())
            if few is not None:
                return few
        return self.read_days(name, days, columns=columns)

    def _frame(
        self, name: str, where: str | None, columns: Sequence[str] | None = None
    ) -> DataFrame:
        """Columns of the rows that the SQL selects (None: of no row), read without Spark."""
        names = TABLES[name].column_names if columns is None else columns
        table = None if where is None else self._newest(name)
        if table is None or where is None:
            return self._no_rows(TABLES[name]).select(*names)
        return self._of_arrow(name, delta_rows(table, arrow_schema(TABLES[name], names), where))

    def _chosen(
        self, name: str, where: str, columns: Sequence[str] | None, having: pa.Table
    ) -> DataFrame | None:
        """Of the rows that the SQL selects those that share a value of a column of `having`.

        None where they are more than should be held in this process, and in Spark's a second time.
        """
        names = TABLES[name].column_names if columns is None else columns
        schema = arrow_schema(TABLES[name], names)
        chosen, count = [schema.empty_table()], 0
        for part in delta_parts(self._opened(name), schema, where):
            chosen.append(rows_sharing(part, having))
            count += chosen[-1].num_rows
            if count > limits.COLLECTED_ROWS:
                return None
        return self._of_arrow(name, pa.concat_tables(chosen))

    def _of_arrow(self, name: str, rows: pa.Table) -> DataFrame:
        # A frame cannot be made of Arrow data without any batch.
        if not rows.num_rows:
            return self._no_rows(TABLES[name]).select(*rows.column_names)
        return self.spark.createDataFrame(rows)

    def _no_rows(self, table: Table) -> DataFrame:
        # Not of an empty list: Spark would start Python workers to read it.
        fields = struct_type(table).fields
        nothing = (F.lit(None).cast(field.dataType).alias(field.name) for field in fields)
        return self.spark.range(0).select(*nothing)

    def row_count(self, name: str) -> int:
        """Rows of the table, from its log alone."""
        if (table := self._newest(name)) is None:
            return 0
        return sum(table.get_add_actions(flatten=True)["num_records"].to_pylist())

    def rows_at_most(self, name: str, dates: Iterable[date | str]) -> int:
        """A number of rows that the partitions do not exceed, from the table's log alone."""
        if (table := self._newest(name)) is None:
            return 0
        wanted = {str(day) for day in dates}
        files = table.get_add_actions(flatten=True)
        days = files[f"partition.{TABLES[name].partition_by}"].to_pylist()
        counts = files["num_records"].to_pylist()
        return sum(count for day, count in zip(days, counts, strict=True) if str(day) in wanted)

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


def _partitions(name: str, values: Iterable[date | str]) -> tuple[list[date | str], str]:
    """The values of the table's partition, in order, and SQL that selects them."""
    column = TABLES[name].partition_by
    if column is None:
        raise ValueError(f"{name} has no days")
    listed = sorted(set(values), key=str)
    return listed, values_predicate(column, listed)
