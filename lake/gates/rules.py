"""Declared checks as Spark columns: which rows break a rule, and how many do.

Null rule of all of them: a null value breaks `not_null` only. NaN breaks `between`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from schemas.expectations import ROW_COUNT, named_checks
from schemas.table import Check, Table

BROKEN = "A row breaks an expectation of"

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyspark.sql import Column, DataFrame


LOWER_HEX = re.compile(r"\^\[0-9a-f\]\{(?P<digits>\d+)\}\$")


def breaks(table: Table, check: Check) -> Column:
    """Boolean, never null: whether the row breaks a check on rows.

    Raises ValueError for a check on batches, which no single row can break.
    """
    column = F.col(check.columns[0]) if check.columns else F.lit(None)
    match check.rule:
        case "not_null":
            return column.isNull()
        case "between":
            broken = _outside(table, check, column)
        case "in_set":
            broken = ~column.isin(*check.values)
        case "matches":
            broken = ~_matches_whole(column, check.pattern)
        case "ordered":
            broken = column > F.col(check.columns[1])
        case _:
            raise ValueError(f"{table.name}: {check.name} is a check on batches")
    return F.coalesce(broken, F.lit(False))


def _matches_whole(column: Column, pattern: str) -> Column:
    """Whether the pattern matches the whole value; null for null."""
    if digits := LOWER_HEX.fullmatch(pattern):
        # The same as the regular expression in less time: it runs twice for every event.
        is_lower = column == F.lower(column)
        has_length = F.length(column) == int(digits["digits"])
        is_hex = F.unhex(column).isNotNull()
        return F.when(column.isNotNull(), has_length & is_hex & is_lower)
    # Java's `$` also matches before a line break at the end, `\z` does not.
    return column.rlike(rf"\A(?:{pattern})\z")


def _outside(table: Table, check: Check, column: Column) -> Column:
    is_double = any(c.name == check.columns[0] and c.type == "double" for c in table.columns)
    broken = F.isnan(column) if is_double else F.lit(False)
    if check.minimum is not None:
        broken = broken | (column < F.lit(check.minimum))
    if check.maximum is not None:
        broken = broken | (column > F.lit(check.maximum))
    return broken


def violations(table: Table, columns: Collection[str] | None = None) -> dict[str, Column]:
    """Per error check on rows: a boolean column, never null, "this row breaks it".

    Keys are the checks' names in declared order: null rules, vocabularies, then the others. Checks
    that need other columns than the given ones are left out.
    """
    return {
        name: breaks(table, check)
        for name, check in named_checks(table).items()
        if check.is_row_rule
        and check.severity == "error"
        and (columns is None or set(check.columns) <= set(columns))
    }


def first_violation(table: Table, columns: Collection[str]) -> Column:
    """Name of the first error check on the columns that the row breaks; null for a good row."""
    named = [F.when(broken, F.lit(name)) for name, broken in violations(table, columns).items()]
    return F.coalesce(*named, F.lit(None).cast("string"))


def guarded(rows: DataFrame, table: Table) -> DataFrame:
    """The same rows; a job that meets one which breaks an error check fails.

    The check costs no pass of its own: it runs in the job that writes or caches the rows, and a
    failed job commits nothing. Checks on columns that `rows` does not have are left out.
    """
    broken = first_violation(table, rows.columns)
    message = F.concat(F.lit(f"{BROKEN} {table.name}: "), broken)
    return rows.where(F.when(broken.isNull(), F.lit(True)).otherwise(F.raise_error(message)))


def is_broken_guard(error: Exception) -> bool:
    """Whether a job failed because a guarded row breaks an expectation."""
    return BROKEN in str(error)


def judged_before(table: Table) -> bool:
    """Whether the table has checks that a guard cannot make and that need a look at all rows."""
    return any(
        check.rule == "row_count_at_least" or (check.is_row_rule and check.severity == "warn")
        for check in table.all_checks
    )


def kept_summary(table: Table, row_count: int) -> dict[str, int]:
    """The summary of guarded rows that went through: no row broke any check on rows."""
    names = (name for name, check in named_checks(table).items() if check.is_row_rule)
    return {ROW_COUNT: row_count, **dict.fromkeys(names, 0)}


def all_violations(table: Table) -> Column:
    """Names of all error checks that the row breaks, joined by "; ", empty for a good row."""
    named = [F.when(broken, F.lit(name)) for name, broken in violations(table).items()]
    return F.concat_ws("; ", *named)


def summary_columns(table: Table) -> list[Column]:
    """Aggregates of the table's summary, for `rows.agg(*…)` or `rows.observe(…, *…)`.

    `row_count`, then per check on rows (warnings too) the number of rows that break it under the
    check's name. Uniqueness is not among them: see `lake.gates.keys`.
    """
    counts = [
        F.count_if(breaks(table, check)).alias(name)
        for name, check in named_checks(table).items()
        if check.is_row_rule
    ]
    return [F.count(F.lit(1)).alias(ROW_COUNT), *counts]
