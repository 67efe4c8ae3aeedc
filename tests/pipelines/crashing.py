"""Tables whose process ends between two of its writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lake.tables import LakeTables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class CrashError(Exception):
    """Stands for the end of the process."""


@dataclass
class CrashingTables(LakeTables):
    """Tables whose n-th write is the last thing that its process does."""

    inner: LakeTables
    writes_left: int
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.inner.spark, self.inner._store)

    def _write(self, name: str, rows: DataFrame, *arguments: Any, **more: Any) -> int:
        if not self.writes_left:
            raise CrashError(name)
        self.writes_left -= 1
        self.names.append(name)
        return super()._write(name, rows, *arguments, **more)
