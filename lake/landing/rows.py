"""Rows of a file on their way to bronze: text in columns, and what is counted of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson

BATCH_ROWS = 50_000
# Of text: what a batch takes in memory is some times of it.
BATCH_CHARACTERS = 4_000_000
MOST_EXTRA_COLUMNS = 1_000

Values = Sequence[str | None]
Extra = dict[str, str | None]


@dataclass(slots=True)
class Counts:
    """What was read of a file so far. defects: code to rows."""

    rows: int = 0
    defects: Counter[str] = field(default_factory=Counter)
    extra_columns: dict[str, None] = field(default_factory=dict)

    def add_extra_columns(self, names: Iterator[str]) -> None:
        for name in names:
            if len(self.extra_columns) < MOST_EXTRA_COLUMNS:
                self.extra_columns[name] = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows in columns of equal length.

    fields: one column for each field of the source; None where all of it is null. extra, defects:
    the values of `_extra` and `_defect`. first_row: number of the first row. lines: where each
    begins; None for JSON.
    """

    fields: tuple[Values | None, ...]
    extra: Values
    defects: Values
    first_row: int
    lines: Sequence[int] | None

    def __len__(self) -> int:
        return len(self.defects)


@dataclass(slots=True)
class Pending:
    """Rows that are collected for the next batch, all of one width."""

    rows: list[Values] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    extra: dict[int, Extra] = field(default_factory=dict)
    defects: dict[int, str] = field(default_factory=dict)

    def add(self, values: Values, extra: Extra | None = None, defect: str | None = None) -> None:
        """Add a row without a line."""
        place = len(self.rows)
        self.rows.append(values)
        if extra:
            self.extra[place] = extra
        if defect is not None:
            self.defects[place] = defect

    def batch(self, indices: Sequence[int | None], counts: Counts) -> Batch:
        """The rows with the columns at `indices`; counts them, and begins anew."""
        columns = list(zip(*self.rows, strict=True))
        count = len(self.rows)
        batch = Batch(
            tuple(None if index is None else columns[index] for index in indices),
            _sparse({at: _dumped(extra) for at, extra in self.extra.items()}, count),
            _sparse(self.defects, count),
            counts.rows + 1,
            self.lines or None,
        )
        counts.rows += count
        counts.defects.update(defect.partition(":")[0] for defect in self.defects.values())
        self.rows, self.lines, self.extra, self.defects = [], [], {}, {}
        return batch


def _sparse(values: dict[int, str], count: int) -> Values:
    column: list[str | None] = [None] * count
    for at, value in values.items():
        column[at] = value
    return column


def _dumped(extra: Extra) -> str:
    return orjson.dumps(extra).decode()
