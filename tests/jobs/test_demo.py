"""The demo as a newcomer runs it: what was put in is found, and the printed commands work."""

from __future__ import annotations

import gzip
import stat
import subprocess
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.demo import _ingest, command
from jobs.demo import demo_settings as made_settings
from jobs.demo_report import print_inputs
from lake.query import frame
from lake.settings import Settings
from schemas.tables import EVENT_TABLES
from tests.demo_lake import SECONDS, demo_environment, demo_lake, demo_settings, run_demo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return demo_lake(tmp_path_factory)


def test_demo__finds_what_was_put_in(first_run: tuple[Path, str]) -> None:
    _, printed = first_run
    assert "differs" not in printed
    assert "quarantined: schema_violation" in printed
    assert "Done in" in printed


def test_demo__fills_every_table_of_the_way(first_run: tuple[Path, str]) -> None:
    settings = demo_settings(first_run[0])
    for name in EVENT_TABLES:
        assert len(frame(f"SELECT 1 FROM {name} LIMIT 1", settings=settings)) == 1, name


def test_demo__makes_its_own_key_for_its_owner_only(first_run: tuple[Path, str]) -> None:
    root, printed = first_run
    key_file = root / "demo.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert "Made a random pseudonym key" in printed
    assert key_file.read_text().strip() not in printed


def test_demo__leaves_no_student_id_above_bronze(first_run: tuple[Path, str]) -> None:
    settings = demo_settings(first_run[0])
    for name, table in EVENT_TABLES.items():
        if table.layer != "bronze":
            rows = frame(f"SELECT * FROM {name}", settings=settings)
            assert "student-1" not in rows.to_csv(), name


def test_demo__prints_commands_that_work(first_run: tuple[Path, str], tmp_path: Path) -> None:
    _, printed = first_run
    lines = printed.split("copy and paste:\n")[1].splitlines()
    script = "\n".join(["set -e", *(line for line in lines if line.startswith("  "))])
    finished = subprocess.run(
        ["/bin/bash", "-c", script], cwd=tmp_path, env=demo_environment(),
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "physics-9-ch1" in finished.stdout


def test_demo__says_that_nothing_is_new(first_run: tuple[Path, str], tmp_path: Path) -> None:
    root, _ = first_run
    before = sorted(path for path in root.rglob("*") if path.is_file())
    # A second run is quick, as it starts no Spark: here it has no Java to start it with.
    printed = run_demo(root, JAVA_HOME=str(tmp_path))
    assert "Nothing new in" in printed
    assert "differs" not in printed
    assert sorted(path for path in root.rglob("*") if path.is_file()) == before


def test_demo_settings__keeps_a_key_that_is_there(tmp_path: Path) -> None:
    first = made_settings(tmp_path / "lake").key()
    assert made_settings(tmp_path / "lake").key() == first
    assert made_settings(tmp_path / "other").key() != first


def test_demo__tells_why_records_of_real_files_were_refused(
    settings: Callable[..., Settings],
    xapi_statements: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with gzip.open(xapi_statements) as statements:
        lines = [*islice(statements, 200), b"{\n"]
    path = tmp_path / "statements.jsonl"
    path.write_bytes(b"".join(lines))
    lake = settings()
    for _ in range(2):
        _, reports = _ingest(lake, [], [path], "auto")
        print_inputs(lake, reports)
    once = [["statements.jsonl", "201"], ["quarantined:", "malformed_json", "1"]]
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in told if line and line[0] != "Input"] == 2 * once


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--root", "s3a://bucket/demo"], "local folder"),
        (["--students", "1"], "5<=x"),
        (["--input", "no-such-file"], "does not exist"),
    ],
)
def test_demo__refuses_what_it_cannot_do(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert message in result.output
