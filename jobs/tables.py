"""`lmslake tables`: what there is, at which grain, how much and how fresh."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs.cli import run

if TYPE_CHECKING:
    from lake.settings import Settings
    from schemas.table import Table

SEPARATOR = "\t"


@click.command("tables")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the tables: grain, rows, last change, meaning. With NAME: its columns.

    \b
      lmslake tables
      lmslake tables gold.chapter_engagement
    """
    from lake.query import known_table
    from lake.settings import Settings

    if name is None:
        _print_tables(Settings.from_env())
    else:
        _print_columns(known_table(name))


def _print_tables(settings: Settings) -> None:
    from schemas.tables import TABLES

    changes = last_changes(settings)
    counts = row_counts(settings, list(changes))
    print_rows(
        ["table", "rows", "last change", "grain", "meaning"],
        [
            (
                table.name,
                f"{counts[name]:,}" if name in counts else "-",
                f"{changes[name]:%Y-%m-%d %H:%M:%SZ}" if name in changes else "not written yet",
                table.grain,
                # The first sentence; NAME shows the whole.
                table.doc.partition(". ")[0].rstrip("."),
            )
            for name, table in TABLES.items()
        ],
        [False, True, False, False, False],
        is_first_whole=True,
    )
    if sys.stdout.isatty():
        click.echo("\nColumns of one: lmslake tables NAME")


def row_counts(settings: Settings, names: Sequence[str]) -> dict[str, int]:
    """Rows of the given tables, which must exist."""
    from lake.query import connect, readable_errors

    with connect(settings) as connection, readable_errors():
        return {
            name: int(connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0])
            for name in names
        }


def last_changes(settings: Settings) -> dict[str, datetime]:
    """When each table that exists was last written (UTC). Raises LakeError without a lake."""
    from deltalake import DeltaTable

    from lake.delta_reading import is_written
    from lake.storage import existing_store
    from schemas.tables import TABLES

    store = existing_store(settings)
    changes = {}
    for table in TABLES.values():
        if is_written(table, store):
            delta = DeltaTable(
                store.delta_uri(table.path), storage_options=store.storage_options or None
            )
            milliseconds = delta.history(1)[0]["timestamp"]
            changes[table.name] = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return changes


def _print_columns(table: Table) -> None:
    click.echo(f"{table.name}: {table.doc}")
    click.echo(f"One row: {table.grain}. Key: {', '.join(table.keys)}.")
    click.echo("")
    print_rows(
        ["column", "type", "unit", "meaning", "null where"],
        [
            (
                column.name,
                column.type,
                column.unit,
                f"{column.doc} = {column.formula}" if column.formula else column.doc,
                column.nulls if column.nullable else "never",
            )
            for column in table.columns
        ],
        is_first_whole=True,
    )


def print_rows(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    are_numbers: Sequence[bool] | None = None,
    *,
    is_first_whole: bool = False,
) -> None:
    """A table on a screen; in a pipe tab-separated lines with a header, for cut and awk.

    `is_first_whole` keeps names in the first column on one line, however narrow the screen.
    """
    texts = [["" if value is None else str(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *texts):
            click.echo(SEPARATOR.join(" ".join(str(cell).split()) for cell in line))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        is_number = are_numbers is not None and are_numbers[index]
        shown.add_column(
            column,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_first_whole and index == 0,
        )
    for cells in texts:
        # Text, not markup: what stands in brackets in a title is not a style.
        shown.add_row(*(Text(cell) for cell in cells))
    Console().print(shown)


if __name__ == "__main__":
    run(command)
