"""Reading the declared Delta tables: little without Spark, much with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lake import limits
from lake.delta_reading import (
    PartitionValue,
    between_predicate,
    delta_parts,
    delta_rows,
    rows_sharing,
    values_predicate,
)
from lake.table_logs import TableLogs
from lake.time_spans import TimeSpans
from schemas.derivations import arrow_schema, struct_type
from schemas.table import Table
from schemas.tables import TABLES

if TYPE_CHECKING:
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


class TableReader(TableLogs):
    """The declared tables of one lake, as seen by one Spark session.

    A table that was never written has no rows.
    """

    def __init__(self, spark: SparkSession, store: ObjectStore) -> None:
        super().__init__(store)
        self.spark = spark

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
        dates: Iterable[PartitionValue],
        of: Students | None = None,
        columns: Sequence[str] | None = None,
        within: TimeSpans | None = None,
    ) -> DataFrame:
        """The table's rows of the given days, or of other values of its partition; None: of none.

        With `of` those of these students among them, `within` those of these times; of the given
        columns alone.
        """
        days, where = _partitions(name, dates, within)
        count = self.rows_at_most(name, days, within)
        if not count or (of is None and count <= limits.FEW_ROWS):
            return self._frame(name, where if count else None, columns)
        if of is not None and count <= limits.SEARCHED_ROWS:
            few = self._chosen(name, where, columns, of.having)
            if few is not None:
                return few
        rows = self.read(name).where(is_among(str(TABLES[name].partition_by), days))
        rows = rows if within is None else rows.where(within.condition)
        rows = rows if columns is None else rows.select(*columns)
        return rows if of is None else rows.join(F.broadcast(of.rows), "student_hash", "left_semi")

    def read_sharing(
        self,
        name: str,
        dates: Iterable[PartitionValue],
        columns: Sequence[str],
        having: DataFrame,
        within: TimeSpans,
    ) -> DataFrame:
        """Columns of the days' rows `within` that share a value of any column of `having` with it.

        `having` has few rows. All rows of the days and times, where they are too many to be looked
        at without Spark, or too many share a value.
        """
        days, where = _partitions(name, dates, within)
        if 0 < self.rows_at_most(name, days, within) <= limits.SEARCHED_ROWS:
            few = self._chosen(name, where, columns, having.distinct().toArrow())
            if few is not None:
                return few
        return self.read_days(name, days, columns=columns, within=within)

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


def is_among(column: str, values: Iterable[PartitionValue]) -> Column:
    """Whether the column has one of the values; None among them: or has none."""
    listed = set(values)
    is_listed = F.col(column).isin(sorted(listed - {None}, key=str))
    return (is_listed | F.col(column).isNull()) if None in listed else is_listed


def _partitions(
    name: str, values: Iterable[PartitionValue], within: TimeSpans | None = None
) -> tuple[list[PartitionValue], str]:
    """The values of the table's partition, in order, and SQL that selects them `within`."""
    column = TABLES[name].partition_by
    if column is None:
        raise ValueError(f"{name} has no days")
    listed = sorted(set(values), key=str)
    where = values_predicate(column, listed)
    return listed, where if within is None else f"{where} AND {within.sql()}"
