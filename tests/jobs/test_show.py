"""`lmslake show`: each answer in each format, and help that teaches."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner, Result

from jobs.show import command
from lake.errors import LakeError
from lake.settings import Settings
from tests.lake.test_query import write_rows
from tests.lake.test_shows import ANA, BEN, a_class_day, day

MakeSettings = Callable[..., Settings]


@pytest.fixture
def lake(settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    made = settings()
    days = [a_class_day(n, name, 3) for n in range(15) for name in ("9A", "9B")]
    write_rows(made, "gold.class_daily_performance", days)
    monkeypatch.setenv("LMSLAKE_ROOT", made.root)
    return made


def call(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.mark.usefixtures("lake")
def test_show__prints_lines_for_a_pipe_and_csv_and_json() -> None:
    header, *lines = call("class-daily-performance").stdout.splitlines()
    assert header.split("\t")[:2] == ["date", "class_id"]
    assert [line.split("\t")[:2] for line in lines[:2]] == [
        ["2025-09-15", "9A"], ["2025-09-15", "9B"],
    ]  # fmt: skip
    assert len(lines) == 20
    limited = ("class-daily-performance", "--limit", "3", "--format")
    rows = list(csv.DictReader(call(*limited, "csv").stdout.splitlines()))
    assert [row["date"] for row in rows] == ["2025-09-15", "2025-09-15", "2025-09-14"]
    objects = [json.loads(line) for line in call(*limited, "json").stdout.splitlines()]
    assert objects[2]["attendance_rate"] == 0.75


def test_show__cuts_long_tables_and_says_so(lake: Settings) -> None:
    write_rows(
        lake,
        "gold.student_performance_summary",
        [{"student_hash": f"{n:064x}", "class_id": "9A"} for n in range(300)],
    )
    name = "student-performance-summary"
    assert len(call(name).stdout.splitlines()) == 201
    assert "the first 200 rows" in call(name).stderr
    assert len(call(name, "--limit", "250").stdout.splitlines()) == 251
    assert len(call(name, "--format", "csv").stdout.splitlines()) == 301


def test_show__takes_a_class_a_day_and_a_student(lake: Settings) -> None:
    write_rows(
        lake,
        "gold.student_performance_summary",
        [{"student_hash": ANA, "class_id": name} for name in ("9A", "9B")],
    )
    write_rows(
        lake,
        "gold.student_360",
        [
            {"student_hash": student, "as_of_date": day(n),
             "_derived_at": datetime(2025, 9, 9, tzinfo=UTC)}
            for n in range(2)
            for student in (ANA, BEN)
        ],
    )  # fmt: skip

    def count(*arguments: str) -> int:
        return len(call(*arguments, "--format", "json").stdout.splitlines())

    assert count("student-performance-summary") == 2
    assert count("student-performance-summary", "--class", "9B") == 1
    assert count("student-360", "--as-of", "2025-09-01") == 2
    assert count("student-360", "--student-hash", ANA) == 2
    assert count("student-360", "--student-hash", ANA, "--as-of", "2025-09-02") == 1


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    "name", ["class-statistics", "students-at-risk", "grade-level-trends", "student-360"]
)
def test_show__says_which_command_writes_a_missing_table(name: str) -> None:
    with pytest.raises(LakeError, match=r"is not written yet\. `lmslake .*` writes it"):
        call(name)


def test_show__explains_itself() -> None:
    helped = call("--help").stdout
    for name in command.commands:
        assert name in helped
        assert call(name, "--help").stdout.count("\n") > 6


@pytest.mark.parametrize(
    "arguments",
    [("--limit", "0"), ("--format", "parquet"), ("--as-of", "yesterday")],
)
def test_show__explains_wrong_options(arguments: tuple[str, ...]) -> None:
    name = "student-360" if "--as-of" in arguments else "class-daily-performance"
    result = call(name, *arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr
