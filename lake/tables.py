"""Publishing to the declared Delta tables: little without Spark, much with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lake import limits
from lake.delta_reading import (
    PartitionValue,
    dates_predicate,
    delta_parts,
    opened_table,
    rows_but_of,
    rows_written,
    values_predicate,
)
from lake.delta_writing import check_types, declared_table, merge_rows, write_rows
from lake.errors import LakeError
from lake.fencing import NO_FENCE, Fence
from lake.spark_merging import merge_with_spark
from lake.table_properties import MERGED, table_properties
from lake.table_reading import EVERYTHING, Students, TableReader
from lake.time_spans import TimeSpans
from schemas.derivations import arrow_schema
from schemas.table import Table
from schemas.tables import TABLES

if TYPE_CHECKING:
    from deltalake import DeltaTable as DeltaRsTable

    from lake.storage import ObjectStore

Look = Callable[[pa.Table], None]


class LakeTables(TableReader):
    """The declared tables of one lake, as seen by one Spark session.

    fence: that of the lock under which they are written.
    """

    def __init__(self, spark: SparkSession, store: ObjectStore) -> None:
        super().__init__(spark, store)
        self.fence: Fence = NO_FENCE

    def _check_types(self, name: str) -> None:
        if (table := self._newest(name)) is not None:
            check_types(table, arrow_schema(TABLES[name]))

    def check_partition(self, name: str) -> None:
        """Raises LakeError where the table is divided by another column than declared."""
        if (table := self._newest(name)) is None:
            return
        declared = TABLES[name].partition_by
        found = table.metadata().partition_columns
        if found != ([declared] if declared else []):
            raise LakeError(
                f"{name} of this lake is divided by {', '.join(found) or 'nothing'}, and its "
                f"declaration says {declared or 'nothing'}: an older version wrote it. Nothing was "
                "changed.\n  Derive its layer anew: no file has to land again. "
                'docs/runbook.md, "Tables of an older version", says how.'
            )

    def allow_nulls(self, name: str) -> None:
        """Let columns be null that could not be when an older version made the table."""
        if (table := self._newest(name)) is None:
            return
        required = {field.name for field in table.schema().fields if not field.nullable}
        for column in TABLES[name].columns:
            if column.nullable and column.name in required:
                self.spark.sql(
                    f"ALTER TABLE delta.`{self.path(name)}` "
                    f"ALTER COLUMN `{column.name}` DROP NOT NULL"
                )

    def ensure(self, name: str) -> DeltaRsTable:
        """The table at its newest version; made, empty, where there is none yet."""
        table = TABLES[name]
        if (known := self._newest(name)) is not None:
            return known
        if name not in MERGED:
            declared_table(self._store, table, table_properties(name), self.fence)
        else:
            self._write_with_spark(name, self.declared(table, self._no_rows(table)), "", None)
        return self._opened(name)

    def declared(self, table: Table, rows: DataFrame) -> DataFrame:
        """Exactly the declared columns in their order and types, with their comments."""
        return rows.select(
            *(
                F.col(c.name).cast(c.type).alias(c.name, metadata={"comment": c.doc})
                for c in table.columns
            )
        )

    def append(self, name: str, rows: DataFrame, build_id: str, at_most: int) -> int:
        """Append rows, `at_most` so many, in one commit; returns how many."""
        return self._write(name, rows, build_id, at_most)

    def replace_dates(
        self,
        name: str,
        rows: DataFrame,
        dates: Iterable[PartitionValue],
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
        if but_of is not None and not self.is_collected(name, at_most, days, but_of):
            rows = self.with_others(name, rows, days, but_of)
            at_most, but_of = at_most + self.rows_at_most(name, days), None
        for_spark = at_most > limits.COLLECTED_ROWS
        if for_spark and len(days) > limits.FEW_PARTITIONS:
            rows = rows.hint("rebalance", table.partition_by)
        predicate = values_predicate(table.partition_by, days, for_spark=for_spark)
        return self._write(name, rows, build_id, at_most, predicate, but_of, look)

    def with_others(
        self, name: str, rows: DataFrame, dates: Iterable[PartitionValue], students: Students
    ) -> DataFrame:
        """The rows, and those of all but the given students that the table has on the days."""
        table = TABLES[name]
        others = self.read_days(name, dates).join(
            F.broadcast(students.rows), "student_hash", "left_anti"
        )
        return self.declared(table, rows).unionByName(self.declared(table, others))

    def replace_all(
        self, name: str, rows: DataFrame, build_id: str, at_most: int, look: Look | None = None
    ) -> int:
        """Replace all rows of the table in one commit, as `replace_dates` does those of days."""
        return self._write(name, rows, build_id, at_most, EVERYTHING, look=look)

    def is_collected(
        self,
        name: str,
        at_most: int,
        dates: Iterable[PartitionValue] = (),
        but_of: Students | None = None,
    ) -> bool:
        """Whether so many rows are written without Spark, and so shown to a `look`."""
        if at_most > limits.COLLECTED_ROWS:
            return False
        return but_of is None or self.rows_at_most(name, dates) <= limits.COPIED_ROWS

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
        if at_most > limits.COLLECTED_ROWS or (name in MERGED and not self.exists(name)):
            self._write_with_spark(name, declared, build_id, replaced)
            return rows_written(self._opened(name), build_id)
        schema = arrow_schema(TABLES[name])
        collected = declared.toArrow().cast(schema)
        if look is not None:
            look(collected)
        table = self.ensure(name)
        if replaced is not None and but_of is not None:
            having = but_of.having
            parts = delta_parts(table, schema, replaced)
            others = (rows_but_of(part, having) for part in parts)
            collected = pa.concat_tables([collected, *others])
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
            writer = writer.options(**table_properties(name))
        # A column that was declared since the table was written is added by the next write.
        writer = writer.option("mergeSchema", "true").option("userMetadata", build_id)
        with self.fence.spark_commit(lambda: opened_table(self._store, table)) as options:
            writer.options(**options).save(self.path(name))

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
        within: TimeSpans | None = None,
    ) -> None:
        """MERGE `rows`, `at_most` so many, by the table's keys within the given days and times.

        `update` maps columns of the table to expressions over `new`; `delete_when` is a condition
        over `new` that removes the matched row instead; `insert` adds what is not there. All SQL
        here is of the kind that Spark and DataFusion have in common.
        """
        self._check_types(name)
        table = TABLES[name]
        days = list(dates)
        keys = (f"(old.{key} IS NOT DISTINCT FROM new.{key})" for key in table.keys)
        on_days = dates_predicate(f"old.{table.partition_by}", days)
        at_times = "TRUE" if within is None else within.sql("old.")
        condition = " AND ".join((on_days, at_times, *keys, extra_condition))
        inserted = {column: f"new.{column}" for column in table.column_names if insert}
        copied = self.rows_at_most(name, days, within)
        if at_most <= limits.COLLECTED_ROWS and copied <= limits.COPIED_ROWS:
            merge_rows(
                self._opened(name), rows.toArrow(), condition,
                update=update or {}, insert=inserted, delete_when=delete_when, fence=self.fence,
            )  # fmt: skip
            return
        with self.fence.spark_commit(lambda: self._opened(name)) as options:
            merge_with_spark(
                self.spark, self.path(name), rows, condition,
                update=update or {}, insert=inserted, delete_when=delete_when, options=options,
            )  # fmt: skip
