"""What a table is: one frozen declaration from which everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

Sensitivity = Literal["none", "pseudonym", "identifier"]
Severity = Literal["error", "warn"]
Rule = Literal[
    "not_null", "between", "in_set", "matches", "unique", "row_count_at_least", "ordered"
]
LAYERS = ("bronze", "silver", "gold", "features", "restricted")
# Elsewhere a raw identifier is a leak.
WITH_IDENTIFIERS = frozenset({"bronze", "restricted"})
RESTRICTED_READERS = frozenset({"registrar"})

NEVER = "never"


@dataclass(frozen=True)
class Column:
    """One column: its name, Spark SQL type, meaning, unit and null rule.

    `nulls` says when a value is null; `NEVER` makes the column required. `formula` names how a
    derived value is computed. Columns that begin with `_` are lineage and outside of law 2.
    """

    name: str
    type: str
    doc: str
    nulls: str = NEVER
    unit: str = ""
    formula: str = ""
    sensitivity: Sensitivity = "none"
    values: tuple[str, ...] = ()

    @property
    def nullable(self) -> bool:
        return self.nulls != NEVER

    @property
    def is_lineage(self) -> bool:
        return self.name.startswith("_")

    def with_(self, **changes: str) -> Column:
        """The same column with another doc, formula or null rule where a table narrows it."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Check:
    """One expectation of a table.

    `error` checks on rows (`not_null`, `between`, `in_set`, `matches`, `ordered`) send the row to
    quarantine; `error` checks on batches (`unique`, `row_count_at_least`) stop the publication;
    `warn` checks are reported only. `ordered` wants columns[0] <= columns[1].
    """

    rule: Rule
    columns: tuple[str, ...]
    severity: Severity = "error"
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    pattern: str = ""

    @property
    def is_row_rule(self) -> bool:
        return self.rule not in ("unique", "row_count_at_least")

    @property
    def name(self) -> str:
        return f"{self.rule}({', '.join(self.columns)})"


def not_null(column: str, severity: Severity = "error") -> Check:
    return Check("not_null", (column,), severity)


def between(
    column: str,
    minimum: float | None = None,
    maximum: float | None = None,
    severity: Severity = "error",
) -> Check:
    return Check("between", (column,), severity, minimum=minimum, maximum=maximum)


def in_set(column: str, values: tuple[str, ...], severity: Severity = "error") -> Check:
    return Check("in_set", (column,), severity, values=values)


def matches(column: str, pattern: str, severity: Severity = "error") -> Check:
    return Check("matches", (column,), severity, pattern=pattern)


def ordered(first: str, second: str, severity: Severity = "error") -> Check:
    return Check("ordered", (first, second), severity)


def unique(*columns: str, severity: Severity = "error") -> Check:
    return Check("unique", columns, severity)


def at_least_rows(count: int, severity: Severity = "error") -> Check:
    return Check("row_count_at_least", (), severity, minimum=count)


@dataclass(frozen=True)
class Table:
    """A declared table; construction fails where a law would be broken.

    Raises ValueError: a pseudonym without retention, a raw identifier in silver, gold or features,
    a restricted table with other readers than the registrar, a key, partition or check that names
    no column, or a column named twice.
    """

    name: str
    doc: str
    grain: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    partition_by: str | None = None
    checks: tuple[Check, ...] = ()
    retention_days: int | None = None
    readers: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: a column is declared twice")
        if self.layer not in LAYERS:
            raise ValueError(f"{self.name}: layer must be one of {', '.join(LAYERS)}")
        partition = (self.partition_by,) if self.partition_by else ()
        used = {*self.keys, *partition, *(c for check in self.checks for c in check.columns)}
        if unknown := used - set(names):
            raise ValueError(f"{self.name}: {', '.join(sorted(unknown))} is not a column of it")
        kinds = {column.sensitivity for column in self.columns}
        if "pseudonym" in kinds and self.retention_days is None:
            raise ValueError(f"{self.name} holds a pseudonym and declares no retention")
        if "identifier" in kinds and self.layer not in WITH_IDENTIFIERS:
            raise ValueError(f"{self.name} holds a raw identifier above bronze")
        if self.layer == "restricted" and self.readers != RESTRICTED_READERS:
            raise ValueError(f"{self.name} is restricted and has other readers than the registrar")

    @property
    def layer(self) -> str:
        return self.name.split(".", 1)[0]

    @property
    def short_name(self) -> str:
        return self.name.split(".", 1)[1]

    @property
    def path(self) -> str:
        """Folder of the table below the lake's root."""
        return f"tables/{self.layer}/{self.short_name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def all_checks(self) -> tuple[Check, ...]:
        """Declared checks and those that follow from keys, null rules and vocabularies."""
        required = tuple(not_null(c.name) for c in self.columns if not c.nullable)
        vocabularies = tuple(in_set(c.name, c.values) for c in self.columns if c.values)
        return (*required, *vocabularies, *self.checks, unique(*self.keys))
