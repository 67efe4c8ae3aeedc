"""`lmslake sql`: each format, files whole or not at all, errors without a stack trace."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from jobs.sql import command
from lake.errors import LakeError
from lake.settings import Settings
from tests.lake.test_query import DAILY, a_day, write_rows

MakeSettings = Callable[..., Settings]
QUERY = f"SELECT date, pages_viewed FROM {DAILY} ORDER BY date"


@pytest.fixture
def root(settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> str:
    made = settings()
    days = [date(2025, 9, 1) + timedelta(days=n) for n in range(3)]
    write_rows(made, DAILY, [a_day(day, pages_viewed=n) for n, day in enumerate(days)])
    monkeypatch.setenv("LMSLAKE_ROOT", made.root)
    return made.root


def call(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=given, catch_exceptions=False)


@pytest.mark.usefixtures("root")
def test_sql__prints_lines_for_a_pipe() -> None:
    expected = "date\tpages_viewed\n2025-09-01\t0\n2025-09-02\t1\n2025-09-03\t2\n"
    assert call(QUERY).stdout == expected
    assert call("-", given=QUERY).stdout == expected


@pytest.mark.usefixtures("root")
def test_sql__limits_every_format() -> None:
    for chosen in ("table", "csv"):
        assert len(call(QUERY, "--format", chosen, "--limit", "2").stdout.splitlines()) == 3
    assert len(call(QUERY, "--format", "json", "--limit", "2").stdout.splitlines()) == 2


@pytest.mark.usefixtures("root")
def test_sql__says_when_a_table_is_cut() -> None:
    printed = call("SELECT * FROM range(1000)")
    assert len(printed.stdout.splitlines()) == 201
    assert "the first 200 rows" in printed.stderr


@pytest.mark.usefixtures("root")
def test_sql__writes_csv_and_json() -> None:
    rows = list(csv.DictReader(call(QUERY, "--format", "csv").stdout.splitlines()))
    assert rows[2] == {"date": "2025-09-03", "pages_viewed": "2"}
    lines = [json.loads(line) for line in call(QUERY, "--format", "json").stdout.splitlines()]
    assert lines[2] == {"date": "2025-09-03", "pages_viewed": 2}


@pytest.mark.usefixtures("root")
def test_sql__writes_a_file_in_the_format_of_its_ending(tmp_path: Path) -> None:
    for ending in ("csv", "jsonl", "parquet"):
        target = tmp_path / f"it's {ending}.{ending}"
        printed = call(QUERY, "--output", str(target))
        assert printed.stdout == ""
        assert target.stat().st_size > 0
    table = pq.read_table(tmp_path / "it's parquet.parquet")
    assert table["pages_viewed"].to_pylist() == [0, 1, 2]


@pytest.mark.usefixtures("root")
def test_sql__leaves_the_old_file_where_the_query_fails(tmp_path: Path) -> None:
    target = tmp_path / "answer.csv"
    target.write_text("old")
    with pytest.raises(LakeError, match="Could not convert"):
        call("SELECT i::VARCHAR || CASE WHEN i = 9000 THEN 'x' ELSE '' END AS n, n::INTEGER "
             "FROM range(10000) t(i)", "--output", str(target))  # fmt: skip
    assert target.read_text() == "old"
    assert list(tmp_path.glob(".answer*")) == []


@pytest.mark.parametrize(
    "arguments",
    [("--output", "answer.xlsx"), ("--output", "answer.csv", "--format", "table"),
     ("--limit", "0"), ("--format", "xml")],
)  # fmt: skip
@pytest.mark.usefixtures("root")
def test_sql__explains_wrong_options(arguments: tuple[str, ...]) -> None:
    result = call(QUERY, *arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


def test_sql__shows_an_error_of_the_query_plainly(root: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "jobs.sql", f"SELECT page FROM {DAILY}"],
        env={"LMSLAKE_ROOT": root}, cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 1
    assert finished.stderr.startswith("Error: Binder Error")
    assert "Traceback" not in finished.stderr
    assert "pages_viewed" in finished.stderr
