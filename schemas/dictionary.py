"""The data dictionary: every declared table and column as one Markdown page."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.expectations import describe, named_checks
from schemas.table import Check, Column, Table

HEADER = """# Data dictionary

Generated from the declarations in `schemas/tables` by `lmslake docs`: edit those, not this page.

A column without a null rule is never null. Columns that begin with `_` say where a row came from.
All timestamps are UTC with microseconds. A check of severity *error* on rows sends the row to
quarantine (or stops the publication, where the table has no quarantine), on a batch it stops the
publication; *warn* is reported only. A null value fails `not_null` only.
"""


def dictionary_page(tables: Iterable[Table]) -> str:
    """Markdown: contents, then each table with its columns and checks. Ends with a line break."""
    declared = tuple(tables)
    contents = "\n".join(
        f"| [{table.name}](#{_anchor(table)}) | {_cell(table.grain)} | {_cell(table.doc)} |"
        for table in declared
    )
    sections = "\n".join(_section(table) for table in declared)
    return f"{HEADER}\n| table | one row is | what |\n|---|---|---|\n{contents}\n\n{sections}"


def _anchor(table: Table) -> str:
    return table.name.replace(".", "")


def _section(table: Table) -> str:
    retention = f"{table.retention_days} days" if table.retention_days else "kept"
    facts = (
        ("One row is", table.grain),
        ("Key", ", ".join(f"`{key}`" for key in table.keys)),
        ("Partition", f"`{table.partition_by}`" if table.partition_by else "none"),
        ("Retention", retention),
        ("Readers", ", ".join(sorted(table.readers)) or "none"),
        ("Folder", f"`{table.path}`"),
    )
    lines = [
        f"## {table.name}",
        "",
        table.doc,
        "",
        *(f"- {name}: {value}" for name, value in facts),
        "",
        "| column | type | unit | meaning | null when | formula |",
        "|---|---|---|---|---|---|",
        *(_column_row(column) for column in table.columns),
        "",
        "| check | severity | wants |",
        "|---|---|---|",
        *(_check_row(name, check) for name, check in named_checks(table).items()),
        "",
    ]
    return "\n".join(lines)


def _column_row(column: Column) -> str:
    marks = {"pseudonym": " **Pseudonym.**", "identifier": " **Identifies a person.**", "none": ""}
    vocabulary = f" One of: {', '.join(column.values)}." if column.values else ""
    cells = (
        f"`{column.name}`",
        f"`{column.type}`",
        column.unit,
        column.doc + vocabulary + marks[column.sensitivity],
        column.nulls if column.nullable else "",
        column.formula,
    )
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _check_row(name: str, check: Check) -> str:
    return f"| `{_cell(name)}` | {check.severity} | {_cell(describe(check))} |"


def _cell(text: str) -> str:
    """Text that neither ends its cell nor starts an HTML tag."""
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text
