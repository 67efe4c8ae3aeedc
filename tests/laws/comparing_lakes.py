"""Two tables of any size, row for row, in DuckDB: for lakes that do not fit into Python's memory.

Rows are compared as multisets and exactly, floats to their last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Compared:
    """Rows of both tables, rows that only one of them has, and what differs in one example."""

    expected: int
    found: int
    missing: int
    surplus: int
    example: str

    @property
    def is_equal(self) -> bool:
        return not (self.missing or self.surplus)


def compared_tables(
    connection: duckdb.DuckDBPyConnection,
    expected: str,
    found: str,
    columns: Sequence[str],
    keys: Sequence[str],
) -> Compared:
    """Compare the columns of two tables (names, or calls such as delta_scan('…')).

    The example is the difference whose `keys` come first in order.
    """
    named = ", ".join(f'"{column}"' for column in columns)
    # One pass over both. Equal rows cancel out, however often there are, nulls included.
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE differing AS SELECT {named}, sum(times) AS times FROM ("
        f"SELECT {named}, 1 AS times FROM {expected} "
        f"UNION ALL SELECT {named}, -1 AS times FROM {found}"
        f") GROUP BY {named} HAVING sum(times) <> 0"
    )
    counts = connection.execute(
        f"SELECT (SELECT count(*) FROM {expected}), (SELECT count(*) FROM {found}), "
        "coalesce(sum(greatest(times, 0)), 0), coalesce(sum(greatest(-times, 0)), 0) FROM differing"
    ).fetchone()
    assert counts is not None
    in_order = ", ".join(f'"{key}"' for key in keys)
    rows = connection.execute(f"SELECT * FROM differing ORDER BY {in_order}, times LIMIT 2")
    names = [column[0] for column in rows.description or ()]
    first = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    rows_expected, rows_found, missing, surplus = map(int, counts)
    return Compared(rows_expected, rows_found, missing, surplus, _shown(first, keys))


def _shown(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> str:
    """The first row, or the columns in which two rows of the same keys differ."""
    if not rows:
        return ""
    where = ", ".join(f"{key} {rows[0][key]}" for key in keys)
    times = [row.pop("times") for row in rows]
    is_changed = len(rows) == 2 and times == [-1, 1]
    if is_changed and all(rows[0][key] == rows[1][key] for key in keys):
        found, expected = rows
        return f"{where}: " + "; ".join(
            f"{name} should be {value!r}, is {found[name]!r}"[:SHOWN_CHARACTERS]
            for name, value in expected.items()
            if value != found[name]
        )
    kind = "missing" if times[0] > 0 else "too many"
    return f"{where}: row {kind}: {str(rows[0])[:SHOWN_CHARACTERS]}"
