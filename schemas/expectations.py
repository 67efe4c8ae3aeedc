"""What a table's checks expect: names, words, and the Great Expectations suite.

Pure functions of `Table`; Great Expectations is imported where the suite is built only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from schemas.table import Check, Severity, Table

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

ROW_COUNT = "row_count"


def named_checks(table: Table) -> dict[str, Check]:
    """Every check of the table under its own name, in declared order.

    Two checks of one rule on the same columns (an error and a wider warning, say) are told apart
    by a number.
    """
    named: dict[str, Check] = {}
    for check in table.all_checks:
        name, number = check.name, 2
        while name in named:
            name, number = f"{check.name} #{number}", number + 1
        named[name] = check
    return named


def describe(check: Check) -> str:
    """What a check wants, in words. A null fails `not_null` only."""
    low, high = _number(check.minimum), _number(check.maximum)
    columns = ", ".join(check.columns)
    match check.rule:
        case "not_null":
            return f"{columns} is never null"
        case "between" if low and high:
            return f"{columns} is from {low} to {high}"
        case "between":
            return f"{columns} is at least {low}" if low else f"{columns} is at most {high}"
        case "in_set":
            return f"{columns} is one of {', '.join(check.values)}"
        case "matches":
            return f"{columns} matches {check.pattern}"
        case "ordered":
            return f"{check.columns[0]} is not after {check.columns[1]}"
        case "unique":
            return f"no two rows have the same {columns}"
        case "row_count_at_least":
            return f"there are at least {low} rows"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


@dataclass(frozen=True)
class Expectation:
    """What one number of a table's summary must be: from `minimum` to `maximum`, ends included.

    `column` is the summary's column that holds the number.
    """

    name: str
    meaning: str
    column: str
    minimum: float | None
    maximum: float | None
    severity: Severity = "error"
    rule: str = "batch"
    columns: tuple[str, ...] = ()

    @property
    def is_row_rule(self) -> bool:
        return self.rule not in ("batch", "unique", "row_count_at_least")

    @property
    def expected(self) -> str:
        low, high = _number(self.minimum), _number(self.maximum)
        if low == high:
            return low
        return " and ".join([*([f">= {low}"] if low else []), *([f"<= {high}"] if high else [])])


def expectations(table: Table) -> tuple[Expectation, ...]:
    """The checks of the table as expectations of its one-row summary (see `lake.gates`).

    The summary has a column per check, named as the check: the number of rows that break it,
    which must be 0. `row_count_at_least` is judged on the column `row_count`.
    """
    return tuple(
        Expectation(
            name=name,
            meaning=describe(check),
            column=ROW_COUNT if check.rule == "row_count_at_least" else name,
            minimum=check.minimum if check.rule == "row_count_at_least" else 0,
            maximum=None if check.rule == "row_count_at_least" else 0,
            severity=check.severity,
            rule=check.rule,
            columns=check.columns,
        )
        for name, check in named_checks(table).items()
    )


def expectation_suite(table: Table, wanted: Iterable[Expectation] = ()) -> ExpectationSuite:
    """Great Expectations suite over the table's one-row summary.

    wanted: what is expected, in order; without any it is all that is declared.

    Every expectation carries the check's own name, rule and columns in its description and meta.
    """
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.core.expect_column_max_to_be_between import (
        ExpectColumnMaxToBeBetween,
    )
    from great_expectations.expectations.metadata_types import FailureSeverity

    severities = {"error": FailureSeverity.CRITICAL, "warn": FailureSeverity.WARNING}
    return ExpectationSuite(
        name=table.name,
        # The maximum of a column of one row is that row's number: GX then reports it as observed.
        expectations=[
            ExpectColumnMaxToBeBetween(
                column=expected.column,
                min_value=expected.minimum,
                max_value=expected.maximum,
                severity=severities[expected.severity],
                # GX puts it into its pages as it is.
                description=escape(f"{expected.name}: {expected.meaning}", quote=False),
                meta={
                    "check": expected.name,
                    "rule": expected.rule,
                    "columns": list(expected.columns),
                    "severity": expected.severity,
                },
            )
            for expected in (tuple(wanted) or expectations(table))
        ],
        meta={"table": table.name, "grain": table.grain},
    )
