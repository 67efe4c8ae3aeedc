"""`lmslake catalog`: titles of courses and chapters."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.cli import run


@click.group("catalog")
def command() -> None:
    """Load course and chapter titles; events show them once they are built."""


@command.command("load")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def load(file: Path) -> None:
    """Load a CSV file with the columns course_id, course_title, chapter_id, chapter_title.

    Known chapters get the file's titles, new ones are added, others stay. A file with a fault is
    refused as a whole, with the line and the column.

    \b
      lmslake catalog load courses.csv
    """
    from lake.catalog import load_catalog
    from lake.settings import Settings
    from lake.storage import open_store

    report = load_catalog(open_store(Settings.from_env()), file)
    click.echo(
        f"{report.added} chapters added, {report.changed} got other titles, "
        f"{report.unchanged} stayed as they were"
    )
    if report.changed or report.added:
        click.echo(
            "Events that are built from now on carry the titles. For days that are built already: "
            "lmslake backfill --from D --to D --reset"
        )


if __name__ == "__main__":
    run(command)
