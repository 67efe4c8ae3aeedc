"""`lmslake school`: files to try landing with, and what to do with them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobs.cli import cli
from lake.campus import write_campus
from lake.errors import LakeError

Call = Callable[..., Result]


@pytest.fixture
def call(lake_root: Path) -> Call:
    def run(*arguments: str, **environment: str) -> Result:
        given = {
            "LMSLAKE_ROOT": str(lake_root),
            "LMSLAKE_LANDING_SETTLE_SECONDS": "0.01",
            **environment,
        }
        return CliRunner().invoke(cli, list(arguments), env=given)

    return run


def test_school__lands_from_the_zone_with_what_must_fail(call: Call, lake_root: Path) -> None:
    zone = lake_root / "landing"
    made = call("school", str(zone), "--students", "24", "--days", "19")
    assert made.exit_code == 0, made.output
    counted, *then = made.stdout.splitlines()
    assert "are copies under other names, and 7 cannot be read whole." in counted
    assert then[:2] == ["Next:", "  lmslake land"]
    landed = call("land")
    assert landed.exit_code == 1
    summary = next(line for line in landed.stdout.splitlines() if " files: " in line)
    assert summary.endswith("known already, 7 failed.")


def test_school__clean_files_all_land(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "my school"
    made = call("school", str(folder), "--clean", "--students", "3", "--days", "33", "--seed", "1")
    # 25 days at school, five tests.
    assert f"4 files with {3 + 3 * 25 + 3 * 5} rows are in {folder}." in made.stdout
    assert f"  lmslake land --zone '{folder}'" in made.stdout
    assert "4 files: 4 landed (93 rows)." in call("land", "--zone", str(folder)).stdout


def test_school__of_the_campus_has_the_students_of_its_events(call: Call, tmp_path: Path) -> None:
    zone, behaviour = tmp_path / "zone", write_campus(tmp_path / "campus", students=24, days=8)
    made = call("school", str(zone), "--campus", "--students", "24", "--days", "19")
    assert "  export LMSLAKE_STUDENT_ID_PREFIX=student- LMSLAKE_STUDENT_ID_WIDTH=1" in made.stdout
    events = b"".join(gzip.decompress(path.read_bytes()) for path in behaviour.files)
    ids = set(re.findall(r'"student_id":"([^"]+)"', events.decode(errors="replace")))
    (register,) = zone.glob("students_2025-09-01.csv")
    text = register.read_text(encoding="cp1252")
    told = set(re.findall(r"(?<![^;\n])student-1\d{3}(?=;|$)", text, re.MULTILINE))
    assert len(told) > 10
    assert ids >= told
    refused = call("school", str(tmp_path / "x"), "--campus", "--clean")
    assert "leave --clean out" in refused.output


def test_school__teaches_the_key_where_there_is_none(call: Call, tmp_path: Path) -> None:
    arguments = ("--clean", "--students", "1", "--days", "1")
    without = call("school", str(tmp_path / "a"), *arguments)
    assert "openssl rand" in without.stdout
    key = {"LMSLAKE_PSEUDONYM_KEY": "a key of sixteen bytes"}
    assert "openssl" not in call("school", str(tmp_path / "b"), *arguments, **key).stdout


def test_school__the_same_seed_gives_the_same_files(call: Call, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        seed = "2" if name == "c" else "1"
        call("school", str(tmp_path / name), "--students", "24", "--days", "19", "--seed", seed)

    def contents(name: str) -> dict[str, bytes]:
        files = (path for path in (tmp_path / name).rglob("*") if path.is_file())
        return {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files}

    assert contents("a") == contents("b")
    assert contents("a") != contents("c")


def test_school__writes_over_nothing(call: Call, tmp_path: Path) -> None:
    (tmp_path / "processed").mkdir()
    (tmp_path / "processed" / "mine.csv").write_text("x")
    result = call("school", str(tmp_path))
    assert isinstance(result.exception, LakeError)
    assert "has files already" in str(result.exception)


def test_school__too_small_for_its_faults(call: Call, tmp_path: Path) -> None:
    result = call("school", str(tmp_path / "x"), "--students", "3")
    assert "at least 24 students and 19 days" in str(result.exception)
