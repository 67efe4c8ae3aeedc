"""Differences between the tables of a lake and what they should be."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
Key = tuple[Any, ...]
CLOSE = 1e-12


@dataclass(frozen=True)
class Difference:
    """One cell that differs, or a row that is missing or too many (then `column` is empty)."""

    table: str
    key: Key
    column: str
    expected: Any
    found: Any
    row: Row

    def __str__(self) -> str:
        where = f"{self.table} {', '.join(map(str, self.key))}"
        if self.column:
            return f"{where}: {self.column} should be {self.expected!r}, is {self.found!r}"
        kind = "missing" if self.found is None else "too many"
        return f"{where}: row {kind}: {dict(self.row)}"


def same(expected: Any, found: Any) -> bool:
    """Equality, where floats may differ in the last digits that a division leaves open."""
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(expected, found, rel_tol=CLOSE, abs_tol=CLOSE)
    return type(expected) is type(found) and bool(expected == found)


def differences(
    table: str, keys: Collection[str], expected: Iterable[Row], found: Iterable[Row]
) -> list[Difference]:
    """Every difference in the columns that the expected rows have; rows are matched by `keys`.

    A key that several found rows share counts as rows too many.
    """
    wanted = {tuple(row[key] for key in keys): row for row in expected}
    seen: set[Key] = set()
    result: list[Difference] = []
    for row in found:
        key = tuple(row[name] for name in keys)
        target = wanted.get(key)
        if target is None or key in seen:
            result.append(Difference(table, key, "", None, row, row))
            continue
        seen.add(key)
        result.extend(
            Difference(table, key, column, value, row[column], row)
            for column, value in target.items()
            if not same(value, row[column])
        )
    result.extend(
        Difference(table, key, "", row, None, row) for key, row in wanted.items() if key not in seen
    )
    return result
