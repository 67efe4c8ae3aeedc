"""`lmslake sql`: one query over the tables, with DuckDB."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli import run
from lake.errors import LakeError

if TYPE_CHECKING:
    import duckdb

FORMATS = ("table", "csv", "json", "parquet")
SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
TABLE_ROWS = 200


@click.command("sql")
@click.argument("query")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    help="Default: table; with --output what the file's ending says. json is one object per line.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the answer to this file instead of the screen.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"At most so many rows. Default: all; {TABLE_ROWS} as a table on the screen.",
)
def command(query: str, output_format: str | None, output: Path | None, limit: int | None) -> None:
    """Run one SELECT over the lake's tables; `-` reads it from standard input.

    Every table goes by its name (`lmslake tables`), times are UTC, nothing can be changed.
    record_id(course_id) gives an id of events the form that it has in school records.

    \b
      lmslake sql "SELECT * FROM gold.student_daily_activity LIMIT 5"
      lmslake sql "SELECT date, count(*) FROM silver.sessions GROUP BY ALL" --format csv
      lmslake sql "SELECT * FROM features.student_features" --output features.parquet
    """
    from lake.query import readable_errors, sql
    from lake.settings import Settings

    chosen = output_format or _format_of(output)
    text = sys.stdin.read() if query == "-" else query
    answer = sql(Settings.from_env(), text)
    with readable_errors():
        if output is None:
            print_answer(answer, chosen, limit)
        else:
            _write_whole(answer if limit is None else answer.limit(limit), chosen, output)
            click.echo(f"wrote {output}", err=True)


def print_answer(answer: duckdb.DuckDBPyRelation, chosen: str, limit: int | None = None) -> None:
    """The rows on standard output, at most `limit`; one of FORMATS. Within `readable_errors`."""
    if chosen == "table":
        _print_table(answer, limit or TABLE_ROWS, is_cut=limit is None)
    else:
        _send(answer if limit is None else answer.limit(limit), chosen)


def _format_of(output: Path | None) -> str:
    if output is None:
        return "table"
    if output.suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"The ending of {output} says no format: add --format.")
    return SUFFIXES[output.suffix.lower()]


def _print_table(answer: duckdb.DuckDBPyRelation, limit: int, *, is_cut: bool) -> None:
    from jobs.tables import print_rows

    rows = answer.limit(limit + 1).fetchall()
    print_rows(answer.columns, rows[:limit], [_is_number(kind) for kind in answer.types])
    if is_cut and len(rows) > limit:
        click.echo(f"the first {limit} rows; --limit N or --format csv give more", err=True)


def _is_number(kind: object) -> bool:
    return str(kind).startswith(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U",
                                 "FLOAT", "DOUBLE", "DECIMAL"))  # fmt: skip


def _send(rows: duckdb.DuckDBPyRelation, chosen: str) -> None:
    """The answer as bytes on standard output, whole or not at all."""
    stdout = sys.stdout.buffer
    if chosen == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for the screen: add --output FILE.parquet.")
    with tempfile.TemporaryDirectory(prefix="lmslake-") as folder:
        path = Path(folder) / "answer"
        _write(rows, chosen, path)
        with path.open("rb") as source:
            shutil.copyfileobj(source, stdout)
    stdout.flush()


def _write_whole(rows: duckdb.DuckDBPyRelation, chosen: str, output: Path) -> None:
    if chosen == "table":
        raise click.UsageError("A table is for the screen: choose csv, json or parquet.")
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        _write(rows, chosen, part)
        part.replace(output)
    except OSError as error:
        raise LakeError(f"{output} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _write(rows: duckdb.DuckDBPyRelation, chosen: str, path: Path) -> None:
    if chosen == "csv":
        rows.write_csv(str(path), header=True)
    elif chosen == "parquet":
        rows.write_parquet(str(path))
    else:
        target = str(path).replace("'", "''")
        rows.query("answer", f"COPY (SELECT * FROM answer) TO '{target}' (FORMAT json)")


if __name__ == "__main__":
    run(command)
