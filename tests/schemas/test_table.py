"""A declaration that would break a law can't be constructed."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import columns as c
from schemas.derivations import parse_type
from schemas.table import Column, Table, between, unique
from schemas.tables import TABLES

A_DAY = Column("date", "date", "UTC day.")
A_NAME = Column("student_id", "string", "Who.", sensitivity="identifier")


def declare(**changes: Any) -> Table:
    given: dict[str, Any] = {
        "name": "silver.visits",
        "doc": "Visits.",
        "grain": "one visit",
        "columns": (A_DAY, Column("visit_id", "string", "Visit.")),
        "keys": ("visit_id",),
    }
    return Table(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": (A_DAY, c.STUDENT_HASH), "keys": ("date",)}, "pseudonym .* no retention"),
        ({"columns": (A_DAY, A_NAME), "keys": ("date",)}, "raw identifier above bronze"),
        ({"columns": (A_DAY, A_DAY), "keys": ("date",)}, "declared twice"),
        ({"name": "restricted.visits", "readers": {"registrar", "analyst"}}, "other readers"),
        ({"name": "platinum.visits"}, "layer must be one of"),
        ({"keys": ("visitor",)}, "visitor is not a column"),
        ({"partition_by": "day"}, "day is not a column"),
        ({"checks": (between("seconds", 0),)}, "seconds is not a column"),
        ({"checks": (unique("date", "page"),)}, "page is not a column"),
    ],
)
def test_table__refuses_what_breaks_a_law(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        declare(**changes)


def test_table__takes_a_pseudonym_with_retention_and_an_identifier_in_bronze() -> None:
    declare(columns=(A_DAY, c.STUDENT_HASH), keys=("date",), retention_days=30)
    declare(name="bronze.students", columns=(A_DAY, A_NAME), keys=("date",))


def test_all_checks__follow_from_null_rules_vocabularies_and_keys() -> None:
    colour = Column("colour", "string", "Colour.", "not given", values=("red", "blue"))
    table = declare(columns=(A_DAY, colour), keys=("date",))
    names = [check.name for check in table.all_checks]
    assert names == ["not_null(date)", "in_set(colour)", "unique(date)"]


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_tables__are_documented_in_full(table: Table) -> None:
    assert table.doc
    assert table.grain
    assert table.readers
    for column in table.columns:
        assert column.doc.endswith("."), f"{table.name}.{column.name} needs a sentence as its doc"
        assert column.nulls, f"{table.name}.{column.name} needs a null rule"
        parse_type(column.type)
        if column.type == "string":  # as received: its unit is for the cleaning to find
            continue
        if column.name.endswith("_seconds") or "time_spent" in column.name:
            assert column.unit == "seconds", f"{table.name}.{column.name} needs its unit"
        if column.name.endswith(("_pct", "_rate")):
            assert column.unit == "0-1", f"{table.name}.{column.name} needs its unit"


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_tables__hold_no_raw_identifier_above_bronze(table: Table) -> None:
    identifying = {"student_id", "name", "email", "ip", "user_agent"}
    if table.layer not in ("bronze", "restricted"):
        assert not identifying & set(table.column_names)
        assert not any(f"{name}:" in c.type for c in table.columns for name in identifying)
