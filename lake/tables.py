"""Reading and publishing the declared Delta tables with Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

import deltalake as delta_rs
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from lake.delta_reading import dates_predicate
from schemas.derivations import arrow_schema, struct_type
from schemas.table import Table
from schemas.tables import TABLES

if TYPE_CHECKING:
    from lake.storage import ObjectStore

# Rows of this one change one by one; the others are replaced by whole days, and stay readable for
# readers that know no deletion vectors.
MERGED = ("silver.events",)
# Another process may commit (compact, say) between a commit and the look at it.
RECENT_COMMITS = 20
# Statistics of these columns let readers skip files; those of long strings cost and skip nothing.
STATISTICS = {
    "silver.events": "ts,session_start",
    "silver.sessions": "session_start,session_end",
}


class LakeTables:
    """The declared tables of one lake, as seen by one Spark session."""

    def __init__(self, spark: SparkSession, store: ObjectStore) -> None:
        self.spark = spark
        self._store = store

    def path(self, name: str) -> str:
        return self._store.uri(TABLES[name].path)

    def exists(self, name: str) -> bool:
        uri, options = self._store.delta_uri(TABLES[name].path), self._store.storage_options
        return delta_rs.DeltaTable.is_deltatable(uri, options)

    def read(self, name: str) -> DataFrame:
        """The table's rows; a table that was never written has none."""
        if not self.exists(name):
            return self.spark.createDataFrame([], struct_type(TABLES[name]))
        return self.spark.read.format("delta").load(self.path(name))

    def days(self, name: str) -> list[date]:
        """Days that have rows, ascending, from the table's log alone."""
        table = TABLES[name]
        if table.partition_by is None:
            raise ValueError(f"{name} has no days")
        if not self.exists(name):
            return []
        values = (partition[table.partition_by] for partition in self._opened(name).partitions())
        return sorted(date.fromisoformat(value) for value in values)

    def _opened(self, name: str) -> delta_rs.DeltaTable:
        uri, options = self._store.delta_uri(TABLES[name].path), self._store.storage_options
        return delta_rs.DeltaTable(uri, storage_options=options)

    def ensure(self, name: str) -> None:
        """Create the table from its declaration, empty, where it does not exist yet."""
        table = TABLES[name]
        delta_rs.DeltaTable.create(
            self._store.delta_uri(table.path),
            arrow_schema(table),
            mode="ignore",
            partition_by=table.partition_by,
            name=table.name,
            description=table.doc,
            storage_options=self._store.storage_options,
        )

    def declared(self, table: Table, rows: DataFrame) -> DataFrame:
        """Exactly the declared columns in their order and types, with their comments."""
        return rows.select(
            *(
                F.col(c.name).cast(c.type).alias(c.name, metadata={"comment": c.doc})
                for c in table.columns
            )
        )

    def _writer(self, name: str, rows: DataFrame, mode: str, build_id: str) -> DataFrameWriter:
        """A writer whose first write creates the table with its declared properties.

        Creating it apart would cost a commit more, and every commit costs a new snapshot.
        """
        table = TABLES[name]
        writer = self.declared(table, rows).write.format("delta").mode(mode)
        if table.partition_by:
            writer = writer.partitionBy(table.partition_by)
        if not self.exists(name):
            properties = {"delta.enableDeletionVectors": str(name in MERGED).lower()}
            if name in STATISTICS:
                properties["delta.dataSkippingStatsColumns"] = STATISTICS[name]
            writer = writer.options(**properties)
        # A column that was declared since the table was written is added by the next write.
        return writer.option("mergeSchema", "true").option("userMetadata", build_id)

    def append(self, name: str, rows: DataFrame, build_id: str) -> int:
        """Append rows in one commit; returns how many."""
        self._writer(name, rows, "append", build_id).save(self.path(name))
        return self._rows_written(name, build_id)

    def replace_dates(
        self, name: str, rows: DataFrame, dates: Iterable[date], build_id: str
    ) -> int:
        """Replace whole days of the table in one commit; rows of other days are refused.

        Returns how many rows were written.
        """
        table = TABLES[name]
        if table.partition_by is None:
            raise ValueError(f"{name} has no days to replace")
        predicate = dates_predicate(table.partition_by, dates)
        writer = self._writer(name, rows, "overwrite", build_id)
        writer.option("replaceWhere", predicate).save(self.path(name))
        return self._rows_written(name, build_id)

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
        *,
        update: Mapping[str, str] | None = None,
        insert: bool = False,
        delete_when: str | None = None,
        extra_condition: str = "",
    ) -> None:
        """MERGE `rows` by the table's keys within the given days.

        `update` maps columns of the table to expressions over `new`; `delete_when` is a condition
        over `new` that removes the matched row instead; `insert` adds what is not there.
        """
        table = TABLES[name]
        target = DeltaTable.forPath(self.spark, self.path(name))
        keys = " AND ".join(f"old.{key} <=> new.{key}" for key in table.keys)
        days = dates_predicate(f"old.{table.partition_by}", dates)
        condition = " AND ".join(filter(None, (days, keys, extra_condition)))
        merge = target.alias("old").merge(rows.alias("new"), condition)
        if delete_when is not None:
            merge = merge.whenMatchedDelete(condition=delete_when)
        if update is not None:
            merge = merge.whenMatchedUpdate(set=dict(update))
        if insert:
            merge = merge.whenNotMatchedInsert(
                values={column: f"new.{column}" for column in table.column_names}
            )
        merge.execute()
