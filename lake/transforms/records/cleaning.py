"""A table's cleaning: which rule reads which field, and which rows cannot be kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.transforms.records.outcome import FLAGS, Rule
from schemas.records import AMBIGUOUS_DATE

DEFECT = "_defect"


@dataclass(frozen=True)
class Clean:
    """A field's column in the cleaned rows, and the rule that makes it."""

    column: str
    rule: Rule


@dataclass(frozen=True)
class RowCheck:
    """What must not hold between the cleaned columns of a row; null is no failure.

    Named as `field:flag`. A hard one rejects the row, a soft one is among its quality_flags.
    """

    field: str
    flag: str
    fails: Callable[[], Column]
    is_hard: bool = False

    def __post_init__(self) -> None:
        if self.flag not in FLAGS:
            raise ValueError(f"{self.flag} is not one of FLAGS")

    @property
    def name(self) -> str:
        return f"{self.field}:{self.flag}"


@dataclass(frozen=True)
class Cleaning:
    """How the rows of one source are cleaned.

    rules: field → column and rule. required: fields without whose value a row is rejected; but
    where the value of one of `undated` is missing because day and month cannot be told apart, the
    row is kept without it. derived: column → expression over the cleaned columns (a function:
    making one needs Spark).
    """

    rules: Mapping[str, Clean]
    required: tuple[str, ...]
    checks: tuple[RowCheck, ...] = ()
    derived: Mapping[str, Callable[[], Column]] = field(default_factory=dict)
    undated: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := set(self.required) - set(self.rules):
            raise ValueError(f"{', '.join(sorted(unknown))}: required, and without a rule")

    @property
    def columns(self) -> tuple[str, ...]:
        """What cleaning adds to a row, in order."""
        return (*(clean.column for clean in self.rules.values()), *self.derived, "quality_flags")


def with_clean(rows: DataFrame, cleaning: Cleaning) -> DataFrame:
    """Typed columns in place of the fields. In: the fields as text, and any other columns.

    Out: the other columns, `cleaning.columns`. quality_flags: sorted `field:flag`, empty for a
    clean row; with `row:ragged_row` for a row that bronze calls ragged. No row is dropped:
    `first_hard_failure` says which cannot be kept.
    """
    kept = [name for name in rows.columns if name not in cleaning.rules]
    # The outcome is a column of its own, so that Spark makes it once for value and flag.
    judged = rows.select(
        *kept, *(clean.rule(F.col(name)).alias(_judged(name)) for name, clean in _items(cleaning))
    )
    values = [F.col(_judged(name))["value"].alias(clean.column) for name, clean in _items(cleaning)]
    flags = [_flag(name) for name in cleaning.rules]
    typed = judged.select(*kept, *values, F.array(*flags).alias("_flags"))
    soft = [F.when(check.fails(), check.name) for check in cleaning.checks if not check.is_hard]
    if DEFECT in kept:
        soft.append(F.when(F.startswith(F.col(DEFECT), F.lit("ragged_row")), "row:ragged_row"))
    found = F.concat(F.col("_flags"), F.array(*soft)) if soft else F.col("_flags")
    return typed.select(
        *kept,
        *(clean.column for clean in cleaning.rules.values()),
        *(column().alias(name) for name, column in cleaning.derived.items()),
        F.array_sort(F.array_compact(found)).alias("quality_flags"),
    )


def first_hard_failure(cleaning: Cleaning) -> Column:
    """Why a row that `with_clean` made cannot be kept; null for one that can.

    `field:flag` of the first required field without a value, `field:missing` where the text was
    empty, or the name of the first hard check that fails.
    """
    reasons = [F.when(_is_missing(cleaning, name), _reason(name)) for name in cleaning.required]
    hard = [F.when(check.fails(), check.name) for check in cleaning.checks if check.is_hard]
    return F.coalesce(*reasons, *hard, F.lit(None).cast("string"))


def _is_missing(cleaning: Cleaning, name: str) -> Column:
    is_null = F.col(cleaning.rules[name].column).isNull()
    if name not in cleaning.undated:
        return is_null
    return is_null & ~F.array_contains("quality_flags", f"{name}:{AMBIGUOUS_DATE}")


def _items(cleaning: Cleaning) -> list[tuple[str, Clean]]:
    return list(cleaning.rules.items())


def _judged(name: str) -> str:
    return f"_judged_{name}"


def _flag(name: str) -> Column:
    # Concatenating a null gives null.
    return F.concat(F.lit(f"{name}:"), F.col(_judged(name))["flag"])


def _reason(name: str) -> Column:
    begins = F.lit(f"{name}:")
    of_field = F.filter(F.col("quality_flags"), lambda flag: F.startswith(flag, begins))
    return F.coalesce(F.get(of_field, F.lit(0)), F.lit(f"{name}:missing"))
