"""MERGE into a Delta table by Spark, where the rows are too many for delta-rs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession


def merge_with_spark(
    spark: SparkSession,
    path: str,
    rows: DataFrame,
    condition: str,
    *,
    update: Mapping[str, str],
    insert: Mapping[str, str],
    delete_when: str | None,
    options: Mapping[str, str],
) -> None:
    """MERGE rows named `new` into those of the table at `path`, named `old`.

    See `LakeTables.merge`; options: those of the commit.
    """
    merge = DeltaTable.forPath(spark, path).alias("old").merge(rows.alias("new"), condition)
    if delete_when is not None:
        merge = merge.whenMatchedDelete(condition=delete_when)
    if update:
        merge = merge.whenMatchedUpdate(set=dict(update))
    if insert:
        merge = merge.whenNotMatchedInsert(values=dict(insert))
    with _conf(spark, options):
        merge.execute()


@contextmanager
def _conf(spark: SparkSession, options: Mapping[str, str]) -> Iterator[None]:
    """Options of Delta's commits, set for the session: a MERGE takes them from nowhere else."""
    names = {f"spark.databricks.delta.write.{name}": value for name, value in options.items()}
    for name, value in names.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name in names:
            spark.conf.unset(name)
