"""`lmslake show`: answers to what schools ask, with DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import click

from jobs.cli import run
from jobs.sql import TABLE_ROWS, print_answer

if TYPE_CHECKING:
    from lake.shows import Question

DAY = click.DateTime(["%Y-%m-%d"])
FORMATS = ("table", "csv", "json")
Command = TypeVar("Command", bound=Callable[..., None])


def _print_options(default_limit: int | None = None) -> Callable[[Command], Command]:
    """Adds --limit and --format."""
    limit = click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=default_limit,
        show_default=True,
        help="At most so many rows."
        if default_limit
        else f"At most so many rows. Default: all; {TABLE_ROWS} as a table on the screen.",
    )
    chosen = click.option(
        "--format",
        "chosen",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="json is one object per line.",
    )
    return lambda command: limit(chosen(command))


@click.group("show")
def command() -> None:
    """Answer what schools ask: classes, students, risk, grades.

    The same answers are pandas DataFrames in Python: `from lake.shows import
    show_class_statistics`. For other questions there is `lmslake sql`; `lmslake tables NAME`
    explains the columns.

    \b
      lmslake show class-daily-performance --limit 12
      lmslake show students-at-risk --format csv > risk.csv
      lmslake show student-360 --as-of 2025-09-30 --format json
    """


@command.command("class-daily-performance")
@_print_options(20)
def class_daily_command(limit: int | None, chosen: str) -> None:
    """Attendance and scores of each class by day.

    Newest days first; columns: `lmslake tables gold.class_daily_performance`.
    """
    from lake.shows import class_daily_performance

    _print(class_daily_performance(limit), limit, chosen)


@command.command("student-performance-summary")
@click.option("--class", "class_id", metavar="CLASS", help="The students of this class only.")
@_print_options()
def student_summary_command(class_id: str | None, limit: int | None, chosen: str) -> None:
    """Attendance and scores of each student.

    Over all time, by class, best mean first; columns:
    `lmslake tables gold.student_performance_summary`.

    \b
      lmslake show student-performance-summary --class 10A
    """
    from lake.shows import student_performance_summary

    _print(student_performance_summary(class_id), limit, chosen)


@command.command("class-statistics")
@_print_options()
def class_statistics_command(limit: int | None, chosen: str) -> None:
    """Attendance and scores of each class overall.

    One row per class over all days. active_students: whom the register has as active in the class
    now. attendance_rate (0-1) and avg_score (%) weigh every record alike. Best and worst day are
    those of the highest and the lowest attendance, the newest where several have it.
    """
    from lake.shows import class_statistics

    _print(class_statistics(), limit, chosen)


@command.command("students-at-risk")
@_print_options()
def at_risk_command(limit: int | None, chosen: str) -> None:
    """Students for whom a rule of risk fires.

    Since when, and the numbers behind it, on the newest day on which each was judged: a student is
    judged on each day with attendance or an assessment of his. One row per student and rule;
    columns: `lmslake tables gold.student_risk_monitor`.
    """
    from lake.shows import students_at_risk

    _print(students_at_risk(), limit, chosen)


@command.command("grade-level-trends")
@_print_options()
def grade_trends_command(limit: int | None, chosen: str) -> None:
    """Attendance and scores of grades by month.

    Newest first, with the change against the month before; columns:
    `lmslake tables gold.grade_level_trends`.
    """
    from lake.shows import grade_level_trends

    _print(grade_level_trends(), limit, chosen)


@command.command("student-360")
@click.option("--student-hash", metavar="HASH", help="All pictures of one student, newest first.")
@click.option("--as-of", type=DAY, help="Pictures of this day. Default: the newest that has any.")
@_print_options()
def student_360_command(
    student_hash: str | None, as_of: datetime | None, limit: int | None, chosen: str
) -> None:
    """The whole picture of students as of a day.

    Behaviour, attendance, scores, courses, tickets and risk side by side. `lmslake picture build`
    makes the pictures; columns: `lmslake tables gold.student_360`.

    \b
      lmslake show student-360 --format csv
      lmslake show student-360 --as-of 2025-09-30
      lmslake show student-360 --student-hash 0c6b…
    """
    from lake.shows import student_360

    _print(student_360(student_hash, as_of.date() if as_of else None), limit, chosen)


def _print(question: Question, limit: int | None, chosen: str) -> None:
    from lake.query import readable_errors

    answer = question.answer()
    with readable_errors():
        print_answer(answer, chosen, limit)


if __name__ == "__main__":
    run(command)
