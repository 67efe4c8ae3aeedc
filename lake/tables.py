"""Reading and publishing the declared Delta tables with Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Self

import deltalake as delta_rs
import pyarrow as pa
from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lake.delta_reading import (
    between_predicate,
    dates_predicate,
    days_of,
    delta_rows,
    missing_columns,
    opened_table,
    rows_but_of,
    rows_of,
    values_predicate,
)
from lake.delta_writing import check_types, declared_table, merge_rows, write_rows
from lake.errors import LakeError
from lake.fencing import NO_FENCE, Fence
from lake.query import is_written
from schemas.derivations import arrow_schema, struct_type
from schemas.table import Table
from schemas.tables import TABLES

if TYPE_CHECKING:
    from lake.storage import ObjectStore

# Rows of this one change one by one; the others are replaced by whole days, and stay readable for
# readers that know no deletion vectors.
MERGED = ("silver.events",)
# A commit of Spark's costs a second however little it adds, one of delta-rs a hundredth of it: so
# many rows are collected and written without Spark. Each is about 1 kB at most.
COLLECTED_ROWS = 100_000
# The same of reading: Spark asks its own jobs for a table's files.
FEW_ROWS = 20_000
# Rows of days that stay as they are beside new ones are copied without Spark up to so many: no
# more than some hundred bytes each, in tables that are replaced by days.
COPIED_ROWS = 1_000_000
# Each task of Spark writes a file for each partition whose rows it has: rows of more partitions
# than this are brought together by partition first.
FEW_PARTITIONS = 8
# Another process may commit (compact, say) between a commit and the look at it.
RECENT_COMMITS = 20
# SQL that selects all rows.
EVERYTHING = "TRUE"
# Statistics of these columns let readers skip files; those of long strings cost and skip nothing.
STATISTICS = {
    "silver.events": "ts,session_start",
    "silver.sessions": "session_start,session_end",
    "silver.fact_attendance": "attendance_id",
    "silver.fact_assessments": "assessment_id",
    "silver.fact_support_tickets": "ticket_id",
    "restricted.ticket_texts": "ticket_id",
}

Look = Callable[[pa.Table], None]


def _properties(name: str) -> dict[str, str]:
    """Properties that a table is created with."""
    # Both engines keep it; their defaults differ.
    properties = {"delta.checkpointInterval": "10"}
    if name in MERGED:
        properties["delta.enableDeletionVectors"] = "true"
    if name in STATISTICS:
        properties["delta.dataSkippingStatsColumns"] = STATISTICS[name]
    return properties


@dataclass(frozen=True)
class Students:
    """Some students. rows: their student_hash, each once; hashes: the same as Arrow."""

    rows: DataFrame
    hashes: pa.Array

    @classmethod
    def collected(cls, rows: DataFrame) -> Self:
        return cls(rows, rows.toArrow()["student_hash"].combine_chunks())


class LakeTables:
    """The declared tables of one lake, as seen by one Spark session.

    fence: that of the lock under which they are written.
    """

    def __init__(self, spark: SparkSession, store: ObjectStore) -> None:
        self.spark = spark
        self.fence: Fence = NO_FENCE
        self._store = store

    def path(self, name: str) -> str:
        return self._store.uri(TABLES[name].path)

    def _address(self, name: str) -> tuple[str, dict[str, str] | None]:
        return self._store.delta_uri(TABLES[name].path), self._store.storage_options

    def exists(self, name: str) -> bool:
        return is_written(TABLES[name], self._store)

    def read(self, name: str) -> DataFrame:
        """The table's rows; a table that was never written has none."""
        if not self.exists(name):
            return self._no_rows(TABLES[name])
        return self.spark.read.format("delta").load(self.path(name))

    def read_little(self, name: str) -> DataFrame:
        """As `read`; without Spark's jobs for the table's log where there are few rows."""
        return self._selected(name, EVERYTHING, F.lit(True))

    def read_columns(self, name: str, columns: Sequence[str]) -> DataFrame:
        """As `read_little`, of these columns alone."""
        if not self.exists(name) or self.row_count(name) > FEW_ROWS:
            return self.read(name).select(*columns)
        rows = delta_rows(self._opened(name), arrow_schema(TABLES[name], columns))
        # A frame cannot be made of Arrow data without any batch.
        nothing = self._no_rows(TABLES[name]).select(*columns)
        return self.spark.createDataFrame(rows) if rows.num_rows else nothing

    def read_in(self, name: str, column: str, values: Iterable[str]) -> DataFrame:
        """The table's rows whose column has one of the values."""
        listed = sorted(set(values))
        return self._selected(name, values_predicate(column, listed), F.col(column).isin(listed))

    def read_between(self, name: str, column: str, first: str, last: str) -> DataFrame:
        """The table's rows whose column is from `first` to `last`: file statistics skip others."""
        where = between_predicate(column, first, last)
        return self._selected(name, where, F.col(column).between(first, last))

    def _selected(self, name: str, where: str, condition: Column) -> DataFrame:
        table = TABLES[name]
        if not self.exists(name):
            return self._no_rows(table)
        if self.row_count(name) > FEW_ROWS:
            return self.read(name).where(condition)
        rows = delta_rows(self._opened(name), arrow_schema(table), where)
        return self.spark.createDataFrame(rows) if rows.num_rows else self._no_rows(table)

    def row_count(self, name: str) -> int:
        """Rows of the table, from its log alone."""
        if not self.exists(name):
            return 0
        files = self._opened(name).get_add_actions(flatten=True)
        return sum(files["num_records"].to_pylist())

    def read_days(
        self, name: str, dates: Iterable[date | str], of: Students | None = None
    ) -> DataFrame:
        """The table's rows of the given days, or of other values of its partition.

        With `of` those of these students among them.
        """
        table = TABLES[name]
        if table.partition_by is None:
            raise ValueError(f"{name} has no days")
        days = sorted(set(dates), key=str)
        count = self.rows_at_most(name, days)
        if not count:
            return self._no_rows(table)
        if count > (FEW_ROWS if of is None else COPIED_ROWS):
            rows_of_days = self.read(name).where(F.col(table.partition_by).isin(days))
            if of is None:
                return rows_of_days
            return rows_of_days.join(F.broadcast(of.rows), "student_hash", "left_semi")
        where = values_predicate(table.partition_by, days)
        rows = delta_rows(self._opened(name), arrow_schema(table), where)
        if of is not None:
            rows = rows_of(rows, of.hashes)
        # A frame cannot be made of Arrow data without any batch.
        return self.spark.createDataFrame(rows) if rows.num_rows else self._no_rows(table)

    def _no_rows(self, table: Table) -> DataFrame:
        # Not of an empty list: Spark would start Python workers to read it.
        fields = struct_type(table).fields
        nothing = (F.lit(None).cast(field.dataType).alias(field.name) for field in fields)
        return self.spark.range(0).select(*nothing)

    def has_declared_columns(self, name: str) -> bool:
        """Whether the table exists and no column was declared since it was last written."""
        if not self.exists(name):
            return False
        return not missing_columns(self._opened(name), TABLES[name].column_names)

    def days(self, name: str) -> list[date]:
        """Days that have rows, ascending, from the table's log alone."""
        table = TABLES[name]
        if table.partition_by is None:
            raise ValueError(f"{name} has no days")
        if not self.exists(name):
            return []
        return days_of(self._opened(name))

    def _opened(self, name: str) -> delta_rs.DeltaTable:
        uri, options = self._address(name)
        return delta_rs.DeltaTable(uri, storage_options=options)

    def _check_types(self, name: str) -> None:
        if self.exists(name):
            check_types(self._opened(name), arrow_schema(TABLES[name]))

    def check_partition(self, name: str) -> None:
        """Raises LakeError where the table is divided by another column than declared."""
        if not self.exists(name):
            return
        declared = TABLES[name].partition_by
        found = self._opened(name).metadata().partition_columns
        if found != ([declared] if declared else []):
            raise LakeError(
                f"{name} of this lake is divided by {', '.join(found) or 'nothing'}, and its "
                f"declaration says {declared or 'nothing'}: an older version wrote it. Nothing was "
                "changed.\n  Derive its layer anew: no file has to land again. "
                'docs/runbook.md, "Tables of an older version", says how.'
            )

    def ensure(self, name: str) -> None:
        """Create the table from its declaration, empty, where it does not exist yet."""
        table = TABLES[name]
        if name not in MERGED:
            declared_table(self._store, table, _properties(name), self.fence)
        elif not self.exists(name):
            self._write_with_spark(name, self.declared(table, self._no_rows(table)), "", None)

    def declared(self, table: Table, rows: DataFrame) -> DataFrame:
        """Exactly the declared columns in their order and types, with their comments."""
        return rows.select(
            *(
                F.col(c.name).cast(c.type).alias(c.name, metadata={"comment": c.doc})
                for c in table.columns
            )
        )

    def rows_at_most(self, name: str, dates: Iterable[date | str]) -> int:
        """A number of rows that the partitions do not exceed, from the table's log alone."""
        table = TABLES[name]
        if not self.exists(name):
            return 0
        wanted = {str(day) for day in dates}
        files = self._opened(name).get_add_actions(flatten=True)
        days = files[f"partition.{table.partition_by}"].to_pylist()
        counts = files["num_records"].to_pylist()
        return sum(count for day, count in zip(days, counts, strict=True) if str(day) in wanted)

    def may_hold(self, name: str, column: str, value: str) -> bool:
        """False where no row has the value in the column, by the statistics in the log alone."""
        if not self.exists(name):
            return False
        files = pa.table(self._opened(name).get_add_actions(flatten=True))
        least, most = (files[f"{end}.{column}"].to_pylist() for end in ("min", "max"))
        pairs = zip(least, most, strict=True)
        # A file without statistics may hold anything.
        return any(low is None or high is None or low <= value <= high for low, high in pairs)

    def append(self, name: str, rows: DataFrame, build_id: str, at_most: int) -> int:
        """Append rows, `at_most` so many, in one commit; returns how many."""
        return self._write(name, rows, build_id, at_most)

    def replace_dates(
        self,
        name: str,
        rows: DataFrame,
        dates: Iterable[date | str],
        build_id: str,
        at_most: int,
        but_of: Students | None = None,
        look: Look | None = None,
    ) -> int:
        """Replace whole days of the table, or whole partitions of other values, in one commit.

        Rows of other partitions are refused.

        With `but_of` only the rows of these students are replaced; `rows` has none of others.
        `at_most` so many rows are given. They are shown to `look` before they are committed, where
        they are few enough to be collected. Returns how many rows the days have afterwards.
        """
        table = TABLES[name]
        if table.partition_by is None:
            raise ValueError(f"{name} has no days to replace")
        days = list(dates)
        if but_of is not None:
            known = self.rows_at_most(name, days)
            if at_most > COLLECTED_ROWS or known > COPIED_ROWS:
                rows = self.with_others(name, rows, days, but_of)
                at_most, but_of = at_most + known, None
        for_spark = at_most > COLLECTED_ROWS
        if for_spark and len(days) > FEW_PARTITIONS:
            rows = rows.hint("rebalance", table.partition_by)
        predicate = values_predicate(table.partition_by, days, for_spark=for_spark)
        return self._write(name, rows, build_id, at_most, predicate, but_of, look)

    def with_others(
        self, name: str, rows: DataFrame, dates: Iterable[date | str], students: Students
    ) -> DataFrame:
        """The rows, and those of all but the given students that the table has on the days."""
        table = TABLES[name]
        others = self.read_days(name, dates).join(
            F.broadcast(students.rows), "student_hash", "left_anti"
        )
        return self.declared(table, rows).unionByName(self.declared(table, others))

    def replace_all(self, name: str, rows: DataFrame, build_id: str, at_most: int) -> int:
        """Replace all rows of the table in one commit; returns how many were written."""
        return self._write(name, rows, build_id, at_most, EVERYTHING)

    def _write(
        self,
        name: str,
        rows: DataFrame,
        build_id: str,
        at_most: int,
        replaced: str | None = None,
        but_of: Students | None = None,
        look: Look | None = None,
    ) -> int:
        """Commit rows to the table, in place of those that the condition `replaced` selects.

        With `but_of` those of other students among them stay.
        """
        self._check_types(name)
        declared = self.declared(TABLES[name], rows)
        # Only Spark makes tables that may have deletion vectors; delta-rs would ask for more
        # features than readers have.
        if at_most > COLLECTED_ROWS or (name in MERGED and not self.exists(name)):
            self._write_with_spark(name, declared, build_id, replaced)
            return self._rows_written(name, build_id)
        schema = arrow_schema(TABLES[name])
        collected = declared.toArrow().cast(schema)
        if look is not None:
            look(collected)
        table = declared_table(self._store, TABLES[name], _properties(name), self.fence)
        if replaced is not None and but_of is not None:
            others = rows_but_of(delta_rows(table, schema, replaced), but_of.hashes)
            collected = pa.concat_tables([collected, others])
        write_rows(table, collected, build_id, replaced, self.fence)
        return int(collected.num_rows)

    def _write_with_spark(
        self, name: str, rows: DataFrame, build_id: str, replaced: str | None
    ) -> None:
        """As _write. The first write creates the table with its declared properties.

        Creating it apart would cost a commit more, and every commit costs a new snapshot.
        """
        table = TABLES[name]
        writer = rows.write.format("delta").mode("append" if replaced is None else "overwrite")
        if replaced not in (None, EVERYTHING):
            writer = writer.option("replaceWhere", replaced)
        if table.partition_by:
            writer = writer.partitionBy(table.partition_by)
        if not self.exists(name):
            self.fence.announce(name)
            writer = writer.options(**_properties(name))
        # A column that was declared since the table was written is added by the next write.
        writer = writer.option("mergeSchema", "true").option("userMetadata", build_id)
        with self.fence.spark_commit(lambda: opened_table(self._store, table)) as options:
            writer.options(**options).save(self.path(name))

    def _rows_written(self, name: str, build_id: str) -> int:
        """Rows that the build's newest commit to the table wrote, as the commit itself says."""
        for commit in self._opened(name).history(RECENT_COMMITS):
            if commit.get("userMetadata") == build_id:
                metrics = commit["operationMetrics"]
                return 0 if metrics["numFiles"] == "0" else int(metrics["numOutputRows"])
        # Delta records no commit that neither adds nor removes a file.
        return 0

    def merge(
        self,
        name: str,
        rows: DataFrame,
        dates: Iterable[date],
        at_most: int,
        *,
        update: Mapping[str, str] | None = None,
        insert: bool = False,
        delete_when: str | None = None,
        extra_condition: str = "TRUE",
    ) -> None:
        """MERGE `rows`, `at_most` so many, by the table's keys within the given days.

        `update` maps columns of the table to expressions over `new`; `delete_when` is a condition
        over `new` that removes the matched row instead; `insert` adds what is not there. All SQL
        here is of the kind that Spark and DataFusion have in common.
        """
        self._check_types(name)
        table = TABLES[name]
        days = list(dates)
        keys = (f"(old.{key} IS NOT DISTINCT FROM new.{key})" for key in table.keys)
        within = dates_predicate(f"old.{table.partition_by}", days)
        condition = " AND ".join((within, *keys, extra_condition))
        inserted = {column: f"new.{column}" for column in table.column_names if insert}
        if max(at_most, self.rows_at_most(name, days)) <= COLLECTED_ROWS:
            merge_rows(
                self._opened(name), rows.toArrow(), condition,
                update=update or {}, insert=inserted, delete_when=delete_when, fence=self.fence,
            )  # fmt: skip
            return
        target = DeltaTable.forPath(self.spark, self.path(name))
        merge = target.alias("old").merge(rows.alias("new"), condition)
        if delete_when is not None:
            merge = merge.whenMatchedDelete(condition=delete_when)
        if update:
            merge = merge.whenMatchedUpdate(set=dict(update))
        if inserted:
            merge = merge.whenNotMatchedInsert(values=dict(inserted))
        with self.fence.spark_commit(lambda: self._opened(name)) as options, self._conf(options):
            merge.execute()

    @contextmanager
    def _conf(self, options: Mapping[str, str]) -> Iterator[None]:
        """Options of Delta's commits, set for the session: a MERGE takes them from nowhere else."""
        names = {f"spark.databricks.delta.write.{name}": value for name, value in options.items()}
        for name, value in names.items():
            self.spark.conf.set(name, value)
        try:
            yield
        finally:
            for name in names:
                self.spark.conf.unset(name)
