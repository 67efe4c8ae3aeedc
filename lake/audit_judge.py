"""Which rows are lost of those that nothing points to. Spark starts for the first of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from lake.audit_outdone import Lost
    from lake.pipelines.opened import Lake
    from lake.settings import Settings

Tell = Callable[[str], None]


class Judge:
    """Says which rows are lost of those that nothing points to; opens the lake for the first."""

    def __init__(
        self, settings: Settings, spark: SparkSession | None, stack: ExitStack, tell: Tell
    ) -> None:
        self._settings = settings
        self._spark = spark
        self._stack = stack
        self._tell = tell
        self._lake: Lake | None = None

    def lost(self, source: str, name: str, rest: Iterable[pa.Table]) -> list[Lost]:
        from lake.audit_outdone import lost_rows

        lake = self._opened()
        return sorted(row for rows in rest for row in lost_rows(lake, source, name, rows))

    def _opened(self) -> Lake:
        if self._lake is None:
            from lake.pipelines.opened import open_lake

            self._tell("starting Spark, for rows that others outdo")
            opened = open_lake(self._settings, "lmslake audit", self._spark, grows=True)
            self._lake = self._stack.enter_context(opened)
        return self._lake
